"""References that know more than a drone can."""

from math import inf

import numpy as np

from offload_perception.planning.decision import Decision, Option
from offload_perception.simulation.policies import Static, Truth


class Clairvoyant(Static):
    """Least true energy among what will truly be in time; else the least late.

    It knows the future of its own frame, but takes each frame for itself (greedy): it is a
    reference, no bound.
    """

    def __init__(self) -> None:
        """Choose for itself."""

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the best option in hindsight."""
        options, latency_s, energy_j = truth.outcomes()
        in_time = latency_s <= (deadline_s or inf)
        cost = np.where(in_time, energy_j, inf) if in_time.any() else latency_s
        return options[int(cost.argmin())]


class Present(Clairvoyant):
    """Knows the present exactly and at no cost, and of the future the distributions.

    The link is assumed to stay as it is. A frame that may be late is hedged, at the mean cost.
    """

    _OVERDUE = 1.1  # times the latest that is expected
    _SLACK_S = 1e-3  # before the last moment

    def __init__(self) -> None:
        self._hedge_s = inf

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the option of the least mean energy that keeps the deadline for sure."""
        p = truth.prospects(now_s)
        latest_s = p.latency_s.max(axis=1)
        start_s = deadline_s - p.hedge_work_s - self._SLACK_S
        working_s = np.minimum(p.latency_s, deadline_s) - start_s[:, None]
        with np.errstate(invalid='ignore', divide='ignore'):
            working = np.clip(np.nan_to_num(working_s / p.hedge_work_s[:, None]), 0.0, 1.0)
        mean_j = p.energy_j + p.hedge_work_j * working.mean(axis=1)
        in_time = latest_s <= deadline_s
        hedged = ~in_time & in_time[0] & (start_s > waited_s)
        cost = np.where(in_time, p.energy_j, np.where(hedged, mean_j, inf))
        at = int((cost if cost.min() < inf else p.latency_s.mean(axis=1)).argmin())
        self._hedge_s = max(start_s[at], 0.0 if hedged[at] else self._OVERDUE * latest_s[at])
        return p.options[at]

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return the last moment, or the moment when a certain reply is overdue."""
        return self._hedge_s
