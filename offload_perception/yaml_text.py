"""YAML from outside: bounded before it is read."""

from typing import Any

import yaml

from offload_perception.errors import IncomingError
from offload_perception.incoming import text

MOST_CHARACTERS = 1 << 20  # PyYAML takes seconds for them


def from_yaml(written: str, *, aliases: bool = True) -> Any:
    """Return the plain data that a text holds; with `aliases` they may hold themselves.

    :raises IncomingError: if it is no YAML, too long, or has aliases without being allowed to.
    """
    if len(written) > MOST_CHARACTERS:
        raise IncomingError(f'it has more than {MOST_CHARACTERS} characters')
    try:
        found = yaml.safe_load(written)
        events = () if aliases else yaml.parse(written, yaml.SafeLoader)
        has_alias = any(isinstance(event, yaml.AliasEvent) for event in events)
    except Exception as e:  # a parser may raise anything on invalid input
        raise IncomingError(f'it is no YAML: {text(" ".join(str(e).split()))}') from e
    if has_alias:
        raise IncomingError('it has an alias, which ROS 2 does not read')
    return found
