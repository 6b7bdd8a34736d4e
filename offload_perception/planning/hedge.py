"""A hedge: if the reply to a frame that was sent is late, the drone finishes the frame itself.

It keeps the boundary tensor, and at the last moment that still meets the deadline it starts to run
the remaining layers, until the reply or its own result is there. So a slow link or server does not
endanger the deadline, but costs energy, in proportion to how often the hedge runs.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

_MARGIN = 3.0  # standard deviations of the time on board; nothing comes after the hedge
_SHORTEST_S = 1e-9  # a last layer may take less than a clock resolves; avoids a division by 0
_LOGISTIC = sqrt(3.0) / pi  # scale of a logistic distribution by its standard deviation


def late_share(latency_s: np.ndarray, spread_s: np.ndarray, limit_s: float) -> np.ndarray:
    """Return the probability that each latency exceeds `limit_s`, float64 (k,).

    Latencies are taken to be logistically distributed, since links have such tails.
    """
    scale_s = _LOGISTIC * np.clip(spread_s, 1e-6, 1e9)
    share: np.ndarray = 1.0 / (1.0 + np.exp(np.clip((limit_s - latency_s) / scale_s, -50.0, 50.0)))
    return share


@dataclass(frozen=True)
class HedgeCost:
    """Time and energy of the layers after the cut of each option, on board; arrays are (k,).

    Seconds are infinite if they cannot run there.
    """

    seconds: np.ndarray
    spread_s: np.ndarray
    joules: np.ndarray

    def last_start_s(self, deadline_s: float) -> np.ndarray:
        """Return when a hedge has to start to meet the deadline, from the arrival, (k,)."""
        return deadline_s - self.seconds - _MARGIN * self.spread_s

    def expected_share(self, start_s: np.ndarray, deadline_s: float, latency_s: np.ndarray,
                       spread_s: np.ndarray) -> np.ndarray:
        """Return which share of the hedge is expected to run, float64 (k,), 0 .. 1.

        The work lasts from `start_s` until the reply, or until the deadline. Its mean is the
        integral of the probability that the reply is not there yet, which has a closed form.
        """
        scale_s = _LOGISTIC * np.clip(spread_s, 1e-6, 1e9)
        with np.errstate(invalid='ignore'):  # an unknown latency is NaN, and so is its energy
            working_s = scale_s * (np.logaddexp(0.0, (latency_s - start_s) / scale_s)
                                   - np.logaddexp(0.0, (latency_s - deadline_s) / scale_s))
        window_s = np.maximum(deadline_s - start_s, _SHORTEST_S)
        share: np.ndarray = np.minimum(working_s / window_s, 1.0)
        return share
