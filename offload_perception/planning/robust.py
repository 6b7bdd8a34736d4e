"""A running mean that outliers do not move and sudden changes do."""

from math import sqrt
from statistics import median, median_low

_OUTLIER = 3.0  # spreads from the level; further away is clipped (Huber)
_LEAST_SPREAD = 0.005  # of the mean: no figure is perfectly steady
_YOUNG = 5  # figures whose median counts, until there are more
_LARGEST = 1e9


class RobustLevel:
    """Level and spread of positive figures that drift, jump and have outliers.

    An exponential mean with gain `gain`, faster at first, whose innovations are clipped at `clip`
    spreads: 1 leaves about the median, 3 about the mean. If `jump_after` figures in a row lie
    beyond three spreads on the same side, the level jumps to their median: a step is followed
    within that many figures, a single outlier never. Of the first five, or after a jump, the
    median counts, since the first figures of a kind are often cold; `level` is the first of them.
    """

    def __init__(self, level: float, spread: float, *, gain: float = 0.1, jump_after: int = 3,
                 clip: float = _OUTLIER) -> None:
        self._gain, self._jump_after, self._clip = gain, jump_after, clip
        self.begin(level, spread)
        self.count = 0

    @classmethod
    def of_times(cls, level: float, spread: float) -> 'RobustLevel':
        """Return one for durations: they are skewed, and relative errors least at the median."""
        return cls(level, spread, gain=0.2, clip=1.0)

    def begin(self, level: float, spread: float) -> None:
        """Start again with `level` as the first figure."""
        self.level, self.spread, self.count = level, spread, 1
        self._outside: list[float] = []
        self._young = [level]

    def add(self, value: float) -> None:
        """Take one figure; what is negative, absurdly large or not a number is ignored."""
        if not 0.0 <= value <= _LARGEST:
            return
        error = value - self.level
        spread = max(self.spread, _LEAST_SPREAD * self.level)
        if self._has_jumped(value, error, _OUTLIER * spread):
            self.level, self.count = median(self._outside), len(self._outside)
            self._young, self._outside = self._outside, []
            return
        self.count += 1
        gain = max(self._gain, 1.0 / (self.count + 1))
        if len(self._young) < _YOUNG:
            self._young.append(value)
            self.level = median_low(self._young)
        else:
            self.level += gain * _clipped(error, self._clip * spread)
        variance = self.spread ** 2 + gain * (
            _clipped(error, _OUTLIER * spread) ** 2 - self.spread ** 2)
        self.spread = max(sqrt(max(variance, 0.0)), _LEAST_SPREAD * self.level)

    def _has_jumped(self, value: float, error: float, limit: float) -> bool:
        if not self._outside:
            self._limit = limit  # of the whole run: the first outliers widen the spread
        if abs(error) <= self._limit:
            self._outside = []
            return False
        if self._outside and (self._outside[-1] - self.level > 0) != (error > 0):
            self._outside = []
        self._outside.append(value)
        return len(self._outside) >= self._jump_after


def _clipped(x: float, limit: float) -> float:
    return min(max(x, -limit), limit)
