"""The goals of a benchmark: the value that was reached, its bound, and whether it is met."""

from pathlib import Path
from typing import Any, TypedDict

from offload_perception.console import table, write_json


class Goal(TypedDict):
    """One goal; `bound` is what the value has to keep, such as `<= 3`. NaN meets no bound."""

    name: str
    value: float
    unit: str
    bound: str
    met: bool


def at_most(name: str, value: float, bound: float, unit: str = '') -> Goal:
    """Return the goal that `value` is at most `bound`."""
    return Goal(name=name, value=float(value), unit=unit, bound=f'<= {bound:.4g}',
                met=bool(value <= bound))


def at_least(name: str, value: float, bound: float, unit: str = '') -> Goal:
    """Return the goal that `value` is at least `bound`."""
    return Goal(name=name, value=float(value), unit=unit, bound=f'>= {bound:.4g}',
                met=bool(value >= bound))


def publish(file: str | Path | None, result: dict[str, Any], goals: list[Goal]) -> None:
    """Print the goals; write them, with the rest of the result, to `file` if one was given."""
    if goals:
        print('\n' + table(('goal', 'reached', 'unit', 'bound', 'met'), [
            (g['name'], f'{g["value"]:.4g}', g['unit'], g['bound'], 'yes' if g['met'] else 'NO')
            for g in goals]))
    else:
        print('\nThis benchmark has no goals.')
    write_json(file, {**result, 'goals': goals})
