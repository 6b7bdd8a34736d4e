"""Times of all heads or tails of a network, from a prior and from the ones that were measured."""

import numpy as np

from offload_perception.planning.estimate import Estimate

_SETTLED = 20  # frames of a cut
_SHAPE_SHARE = 0.2  # of the prior's spread; the rest is the computer's speed, which any time shows
_LONGEST_S = 3600.0


class CutTimes:
    """A time for each cut: prior x one factor for the computer's speed x the cut's own factor.

    The first 20 times of a cut set its own factor. From then on the speed follows its times, for
    all cuts. A cut that was never measured has the factor of its neighbours, interpolated.
    """

    def __init__(self, prior_s: np.ndarray, spread: np.ndarray | float, *,
                 shared_after: int = 1) -> None:
        """Start from a prior, float64 (k,) [s], 0 or infinite for cuts that have no time.

        :param spread: relative standard deviation of each, before any was measured.
        :param shared_after: how many times of a cut tell something about its neighbours.
        """
        self._prior_s = prior_s
        self._spread = np.broadcast_to(np.asarray(spread, float), prior_s.shape)
        self._own: dict[int, Estimate] = {}
        self._shared_after = shared_after
        self._factors = np.ones(len(prior_s))
        self._speed = Estimate(1.0, spread=0.1)

    @property
    def slowdown(self) -> float:
        """Return the current time relative to the prior, all cuts alike."""
        return self._speed.level

    def observe(self, cut: int, seconds: float) -> None:
        """Take a measured time; what is impossible, or a cut without a prior, is ignored."""
        if not 0 <= cut < len(self._prior_s) or not 0.0 < seconds <= _LONGEST_S:
            return
        prior_s = float(self._prior_s[cut])
        if not 0.0 < prior_s < np.inf:
            return
        own = self._own.setdefault(cut, Estimate(1.0))
        if own.count >= _SETTLED:
            self._speed.observe(seconds / (prior_s * own.level))
            return
        own.observe(seconds / (prior_s * self._speed.level))
        if known := sorted(c for c, o in self._own.items() if o.count >= self._shared_after):
            self._factors = np.interp(np.arange(len(self._prior_s)), known,
                                      [self._own[c].level for c in known])

    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the time of each cut [s] and its variance [s^2], float64 (k,)."""
        factors, spread = self._factors.copy(), self._spread * (_SHAPE_SHARE if self._own else 1.0)
        for cut, own in self._own.items():
            factors[cut], spread[cut] = own.level, own.spread if own.count < _SETTLED else 0.0
        seconds = self._prior_s * (factors * self._speed.level)
        spread = np.hypot(spread, self._speed.spread)
        return seconds, np.square(np.where(np.isfinite(seconds), seconds, 0.0) * spread)
