"""A running mean that ignores outliers and follows sudden changes."""

from math import sqrt
from statistics import median, median_low

_OUTLIER_SPREADS = 3.0  # from the level; values beyond are clipped (Huber)
_MIN_SPREAD = 0.005  # of the level: no measurement is perfectly steady
_MEDIAN_OF = 5  # first values: the level is their median
_MAX_VALUE = 1e9  # larger ones are ignored as absurd


class RobustLevel:
    """Level and spread of positive values that drift, jump and have outliers.

    An exponential mean with `gain`, faster at first, whose errors are clipped at `clip` spreads:
    1 gives about the median, 3 about the mean. After `jump_after` values in a row beyond three
    spreads on the same side, the level jumps to their median: it follows a step within that many
    values, and never a single outlier. The level of the first five values, and after a jump, is
    their median, since first runs are often slow; `level` is the first of them.
    """

    def __init__(self, level: float, spread: float, *, gain: float = 0.1, jump_after: int = 3,
                 clip: float = _OUTLIER_SPREADS) -> None:
        self._gain, self._jump_after, self._clip = gain, jump_after, clip
        self.begin(level, spread)
        self.count = 0

    @classmethod
    def of_times(cls, level: float, spread: float) -> 'RobustLevel':
        """Return one for durations, which are skewed: the median has the least relative error."""
        return cls(level, spread, gain=0.2, clip=1.0)

    def begin(self, level: float, spread: float) -> None:
        """Start again with `level` as the first value."""
        self.level, self.spread, self.count = level, spread, 1
        self._outside: list[float] = []
        self._young = [level]

    def add(self, value: float) -> None:
        """Take one value; negative, absurdly large ones and NaN are ignored."""
        if not 0.0 <= value <= _MAX_VALUE:
            return
        error = value - self.level
        spread = max(self.spread, _MIN_SPREAD * self.level)
        if self._has_jumped(value, error, _OUTLIER_SPREADS * spread):
            self.level, self.count = median(self._outside), len(self._outside)
            self._young, self._outside = self._outside, []
            return
        self.count += 1
        gain = max(self._gain, 1.0 / (self.count + 1))
        if len(self._young) < _MEDIAN_OF:
            self._young.append(value)
            self.level = median_low(self._young)
        else:
            self.level += gain * _clipped(error, self._clip * spread)
        variance = self.spread ** 2 + gain * (
            _clipped(error, _OUTLIER_SPREADS * spread) ** 2 - self.spread ** 2)
        self.spread = max(sqrt(max(variance, 0.0)), _MIN_SPREAD * self.level)

    def _has_jumped(self, value: float, error: float, limit: float) -> bool:
        if not self._outside:
            self._limit = limit  # fixed for the run of outliers, since they widen the spread
        if abs(error) <= self._limit:
            self._outside = []
            return False
        if self._outside and (self._outside[-1] - self.level > 0) != (error > 0):
            self._outside = []
        self._outside.append(value)
        return len(self._outside) >= self._jump_after


def _clipped(x: float, limit: float) -> float:
    return min(max(x, -limit), limit)
