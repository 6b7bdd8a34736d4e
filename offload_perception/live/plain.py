"""Figures and texts from topics as plain data that any viewer can show."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

_TEXT_LIMIT = 600


def plain(value: Any) -> Any:
    """Return `value` as JSON can carry it, safe to show.

    Numbers that are not finite become None. Texts may come from anybody on the network: they lose
    control characters, which could drive a terminal, and all beyond a length nobody reads.
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
    """Return a text in one line of bounded length, without control characters."""
    cut = value if len(value) <= _TEXT_LIMIT else value[:_TEXT_LIMIT - 1] + '…'
    return ''.join(c if c.isprintable() else ' ' for c in cut)
