"""Checks of values that come from outside: messages, bags, meters, files.

Each check takes the value's name and the value, and returns the valid value; an invalid one is an
IncomingError that names it. Only `text` never refuses: it cuts and escapes.
"""

from collections.abc import Callable, Mapping, Sized
from enum import IntEnum
from math import inf
from numbers import Real
from typing import Any, TypeVar

from offload_perception.errors import IncomingError, printable

TEXT_LIMIT = 200
"""Characters of a label, a reason or a name from outside that are shown, logged or kept."""

Check = Callable[[str, Any], Any]
Rules = Mapping[str, Check]
Member = TypeVar('Member', bound=IntEnum)
List = TypeVar('List', bound=Sized)


def text(value: str, limit: int = TEXT_LIMIT) -> str:
    """Return `value` in `limit` characters at most, fit for a terminal, a log and a page.

    What does not print is escaped; a cut text ends in an ellipsis.
    """
    shown = printable(value[:limit + 1])
    return shown if len(shown) <= limit else f'{shown[:limit - 1]}…'


def number(name: str, value: float, low: float = -inf, high: float = inf, *,
           unknown: bool = False) -> float:
    """Return a number from `low` to `high`; `unknown`: NaN may stand for "not known".

    An infinite number passes only if a bound is infinite in that direction.

    :raises IncomingError: if it is another.
    """
    if isinstance(value, Real) and (low <= value <= high or (unknown and value != value)):
        return value
    raise IncomingError(f'{name} is {_shown(value)}, not in {low:g} .. {high:g}')


def whole(name: str, value: int, low: int, high: int) -> int:
    """Return an integer from `low` to `high`.

    :raises IncomingError: if it is another, or no integer.
    """
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise IncomingError(f'{name} is {_shown(value)}, no integer in {low} .. {high}')


def _shown(value: object) -> str:
    """Return a value in a few characters; an integer can be too long for `str` and for `float`."""
    try:
        return text(f'{value:g}' if isinstance(value, Real) else repr(value), 40)
    except (OverflowError, ValueError):
        return 'huge'


def member(name: str, value: int, kind: type[Member]) -> Member:
    """Return the member of an enumeration with that value.

    :raises IncomingError: if there is none.
    """
    try:
        return kind(value)
    except ValueError:
        raise IncomingError(f'{name} is {value}, which is none of '
                            f'{", ".join(f"{m.value} ({m.name})" for m in kind)}') from None


def identifier(name: str, value: str, limit: int = TEXT_LIMIT) -> str:
    """Return a text that is compared or used as it is, and so must not be cut or escaped.

    :raises IncomingError: if it is longer than `limit` or does not print.
    """
    if len(value) <= limit and value.isprintable():
        return value
    raise IncomingError(f"{name} of {len(value)} characters is '{text(value, 40)}', not up to "
                        f'{limit} printable ones')


def bounded(name: str, values: List, limit: int) -> List:
    """Return a list of `limit` elements at most.

    :raises IncomingError: if it is longer.
    """
    if len(values) <= limit:
        return values
    raise IncomingError(f'{name} has {len(values)} elements, more than {limit}')


def check(message: Any, rules: Rules, name: str = '') -> Any:
    """Put each field that has a rule through its check; return `message`, changed in place.

    :param name: of `message` itself, if it is a field of another.
    :raises IncomingError: of the first field that cannot be used.
    """
    for field, rule in rules.items():
        value = getattr(message, field)
        taken = rule(f'{name}.{field}' if name else field, value)
        if taken is not value:
            setattr(message, field, taken)
    return message


def each(rule: Check, limit: int) -> Check:
    """Return the check of a list of `limit` elements at most, each of which passes `rule`."""
    def checked(name: str, values: Any) -> Any:
        same, kept = True, []
        for value in bounded(name, values, limit):
            kept.append(rule(name, value))
            same = same and kept[-1] is value
        return values if same else kept
    return checked


def inside(rules: Rules) -> Check:
    """Return the check of a field that is a message itself."""
    return lambda name, message: check(message, rules, name)


def age_s(received_ns: int, now_ns: int) -> float:
    """Return how long ago a message was received, by the system's clock, 0 .. 1 s.

    That clock may be set in between, and a middleware may not report it (0).
    """
    return min(max(1e-9 * (now_ns - received_ns), 0.0), 1.0) if received_ns else 0.0
