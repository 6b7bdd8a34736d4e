"""The planner's one estimator: positive figures that drift, jump and have outliers."""

from collections.abc import Sequence
from math import exp, isfinite, log, sqrt
from operator import mul

OUTLIER = 3.0  # standard deviations (Huber)
_MUCH = log(2.0)  # an outlier that may be a change: twice as large
_LEARNING_RATE = 0.1  # of the noise: about the last 10 observations
_LEAST_NOISE, _MOST_NOISE = 0.05, 0.5  # relative: no measurement is perfectly steady
_MOST_VARIANCE = 4.0  # of a logarithm: a factor of e^2 = 7 either way
_STEPS = 3  # of the iterated filter
_RANGE = 1e-12, 1e12  # of observations; others are ignored as absurd


class Estimate:
    """Levels x of positive figures, from observations of sums y = n0 x0 + n1 x1 + ...

    A Kalman filter on log x (extended, since log y is not linear in them): errors are relative,
    and no level can become negative. The noise of y is learned. Errors beyond three standard
    deviations are clipped, but `jumps` of them in a row, above or below, are a change: then the
    levels follow the last one.

    :ivar levels: the current x.
    :ivar count: observations so far; the first one of a single figure replaces its guess.
    """

    def __init__(self, *levels: float, spread: float | Sequence[float] = 1.0, noise: float = 0.1,
                 drift: float | Sequence[float] = 0.02,
                 jumps: tuple[int, int] = (2, 2)) -> None:
        """Start from a guess.

        :param spread: relative standard deviation of each guess; :param noise: of y.
        :param drift: relative standard deviation by which a level moves between observations.
        :param jumps: outliers in a row that are a change, above and below.
        """
        self.levels = list(levels)
        count = range(len(levels))
        spreads, drifts = _each(spread, len(levels)), _each(drift, len(levels))
        self._covariance = [[spreads[i] ** 2 if i == j else 0.0 for j in count] for i in count]
        self._drifts = [d * d for d in drifts]
        self._noise, self._jumps = noise, jumps
        self._outside = 0  # outliers in a row, negative if they are below
        self._last_error = 0.0
        self.count = 0

    @property
    def level(self) -> float:
        """Return the first figure."""
        return self.levels[0]

    @property
    def noise(self) -> float:
        """Return the relative standard deviation of an observation around the levels."""
        return self._noise

    @property
    def spread(self) -> float:
        """Return the relative standard deviation of the next observation of a single figure."""
        return sqrt(self._covariance[0][0] + self._noise ** 2)

    @property
    def covariance(self) -> list[list[float]]:
        """Return the covariance of the logarithms of the levels."""
        return self._covariance

    @property
    def doubtful(self) -> bool:
        """Return whether the last observation was far too large, so that the next one decides."""
        return self._outside > 0 and self._last_error > _MUCH

    def predicted(self, *amounts: float) -> float:
        """Return the expected sum."""
        return sum(n * x for n, x in zip(amounts, self.levels, strict=True))

    def observe(self, value: float, *amounts: float) -> None:
        """Take an observation of a sum; without `amounts` of the single figure.

        What is not positive, not finite or absurd is ignored.
        """
        amounts = amounts or (1.0,)
        low, high = _RANGE
        if not isfinite(value) or not low < value < high:
            return
        self.count += 1
        if self.count == 1 and len(self.levels) == 1:
            self.levels[0], self._covariance = value / amounts[0], [[self._noise ** 2]]
            return
        for i, drift in enumerate(self._drifts):
            self._covariance[i][i] = min(self._covariance[i][i] + drift, _MOST_VARIANCE)
        predicted = self.predicted(*amounts)
        error, shares = log(value / predicted), self._shares(amounts)
        self._last_error = error
        own = self._variance(shares)
        spread = sqrt(own + self._noise ** 2)
        if self._has_jumped(error / spread):
            self._reopen(shares, error)
        else:
            error = min(max(error, -OUTLIER * spread), OUTLIER * spread)
            if own < 4.0 * self._noise ** 2:  # else the error is the levels', not noise
                self._learn_noise(min(abs(error), 2.0 * spread) ** 2 - own)
        self._follow(log(predicted) + error, amounts)

    def _follow(self, wanted: float, amounts: Sequence[float]) -> None:
        """Move the levels towards a sum of e^wanted, in steps since that is not linear."""
        start, count = [log(x) for x in self.levels], len(self.levels)
        for _ in range(_STEPS if count > 1 else 1):
            shares = self._shares(amounts)
            variance = self._variance(shares) + self._noise ** 2
            gains = [sum(map(mul, row, shares)) / variance for row in self._covariance]
            error = wanted - log(self.predicted(*amounts)) - sum(
                h * (x0 - log(x)) for h, x0, x in zip(shares, start, self.levels, strict=True))
            self.levels = [exp(x0 + k * error) for x0, k in zip(start, gains, strict=True)]
        moved = [sum(map(mul, row, shares)) for row in self._covariance]
        self._covariance = [[self._covariance[i][j] - gains[i] * moved[j] for j in range(count)]
                            for i in range(count)]

    def _shares(self, amounts: Sequence[float]) -> list[float]:
        """Return the share of each figure in the expected sum."""
        predicted = self.predicted(*amounts)
        return [n * x / predicted for n, x in zip(amounts, self.levels, strict=True)]

    def _variance(self, shares: Sequence[float]) -> float:
        """Return the relative variance of a sum that comes from the levels."""
        variance: float = sum(h * sum(map(mul, row, shares))
                              for h, row in zip(shares, self._covariance, strict=True))
        return max(variance, 0.0)

    def _learn_noise(self, excess: float) -> None:
        variance = self._noise ** 2 + _LEARNING_RATE * (excess - self._noise ** 2)
        self._noise = min(sqrt(max(variance, _LEAST_NOISE ** 2)), _MOST_NOISE)

    def _has_jumped(self, deviation: float) -> bool:
        if abs(deviation) <= OUTLIER:
            self._outside = 0
            return False
        self._outside = max(self._outside, 0) + 1 if deviation > 0 else min(self._outside, 0) - 1
        if -self._jumps[1] < self._outside < self._jumps[0]:
            return False
        self._outside = 0
        return True

    def _reopen(self, shares: Sequence[float], error: float) -> None:
        """Let the figure that makes most of the sum be off by as much as the observation."""
        most = max(range(len(shares)), key=lambda i: shares[i] * self._drifts[i])
        self._covariance[most][most] = min(self._covariance[most][most] + error ** 2,
                                           _MOST_VARIANCE)


def _each(value: float | Sequence[float], count: int) -> list[float]:
    return [float(value)] * count if isinstance(value, (int, float)) else list(value)
