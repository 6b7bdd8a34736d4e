"""Findings, and the state of a node that they add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

NOT_ACTIVE = 'not active'
"""How the message of a node begins that does not work."""


class Level(IntEnum):
    """Severity, with the values of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Finding:
    """A condition of a node that its diagnostics report.

    `name` identifies it among the node's findings and stays while `text` changes. A finding of
    level OK is information; nothing is wrong.
    """

    name: str
    level: Level
    text: str


def note(name: str, text: str) -> Finding:
    """Return a finding of level OK."""
    return Finding(name, Level.OK, text)


def warning(name: str, text: str) -> Finding:
    """Return a finding of level WARN: the node works, but not as well as it should."""
    return Finding(name, Level.WARN, text)


def error(name: str, text: str) -> Finding:
    """Return a finding of level ERROR: something that was asked for is not done."""
    return Finding(name, Level.ERROR, text)


def verdict(state: str, findings: Iterable[Finding]) -> tuple[Level, str]:
    """Return the worst level, and all texts with the worst first.

    :param state: what the node does; it is the text if nothing is wrong.
    """
    ranked = sorted(findings, key=lambda f: -f.level)
    level = ranked[0].level if ranked else Level.OK
    return level, '; '.join([*([] if level else [state]), *(f.text for f in ranked)])


def as_values(findings: Iterable[Finding]) -> dict[str, str]:
    """Return findings as values of a diagnostics message: `ERROR link` and the text."""
    return {f'{f.level.name} {f.name}': f.text for f in findings}


def findings_of(level: int, message: str, values: Mapping[str, str]) -> list[Finding]:
    """Return the findings in a diagnostics message; for a node that is not ours its message.

    :param level: of the message; level OK without findings gives none.
    """
    ours = [Finding(name, Level[word], text) for key, text in values.items()
            for word, _, name in (key.partition(' '),) if name and word in Level.__members__]
    return ours or [Finding('', Level(min(level, Level.ERROR)), message)] * (level > Level.OK)


def several(count: int, noun: str) -> str:
    """Return `1 tensor`, `2 tensors`."""
    return f'{count} {noun}{"" if count == 1 else "s"}'


def span(seconds: float) -> str:
    """Return a time as people write it."""
    for unit, size in (('days', 86400.0), ('h', 3600.0), ('min', 60.0)):
        if seconds >= 2 * size:
            return f'{seconds / size:.0f} {unit}'
    return f'{seconds:.2f} s'
