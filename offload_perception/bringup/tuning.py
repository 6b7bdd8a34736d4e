"""The parameters that may change in flight, and values for them from a command or a form."""

from dataclasses import Field, fields
from typing import Any

from offload_perception.bringup.config import EdgeConfig, check
from offload_perception.errors import ConfigError

TUNABLE: dict[str, Field[Any]] = {f.name: f for f in fields(EdgeConfig) if f.metadata['dynamic']}
"""The parameters of the edge node that may change while it is active, by name."""


def parse(name: str, text: str) -> str | float:
    """Return the value of parameter `name` that `text` stands for.

    The node decides: only it knows the cuts of its model.

    :raises ConfigError: if the parameter cannot change in flight, or does not take the text.
    """
    if (f := TUNABLE.get(name)) is None:
        raise ConfigError(f"'{name}' cannot change in flight; these can: {', '.join(TUNABLE)}")
    try:
        value: str | float = check(f, float(text) if isinstance(f.default, float) else text)
        return value
    except ValueError:
        raise ConfigError(f"parameter {name} is '{text}'; it takes a number: "
                          f'{f.metadata["description"]}') from None
