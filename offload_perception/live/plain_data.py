"""Figures and texts from topics as plain data that any viewer can show."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from offload_perception import incoming

WORDS_LIMIT = 600  # characters of a text that is shown


def plain(value: Any) -> Any:
    """Return `value` as JSON can carry it, safe to show.

    Numbers that are not finite become None; texts may come from anyone on the network.
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {text(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    return value


def text(value: str) -> str:
    """Return a text in one line of bounded length; what does not print is escaped."""
    return incoming.text(value, WORDS_LIMIT)
