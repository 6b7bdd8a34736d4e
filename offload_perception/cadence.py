"""Evenly spaced moments that do not drift, and a highest rate."""

from __future__ import annotations

from math import inf


class Cadence:
    """Ticks at start, start + period, ...; each computed from the start, so errors do not add up.

    Ticks that have passed unused are skipped and counted in `missed`, never made up for in a
    burst.
    """

    def __init__(self, period_s: float, start_s: float) -> None:
        self._period_s, self._start_s = period_s, start_s
        self._next = 0
        self.missed = 0

    def wait_s(self, now_s: float) -> float:
        """Return how long from `now_s` to the next tick, and take that tick."""
        passed = int((now_s - self._start_s) / self._period_s)
        self.missed += max(0, passed - self._next)
        tick = max(self._next, passed)
        self._next = tick + 1
        return max(0.0, self._start_s + tick * self._period_s - now_s)


class RateLimit:
    """Says which events are due so that no more than `rate_hz` a second are; 0 = all are.

    An event may come up to half a period early: of a source of the same rate, whose events are
    not quite even, none is left out.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1.0 / rate_hz if rate_hz else 0.0
        self._next_s = -inf

    def due(self, now_s: float) -> bool:
        """Return whether the event at `now_s` is due."""
        if now_s < self._next_s:
            return False
        self._next_s = max(self._next_s, now_s - self._period_s / 2) + self._period_s
        return True
