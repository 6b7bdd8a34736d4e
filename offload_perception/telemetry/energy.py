"""Joules per frame: energy drawn while frames were processed, divided by their results."""

from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

MAX_GAP_S = 3.0
"""After a longer silence of the meter the energy is unknown."""
_EARLY = 1024  # samples kept before the first frame, which began before its end was reported
_WAITING = 65536  # ends of frames since the last sample; beyond, the oldest count as not metered


@dataclass(frozen=True)
class FrameEnergy:
    """Energy and results of the metered part of a span.

    The span of `span_s` begins with the first frame and ends with the last one. `metered_s` of it
    are covered by the meter, in which `joules` were drawn and `results` frames ended with a
    result; the rest is left out of both.
    """

    joules: float = 0.0
    results: int = 0
    metered_s: float = 0.0
    span_s: float = 0.0

    @property
    def per_result_j(self) -> float | None:
        """Return joules per frame with a result, idle power included; None = not metered."""
        return self.joules / self.results if self.results and self.metered_s else None

    @property
    def metered(self) -> float:
        """Return the share of the span that the meter covers, 0 .. 1."""
        return min(1.0, self.metered_s / self.span_s) if self.span_s else 0.0


class FrameEnergyCounter:
    """Follows the accumulated energy of a meter and the ends of frames; times on one clock [s].

    Energy between two samples is taken as evenly drawn. Of bounded memory.
    """

    def __init__(self) -> None:
        self._start_s = inf  # of the first frame
        self._last_end_s = -inf
        self._early: deque[tuple[float, float]] = deque(maxlen=_EARLY)
        self._sample: tuple[float, float] | None = None
        self._ends: deque[tuple[float, bool]] = deque(maxlen=_WAITING)
        self._sum = self._until_last = FrameEnergy()

    def add_frame(self, end_s: float, took_s: float, has_result: bool) -> None:
        """Note that a frame ended, `took_s` after it began."""
        if self._start_s == inf:
            self._start_s = end_s - (took_s if took_s > 0.0 else 0.0)  # NaN: unknown
            for before, after in pairwise(self._early):
                self._add_interval(before, after)
            self._sample = self._early[-1] if self._early else None
            self._early.clear()
        self._last_end_s = max(self._last_end_s, end_s)
        self._ends.append((end_s, has_result))

    def add_power(self, at_s: float, energy_j: float) -> None:
        """Note the accumulated energy of the meter at a time."""
        sample = at_s, energy_j
        if self._start_s == inf:
            self._early.append(sample)
            return
        if self._sample is not None:
            self._add_interval(self._sample, sample)
        self._sample = sample

    def _add_interval(self, before: tuple[float, float], after: tuple[float, float]) -> None:
        """Add the energy between two samples, and the frames that ended by the second."""
        (from_s, from_j), (to_s, to_j) = before, after
        grew_j, passed_s = to_j - from_j, to_s - from_s
        known = passed_s > 0.0 and (grew_j > 0.0 or (grew_j == 0.0 and passed_s <= MAX_GAP_S))
        begun = self._sum

        def until(t_s: float) -> FrameEnergy:
            inside_s = max(0.0, t_s - max(from_s, self._start_s)) if known else 0.0
            drawn_j = grew_j * (inside_s / passed_s) if known else 0.0
            return replace(self._sum, joules=begun.joules + drawn_j,
                           metered_s=begun.metered_s + inside_s)

        while self._ends and self._ends[0][0] <= to_s:
            end_s, has_result = self._ends.popleft()
            if known:
                self._sum = replace(self._sum, results=self._sum.results + has_result)
            self._until_last = until(end_s)
        self._sum = until(to_s)

    @property
    def energy(self) -> FrameEnergy:
        """Return the energy of the frames up to the last sample."""
        if self._start_s == inf:
            return FrameEnergy()
        return replace(self._until_last, span_s=self._last_end_s - self._start_s)
