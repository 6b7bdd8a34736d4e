"""The choice among the candidates: the least expected cost of a camera frame.

    cost = (1 - lost) (E + E_hedge + price P(late)) + lost price

E_hedge is the expected energy of finishing the frame on board from the last moment that meets the
deadline; a frame with such a hedge is not late. `lost` is the share of camera frames that find the
drone busy, if the worker, the link or the replies take longer than the camera's period. A result
that is expected to be late costs the price once more for each deadline by which it is late.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.planning.decision import Decision
from offload_perception.planning.forecast import Forecast
from offload_perception.planning.hedge import late_share

_OVERDUE_SPREADS = 3.0  # after the expected reply, for a frame without a deadline


@dataclass(frozen=True)
class PlannerSettings:
    """The user's settings of the planner.

    `late_price` is the energy that a missed deadline or a dropped frame is worth, in frames that
    run all on board. Options whose agreement with the whole network was measured below
    `agreement_floor` are out, and lossy ones that were not measured unless the floor is 0.
    `max_in_flight` is the number of frames that may be without a reply.
    """

    late_price: float = 10.0
    agreement_floor: float = 0.95
    max_in_flight: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (('late_price', 0.0, 1e6), ('agreement_floor', 0.0, 1.0),
                                ('max_in_flight', 1, 1000)):
            if not low <= getattr(self, name) <= high:
                raise PlanError(f'{name} is {getattr(self, name)}; it has to lie in '
                                f'{low:g} .. {high:g}')


@dataclass(frozen=True)
class Cost:
    """What each option costs, arrays (k,): expected joules, with the price of what goes wrong.

    `energy_j` is with the hedge. `late` and `lost` are shares of frames. A hedge that starts at
    `hedge_s` after the frame's arrival keeps the deadline; infinite = there is none.
    """

    total_j: np.ndarray
    energy_j: np.ndarray
    late: np.ndarray
    lost: np.ndarray
    hedge_s: np.ndarray


class Planner:
    """Chooses one option of a forecast for each frame."""

    def __init__(self, settings: PlannerSettings, cut_names: tuple[str, ...],
                 price_j: float) -> None:
        """Take the settings; :param price_j: of a late or lost frame."""
        self.settings, self._cut_names, self._price_j = settings, cut_names, price_j

    def choose(self, forecast: Forecast, deadline_s: float, period_s: float = 0.0,
               waited_s: float = 0.0) -> Decision:
        """Return the decision for a frame.

        :param deadline_s: from the frame's arrival; 0, negative or not finite = none.
        :param period_s: between two frames of the camera, 0 = unknown.
        :param waited_s: since the frame's arrival.
        """
        limit_s = deadline_s if 0.0 < deadline_s < inf else inf
        if not forecast.usable.any():
            return self._decision(forecast, self.cost(forecast, limit_s, period_s, waited_s), 0,
                                  limit_s, waited_s=waited_s, runnable=False, reason=(
                'nothing can run: the network does not fit on board and no server is usable'))
        allowed = forecast.usable & self.agrees(forecast.agreement)
        note = ''
        if not allowed.any():
            agreement = np.where(forecast.usable, np.nan_to_num(forecast.agreement, nan=0.0), -1.0)
            allowed = agreement == agreement.max()
            note = (f'no candidate reaches the agreement floor of '
                    f'{self.settings.agreement_floor:g}; of those of the best: ')
        cost = self.cost(forecast, limit_s, period_s, waited_s)
        total_j = np.where(allowed, cost.total_j, inf)
        chosen = int(total_j.argmin())
        total_j[chosen] = inf
        second = int(total_j.argmin())
        extra: dict[str, Any] = {} if total_j[second] == inf else {
            'runner_up': forecast.options[second],
            'runner_up_latency_s': float(forecast.latency_s[second]),
            'runner_up_energy_j': float(cost.energy_j[second]),
            'runner_up_reason': self._why_not(cost, second, chosen)}
        return self._decision(forecast, cost, chosen, limit_s,
                              waited_s=waited_s,
                              reason=note + self._why(cost, chosen, limit_s), **extra)

    def cost(self, forecast: Forecast, limit_s: float, period_s: float = 0.0,
             waited_s: float = 0.0) -> Cost:
        """Return what each option costs; :param limit_s: the deadline, infinite = none."""
        count = len(forecast.options)
        late, hedged, hedge_s = np.zeros(count), np.zeros(count, bool), np.full(count, inf)
        energy_j, working_s = forecast.energy_j, forecast.head_s
        if limit_s < inf:
            late = late_share(forecast.latency_s, forecast.latency_spread_s, limit_s)
            late += forecast.unanswered * (1.0 - late)
            if (hedge := forecast.hedge) is not None:
                start_s = hedge.last_start_s(limit_s)
                hedged = start_s >= waited_s + forecast.head_s
                share = hedge.expected_share(np.where(hedged, start_s, 0.0), limit_s,
                                             forecast.latency_s, forecast.latency_spread_s)
                share = np.where(hedged, share + forecast.unanswered * (1.0 - share), 0.0)
                energy_j = energy_j + share * hedge.joules
                working_s = working_s + share * np.where(hedged, hedge.seconds, 0.0)
                hedge_s = np.where(hedged, start_s, inf)
                late = np.where(hedged, 0.0, late)
        lost = np.zeros(count)
        if period_s > 0.0:
            waiting_s = np.minimum(forecast.latency_s, limit_s) / self.settings.max_in_flight
            waiting_s[0] = 0.0
            busy_s = np.maximum(np.maximum(working_s, forecast.sending_s), waiting_s)
            lost = 1.0 - np.minimum(period_s / np.maximum(busy_s, 1e-9), 1.0)
        price_j, excess = self._price_j, np.zeros(count)
        if limit_s < inf:
            excess = np.where(hedged, 0.0, np.maximum(forecast.latency_s / limit_s - 1.0, 0.0))
        return Cost((1.0 - lost) * (energy_j + price_j * (late + excess)) + lost * price_j,
                    energy_j, late, lost, hedge_s)

    def agrees(self, agreement: np.ndarray) -> np.ndarray:
        """Return which options agree enough with the whole network, bool (k,)."""
        floor = self.settings.agreement_floor
        return agreement >= floor if floor > 0 else np.ones(len(agreement), bool)

    def _why(self, cost: Cost, at: int, limit_s: float) -> str:
        words = 'least energy' + (' within the deadline' if limit_s < inf else '')
        if cost.late[at] > 0.5:
            words = 'nothing keeps the deadline: this is the least late for its energy'
        if cost.lost[at] > 0.01:
            words += f'; {cost.lost[at]:.0%} of the frames come while the drone is busy'
        return words

    def _why_not(self, cost: Cost, second: int, chosen: int) -> str:
        words = f'{1e3 * (cost.energy_j[second] - cost.energy_j[chosen]):+.1f} mJ'
        for share, what in ((cost.late, 'late'), (cost.lost, 'lost')):
            if abs(share[second] - share[chosen]) > 0.001:
                words += f', {100 * (share[second] - share[chosen]):+.1f} points more {what}'
        return words

    def _decision(self, forecast: Forecast, cost: Cost, at: int, limit_s: float, *, reason: str,
                  **extra: Any) -> Decision:
        option, hedge_s = forecast.options[at], float(cost.hedge_s[at])
        if limit_s == inf and forecast.hedge is not None and not option.local:
            hedge_s = float(forecast.latency_s[at]
                            + _OVERDUE_SPREADS * forecast.latency_spread_s[at])
        bandwidth, round_trip_s, wait_s = forecast.routes.get(
            option.server, (np.nan, np.nan, np.nan))
        return Decision(
            option, float(forecast.latency_s[at]), float(forecast.latency_spread_s[at]),
            float(cost.energy_j[at]), float(forecast.energy_spread_j[at]),
            limit_s if limit_s < inf else 0.0, bool(cost.late[at] <= 0.5), reason,
            candidates=len(forecast.options), head_s=float(forecast.head_s[at]), hedge_s=hedge_s,
            bandwidth=bandwidth, round_trip_s=round_trip_s, wait_s=wait_s, **extra)
