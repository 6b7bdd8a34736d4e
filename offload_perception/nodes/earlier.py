"""Messages of earlier versions of this package, which had fewer fields."""

from math import nan
from typing import Any

from offload_perception.nodes.message_types import class_of


def with_new_fields(name: str, recorded: Any) -> Any:
    """Return a message of the installed type `name` with the fields of a decoded one.

    A number that was not recorded is NaN, any other field that was not is empty.
    """
    message = class_of(name)()
    for field, kind in message.get_fields_and_field_types().items():
        if hasattr(recorded, field):
            setattr(message, field, _value(kind, getattr(recorded, field)))
        elif kind in ('double', 'float'):
            setattr(message, field, nan)
    return message


def _value(kind: str, recorded: Any) -> Any:
    element = kind.removeprefix('sequence<').partition('>')[0]
    if '/' not in element:
        return recorded
    name = '/msg/'.join(element.split('/'))
    if element == kind:
        return with_new_fields(name, recorded)
    return [with_new_fields(name, each) for each in recorded]
