"""Numbers the refreshes of a meter, from polls that show only when a value has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from offload_perception.power.drivers.samples import REFRESH_S

_TOLERANCE = 0.02
"""Relative difference of the meter's period from its nominal one, at most."""


@dataclass(frozen=True)
class Refresh:
    """The `number`-th refresh happened at about `middle_s`."""

    number: int
    middle_s: float


@dataclass(frozen=True)
class _Interval:
    """Somewhere in here lies the moment of a refresh."""

    low_s: float
    high_s: float

    @property
    def middle_s(self) -> float:
        return (self.low_s + self.high_s) / 2

    def after(self, number: int, period_s: float) -> _Interval:
        """Where the refresh `number` periods later lies."""
        return _Interval(
            self.low_s + number * period_s * (1 - _TOLERANCE),
            self.high_s + number * period_s * (1 + _TOLERANCE))

    def within(self, other: _Interval) -> _Interval:
        """What both agree on; of negative length if they do not."""
        return _Interval(max(self.low_s, other.low_s), min(self.high_s, other.high_s))

    @property
    def length_s(self) -> float:
        return self.high_s - self.low_s


class RefreshClock:
    """Follows the meter's even refreshes through polls at another rate.

    A changed value was refreshed between the last poll and this one, too wide to say which stages
    it covers. But refreshes are evenly spaced, so the interval of the last one narrows it
    and gives the number of refreshes between. A value that stays for longer than a period was
    refreshed too: a steady load is a measurement.
    """

    def __init__(self, period_s: float = REFRESH_S) -> None:
        self._period_s, self._number = period_s, 0
        self._poll_s = self._value = math.nan
        self._last: _Interval | None = None
        self._steady = False

    def see(self, t_s: float, value: float) -> Refresh | None:
        """Return the refresh that a poll at `t_s` shows for the first time, or None."""
        before_s, self._poll_s = self._poll_s, t_s
        changed, self._value = value != self._value, value
        if self._last is None:
            self._last = _Interval(t_s - self._period_s, t_s)
            return None
        if changed:
            seen = _Interval(max(before_s, t_s - self._period_s), t_s)
            unseen = self._steady or t_s - before_s > self._period_s
            self._follow(self._last, seen, unseen)
        elif (periods := self._surely_passed(self._last, t_s)) > 0:
            self._number += periods
            self._last = self._last.after(periods, self._period_s)
        else:
            return None
        self._steady = not changed
        return Refresh(self._number, self._last.middle_s)

    def _surely_passed(self, last: _Interval, t_s: float) -> int:
        """How many periods have ended since the last refresh, however long they are."""
        return int((t_s - last.high_s) / (self._period_s * (1 + _TOLERANCE)))

    def _follow(self, last: _Interval, seen: _Interval, unseen: bool) -> None:
        """Advance by as many periods as agree with what was seen.

        If two numbers agree: the smaller, as a refresh that changes nothing is rare; but the
        better one if some went by unseen.
        """
        likely = round((seen.middle_s - last.middle_s) / self._period_s)
        agreed = {n: seen.within(last.after(n, self._period_s))
                  for n in range(max(1, likely - 1), max(1, likely) + 2)}
        enough_s = math.inf if unseen else 0.0
        periods = max(agreed, key=lambda n: (min(agreed[n].length_s, enough_s), -n))
        self._number += periods
        self._last = agreed[periods] if agreed[periods].length_s > 0.0 else seen
