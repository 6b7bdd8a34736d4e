"""Frames that are sent, and finished on board if no reply comes in time.

The boundary tensor is kept. From the last moment that keeps the deadline on, the rest of the
network runs on board until the reply comes or the result is there: so a link or a server that
may be late is no risk for the deadline, but costs energy the more likely it is late.
"""

from dataclasses import dataclass
from math import inf, isfinite, pi, sqrt

import numpy as np

_MARGIN = 3.0  # standard deviations of the time on board, which is the last resort
_SHORTEST_S = 1e-9  # of a rest; a last layer may take less than a clock resolves
_LOGISTIC = sqrt(3.0) / pi  # scale of a logistic distribution by its standard deviation


@dataclass(frozen=True)
class Rest:
    """What finishing on board takes after the cut of each option; arrays are (k,).

    Seconds are infinite if that is impossible.
    """

    seconds: np.ndarray
    spread_s: np.ndarray
    joules: np.ndarray

    def last_start_s(self, deadline_s: float) -> np.ndarray:
        """Return when finishing has to start to keep the deadline, from the frame's arrival."""
        return deadline_s - self.seconds - _MARGIN * self.spread_s

    def expected_j(self, start_s: np.ndarray, deadline_s: float, latency_s: np.ndarray,
                   spread_s: np.ndarray) -> np.ndarray:
        """Return the energy that is expected to go into finishing on board, float64 (k,).

        The work lasts from `start_s` until the reply, or until the deadline. Its mean is the
        integral of the probability that the reply is not there yet; replies are taken to be
        spread logistically, which has the tails of a link and a closed form.
        """
        scale_s = _LOGISTIC * np.clip(spread_s, 1e-6, 1e9)
        working_s = scale_s * (np.logaddexp(0.0, (latency_s - start_s) / scale_s)
                               - np.logaddexp(0.0, (latency_s - deadline_s) / scale_s))
        window_s = np.maximum(deadline_s - start_s, _SHORTEST_S)
        expected_j: np.ndarray = self.joules * np.minimum(working_s / window_s, 1.0)
        return expected_j

    def start_s(self, at: int, deadline_s: float, overdue_s: float, *, insured: bool) -> float:
        """Return when to start finishing option `at`, from the frame's arrival.

        :param overdue_s: when its reply is overdue, for a frame without a deadline.
        :param insured: whether this keeps the deadline. Else the reply is waited for until
            the deadline: a late result is better than none. Infinite if that would take
            longer than a second deadline.
        """
        rest_s = float(self.seconds[at])
        if not isfinite(rest_s):
            return inf
        if deadline_s == inf:
            return overdue_s
        if insured:
            return deadline_s - rest_s - _MARGIN * float(self.spread_s[at])
        return deadline_s if rest_s <= deadline_s else inf
