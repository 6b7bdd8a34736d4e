"""Whether something periodic still arrives."""

from math import nan

from offload_perception.health.finding import Finding, error, note, warning

FIRST_S = 5.0
"""Grace period for the first one."""
STALE_PERIODS, STALE_S = 5.0, 2.0
_GAIN = 0.1


class Arrivals:
    """Learns the usual period, and reports when nothing has arrived for several periods.

    Times are monotonic seconds; `started_s` is when the wait began.

    :param what: what arrives, such as `image`.
    """

    def __init__(self, what: str, started_s: float) -> None:
        self._what, self._started_s = what, started_s
        self._last_s = self.period_s = nan

    def observe(self, now_s: float) -> None:
        """Take an arrival."""
        gap_s = now_s - self._last_s
        if self.period_s != self.period_s:
            self.period_s = gap_s  # still NaN after the first one
        else:  # bounded: an outage says little about the period
            self.period_s += _GAIN * (min(gap_s, self._limit_s) - self.period_s)
        self._last_s = now_s

    @property
    def _limit_s(self) -> float:
        known = self.period_s == self.period_s
        return max(STALE_S, STALE_PERIODS * self.period_s) if known else FIRST_S

    def finding(self, now_s: float, *, where: str, why: str) -> Finding | None:
        """Return what is wrong, if anything.

        :param where: its source, such as the name of a topic.
        :param why: the likely cause, and what to do.
        """
        what = self._what
        if self._last_s != self._last_s:
            waited_s = now_s - self._started_s
            if waited_s < FIRST_S:
                return note(what, f'waiting for the first {what} on {where}')
            return warning(what, f'no {what} yet on {where}: {why}')
        silent_s = now_s - self._last_s
        if silent_s <= self._limit_s:
            return None
        usual = f', before one every {self.period_s:.2f} s' if self.period_s > 0 else ''
        return error(what, f'no {what} for {silent_s:.0f} s on {where}{usual}: {why}')
