"""Power samples of a fast meter as energy over time."""

from __future__ import annotations

import numpy as np

LONG_GAP_S = 0.1
"""What was drawn in a longer time without samples is unknown."""
_GAP_STEPS, _SHORT_GAP_S = 5, 0.05  # so it is in as many usual steps, but in no shorter time
_MEDIAN_CHI2 = 0.4549  # of one degree of freedom


class PowerTrace:
    """Power samples as energy over time, with what noise and sampling do to it.

    `times_s` and `powers_w` are float64 of one length. `clock_s` is the standard deviation of the
    times' common error. Times that do not rise, as where two blocks meet, are put in order.

    What was drawn in a gap is unknown: in more than five usual steps, or 0.1 s, without a sample.

    The variance of an integral is noise ** 2 * step for each second, and a jump anywhere between
    two samples is one of jump ** 2 * step ** 2 / 12 (uniform). The noise is that of the second
    differences, by their median, which jumps do not change.
    """

    def __init__(self, times_s: np.ndarray, powers_w: np.ndarray, clock_s: float) -> None:
        order = np.argsort(times_s, kind='stable')
        self._times_s, powers_w = times_s[order], powers_w[order]
        self.clock_s = clock_s
        steps_s, jumps_w = np.diff(self._times_s), np.diff(powers_w)
        bends_w2 = np.diff(jumps_w) ** 2 / 6
        noise_w2 = float(np.median(bends_w2)) / _MEDIAN_CHI2 if len(bends_w2) else 0.0
        usual_s = float(np.median(steps_s)) if len(steps_s) else 0.0
        gap_s = min(max(_GAP_STEPS * usual_s, _SHORT_GAP_S), LONG_GAP_S)
        self._gaps_s = _summed(np.where(steps_s > gap_s, steps_s, 0.0))
        self._joules = _summed(steps_s * (powers_w[1:] + powers_w[:-1]) / 2)
        self._joules2 = _summed(steps_s ** 2 * (noise_w2 + jumps_w ** 2 / 12))

    def covers(self, edges_s: np.ndarray) -> np.ndarray:
        """Return whether samples cover each of `edges_s` to the next, bool [edges - 1]."""
        inside = ((self._times_s[0] <= edges_s[:-1]) & (edges_s[:-1] <= edges_s[1:])
                  & (edges_s[1:] <= self._times_s[-1]))
        covered: np.ndarray = inside & (self._between(edges_s, self._gaps_s) == 0.0)
        return covered

    def drawn_j(self, edges_s: np.ndarray) -> np.ndarray:
        """Return the energy between each of `edges_s` and the next, float64 [edges - 1]."""
        return self._between(edges_s, self._joules)

    def variances_j2(self, edges_s: np.ndarray) -> np.ndarray:
        """Return the variance of each of these energies."""
        return self._between(edges_s, self._joules2)

    def _between(self, edges_s: np.ndarray, summed: np.ndarray) -> np.ndarray:
        return np.diff(np.interp(edges_s, self._times_s, summed))


def _summed(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)])
