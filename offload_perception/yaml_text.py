"""YAML from outside: bounded before it is read."""

from typing import Any

import yaml

from offload_perception.errors import IncomingError
from offload_perception.incoming import text

MOST_CHARACTERS = 1 << 20  # PyYAML reads some 100,000 a second
MOST_BRACKETS = 1000  # the time that it takes for one bracket grows with the open ones before it


def from_yaml(written: str, *, aliases: bool = True) -> Any:
    """Return the plain data that a text holds; with `aliases` they may hold themselves.

    :raises IncomingError: if it is no YAML, too long, too deep, or has aliases without being
        allowed to.
    """
    if len(written) > MOST_CHARACTERS or written.count('[') + written.count('{') > MOST_BRACKETS:
        raise IncomingError(f'it has more than {MOST_CHARACTERS} characters or {MOST_BRACKETS} '
                            'brackets')
    try:
        events = () if aliases else yaml.parse(written, yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in events):
            raise IncomingError('it has an alias, which ROS 2 does not read')
        return yaml.safe_load(written)
    except IncomingError:
        raise
    except Exception as e:  # a parser may raise anything on invalid input
        raise IncomingError(f'it is no YAML: {text(" ".join(str(e).split()))}') from e
