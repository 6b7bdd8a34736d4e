"""When the samples of a meter were taken that hands them over in blocks."""

from __future__ import annotations

from collections import deque

import numpy as np

CLOCK_S = 0.001
"""Error of the times of samples, where nothing shows it."""
_ENOUGH_BLOCKS = 10
_LINE_S = 10.0  # of blocks: their delays average out, and two clocks hardly drift apart
_MAX_GAP_S = 0.05


class BlockClock:
    """Corrects the times of blocks of samples, which are stamped when they arrive.

    That is late by the delays of USB and threads. Since samples are taken evenly, the ends of many
    blocks without a gap lie on a line; their scatter around it is also about their common delay,
    which nothing shows.

    :ivar error_s: standard deviation of the error that is left.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()  # samples so far, and the stamp
        self.error_s = CLOCK_S

    def taken_s(self, times_s: np.ndarray) -> np.ndarray:
        """Return when the samples of a block were taken; `times_s` are evenly spaced."""
        count, before_s = self._ends[-1] if self._ends else (0, -np.inf)
        if times_s[0] - before_s > _MAX_GAP_S:
            self._ends.clear()
        end_s = float(times_s[-1])
        self._ends.append((count + len(times_s), end_s))
        while end_s - self._ends[0][1] > _LINE_S:
            self._ends.popleft()
        if len(self._ends) < _ENOUGH_BLOCKS:
            self.error_s = CLOCK_S
            return times_s
        counts, ends_s = (np.array(self._ends) - self._ends[-1]).T
        late_s = ends_s - np.polyval(np.polyfit(counts, ends_s, 1), counts)
        self.error_s = float(late_s.std())
        return times_s - float(late_s[-1])
