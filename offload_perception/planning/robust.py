"""A running mean that outliers do not move and sudden changes do."""

from math import sqrt
from statistics import median

_OUTLIER = 3.0  # spreads from the mean; further away is clipped (Huber)
_LEAST_SPREAD = 0.005  # of the mean: a perfectly steady figure is not believed

_LARGEST = 1e9


class RobustLevel:
    """Level and spread of positive figures that drift, jump and have outliers.

    An exponential mean with gain `gain`, faster at first, whose innovations are clipped. Where
    `jump_after` figures in a row lie beyond the clip on the same side, the level jumps to their
    median: a step is followed within that many figures, a single outlier never.
    """

    def __init__(self, level: float, spread: float, *, gain: float = 0.1,
                 jump_after: int = 3) -> None:
        self.level, self.spread, self.count = level, spread, 0
        self._gain, self._jump_after = gain, jump_after
        self._outside: list[float] = []

    def add(self, value: float) -> None:
        """Take one figure; what is negative, absurdly large or not a number is ignored."""
        if not 0.0 <= value <= _LARGEST:
            return
        error = value - self.level
        limit = _OUTLIER * max(self.spread, _LEAST_SPREAD * self.level)
        if self._has_jumped(value, error, limit):
            self.level, self._outside = median(self._outside), []
            return
        self.count += 1
        gain = max(self._gain, 1.0 / (self.count + 1))
        clipped = min(max(error, -limit), limit)
        self.level += gain * clipped
        variance = self.spread ** 2 + gain * (clipped ** 2 - self.spread ** 2)
        self.spread = max(sqrt(max(variance, 0.0)), _LEAST_SPREAD * self.level)

    def _has_jumped(self, value: float, error: float, limit: float) -> bool:
        if abs(error) <= limit:
            self._outside = []
            return False
        if self._outside and (self._outside[-1] - self.level > 0) != (error > 0):
            self._outside = []
        self._outside.append(value)
        return len(self._outside) >= self._jump_after
