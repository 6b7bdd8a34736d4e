"""Message classes and the names of their types."""

from importlib import import_module
from typing import Any

from offload_perception.errors import BagError


def name_of(kind: Any) -> str:
    """Return the name of a message class's type, as std_msgs/msg/Header."""
    return f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def class_of(name: str) -> type:
    """Return the message class of a type.

    :raises BagError: if its package is not installed.
    """
    package, _, base = name.split('/')
    try:
        found: type = getattr(import_module(f'{package}.msg'), base)
    except (ImportError, AttributeError) as e:
        raise BagError(f'{name} is not installed: install the package {package}, and source the '
                       'workspace') from e
    return found
