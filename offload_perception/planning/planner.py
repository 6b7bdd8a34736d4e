"""The choice among the candidates: least energy under the deadline, without flapping."""

from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.forecast import Forecast


@dataclass(frozen=True)
class PlannerSettings:
    """The user's settings of the planner.

    `margin` standard deviations are kept before the deadline. Options whose agreement with the
    whole network was measured below `agreement_floor` are out, and lossy ones that were not
    measured unless the floor is 0. A cheaper option is taken if it saves more than
    `hysteresis` (a share), or a fifth if the last change was less than `dwell_s` ago. Every
    `explore_every`th frame at most, and for `explore_share` of the energy at most, an option whose
    size is guessed may be tried; 0 = never. `idle_share` of the idle power counts for the latency,
    for a drone that sleeps between frames. `latency_weight_w` is energy that a second is worth
    with a full battery.
    """

    margin: float = 2.0
    agreement_floor: float = 0.95
    hysteresis: float = 0.02
    dwell_s: float = 0.5
    explore_every: int = 100
    explore_share: float = 0.01
    idle_share: float = 0.0
    latency_weight_w: float = 0.0

    def __post_init__(self) -> None:
        for name, high in (('margin', 10.0), ('agreement_floor', 1.0), ('hysteresis', 1.0),
                           ('dwell_s', 3600.0), ('explore_every', 1e9), ('explore_share', 1.0),
                           ('idle_share', 1.0), ('latency_weight_w', 1e3)):
            if not 0 <= getattr(self, name) <= high:
                raise PlanError(f'{name} is {getattr(self, name)}; it has to lie in '
                                f'0 .. {high:g}')


class Planner:
    """Chooses one option of a forecast for each frame."""

    _MARGIN_IN_USE = 0.7  # share of the margin that is enough for the option in use
    _CHEAP_HEDGE = 0.1  # share of the energy; a hedge that costs less is planned in any case
    _SAVING_IN_DWELL = 0.2  # share that another change within `dwell_s` has to save

    def __init__(self, settings: PlannerSettings, cut_names: tuple[str, ...]) -> None:
        self.settings, self._cut_names = settings, cut_names
        self._current: Option | None = None
        self._since_s = -inf
        self._frames_since_exploring = 0
        self.spent_j = self.explored_j = 0.0
        self.explored = self.changes = 0

    def choose(self, forecast: Forecast, deadline_s: float, now_s: float, *,
               battery: float = 1.0, may_explore: bool = True) -> Decision:
        """Return the decision for the frame that starts at `now_s`.

        :param deadline_s: from the frame's arrival; 0, negative or not finite = none.
        :param battery: state of charge, 0 .. 1.
        """
        limit_s = deadline_s if 0.0 < deadline_s < inf else inf
        allowed = forecast.usable & self._agrees(forecast.agreement)
        if not allowed.any():
            return self._nothing_allowed(forecast, deadline_s)
        at = forecast.options.place(self._current)
        margin_s = self.settings.margin * forecast.latency_spread_s
        upper_s = forecast.latency_s + margin_s
        in_time = allowed & (upper_s <= limit_s)
        energy_j, hedged = self._hedged(forecast, allowed, in_time, upper_s, limit_s)
        feasible = in_time | hedged
        if at >= 0 and allowed[at]:
            feasible[at] |= forecast.latency_s[at] + self._MARGIN_IN_USE * margin_s[at] <= limit_s
        late = not feasible.any()
        cost = upper_s if late else energy_j
        if not late and (weight_w := self.settings.latency_weight_w * battery):
            cost = cost + weight_w * forecast.latency_s
        cost = np.where(allowed if late else feasible, cost, inf)
        chosen = self._stay_or_change(at, cost, late, now_s)
        tried = -1 if late or not may_explore else self._worth_trying(
            forecast, allowed, float(energy_j[chosen]), limit_s)
        if tried >= 0:
            return self._explored(forecast, tried, deadline_s, bool(in_time[0]))
        self._account(forecast, chosen, now_s)
        return self._explained(forecast, chosen, cost, energy_j, deadline_s, late,
                               bool(hedged[chosen]))

    def _hedged(self, forecast: Forecast, allowed: np.ndarray, in_time: np.ndarray,
                 upper_s: np.ndarray, limit_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the energies, and which options get a hedge that meets the deadline.

        The energies include the expected cost of the hedge. An option that may be late is as safe
        with a hedge as all on board; one that is in time gets a hedge if it is cheap. An option
        whose mean is late gets none, and so is not sent: it would only load the server.
        """
        if forecast.hedge is None or not in_time[0] or limit_s == inf:
            return forecast.energy_j, np.zeros(len(allowed), bool)
        start_s = forecast.hedge.last_start_s(limit_s)
        possible = allowed & (start_s > 0.0) & (forecast.latency_s <= limit_s)
        extra_j = forecast.hedge.expected_j(np.where(possible, start_s, 0.0), limit_s,
                                           np.minimum(forecast.latency_s, limit_s),
                                           forecast.latency_spread_s)
        hedged = possible & (~in_time | (start_s >= upper_s)
                              | (extra_j <= self._CHEAP_HEDGE * forecast.energy_j))
        return forecast.energy_j + np.where(hedged, extra_j, 0.0), hedged

    def _agrees(self, agreement: np.ndarray) -> np.ndarray:
        floor = self.settings.agreement_floor
        return agreement >= floor if floor > 0 else np.ones(len(agreement), bool)

    def _stay_or_change(self, at: int, cost: np.ndarray, late: bool, now_s: float) -> int:
        """Return the option in use if it is still good enough, else the best."""
        best = int(cost.argmin())
        if at < 0 or cost[at] == inf:
            return best
        worse = 0.05 if late else self.settings.hysteresis
        if not late and 0.0 <= now_s - self._since_s < self.settings.dwell_s:
            worse = max(worse, self._SAVING_IN_DWELL)
        return at if cost[at] <= cost[best] * (1.0 + worse) else best

    def _worth_trying(self, forecast: Forecast, allowed: np.ndarray, chosen_j: float,
                      limit_s: float) -> int:
        """Return an option of guessed size that may save energy and be in time, or -1."""
        s = self.settings
        self._frames_since_exploring += 1
        if not s.explore_every or self._frames_since_exploring < s.explore_every:
            return -1
        hope_j = np.where(allowed & forecast.guessed & (forecast.latency_s <= limit_s),
                          forecast.energy_j - forecast.energy_spread_j, inf)
        at = int(hope_j.argmin())
        extra_j = max(float(forecast.energy_j[at]) - chosen_j, 0.0)
        within_budget = self.explored_j + extra_j <= s.explore_share * self.spent_j
        return at if hope_j[at] < chosen_j * (1.0 - s.hysteresis) and within_budget else -1

    def _explored(self, forecast: Forecast, at: int, deadline_s: float,
                  feasible: bool) -> Decision:
        self._frames_since_exploring = 0
        self.explored += 1
        at_current = forecast.options.place(self._current)
        if at_current >= 0:
            extra_j = float(forecast.energy_j[at] - forecast.energy_j[at_current])
            self.explored_j += max(extra_j, 0.0)
        return self._decision(forecast, at, deadline_s, feasible, explored=True, reason=(
            f'exploring: {self._name(forecast, at)} was never measured and might take less than '
            'what is in use'))

    def _account(self, forecast: Forecast, chosen: int, now_s: float) -> None:
        self.spent_j += float(forecast.energy_j[chosen])
        option = forecast.options[chosen]
        if now_s < self._since_s:  # the clock went back: the dwell starts anew
            self._since_s = now_s
        if option != self._current:
            self.changes += self._current is not None
            self._current, self._since_s = option, now_s

    def _explained(self, forecast: Forecast, chosen: int, cost: np.ndarray,
                   energy_j: np.ndarray, deadline_s: float, late: bool,
                   hedged: bool) -> Decision:
        best = int(cost.argmin())
        own, cost[chosen] = float(cost[chosen]), inf
        second = int(cost.argmin())
        runner_up_cost, cost[chosen] = float(cost[second]), own
        if late:
            reason = (f'nothing keeps the deadline of {deadline_s:.3g} s with its margin: this is '
                      'the least late')
        elif chosen != best:
            reason = (f'kept: {self._name(forecast, best)} is no better by more than '
                      f'{self.settings.hysteresis:.0%}, or the last change is too fresh')
        else:
            reason = 'least energy' + (' within the deadline' if deadline_s > 0 else '')
        extra_mj = 1e3 * (energy_j[chosen] - forecast.energy_j[chosen])
        if hedged and extra_mj > 100.0 * self._CHEAP_HEDGE * forecast.energy_j[chosen]:
            reason += ('; hedged: finished on board if the reply is late, for '
                       f'{extra_mj:.0f} mJ on average')
        extra: dict[str, Any] = {} if runner_up_cost == inf else {
            'runner_up': forecast.options[second],
            'runner_up_latency_s': float(forecast.latency_s[second]),
            'runner_up_energy_j': float(energy_j[second]),
            'runner_up_reason': self._why_not(forecast, energy_j, second, chosen, late)}
        return self._decision(forecast, chosen, deadline_s, not late, hedged=hedged,
                              energy_j=float(energy_j[chosen]), reason=reason, **extra)

    @staticmethod
    def _why_not(forecast: Forecast, energy_j: np.ndarray, second: int, chosen: int,
                 late: bool) -> str:
        if late:
            later_ms = 1e3 * (forecast.latency_s[second] - forecast.latency_s[chosen])
            return f'expected {later_ms:+.1f} ms later, margins apart'
        extra_j = float(energy_j[second] - energy_j[chosen])
        if extra_j < 0:
            return f'{-1e3 * extra_j:.1f} mJ less, but that does not justify a change yet'
        return f'{1e3 * extra_j:.1f} mJ more'

    def _nothing_allowed(self, forecast: Forecast, deadline_s: float) -> Decision:
        """Return the usable option of best agreement, since none reaches the floor."""
        if not forecast.usable.any():
            return self._decision(forecast, 0, deadline_s, False, runnable=False, reason=(
                'nothing can run: the network does not fit on board and no server is usable'))
        agreement = np.where(forecast.usable, np.nan_to_num(forecast.agreement, nan=0.0), -1.0)
        best = np.flatnonzero(agreement == agreement.max())
        at = int(best[forecast.latency_s[best].argmin()])
        return self._decision(forecast, at, deadline_s, False, reason=(
            f'no candidate reaches the agreement floor of {self.settings.agreement_floor:g}: this '
            'is the closest to it'))

    def _decision(self, forecast: Forecast, at: int, deadline_s: float, feasible: bool, *,
                  hedged: bool = False, energy_j: float | None = None,
                  **more: Any) -> Decision:
        option = forecast.options[at]
        bandwidth, round_trip_s, wait_s = forecast.routes.get(option.server, (nan, nan, nan))
        latency_s, spread_s = float(forecast.latency_s[at]), float(forecast.latency_spread_s[at])
        hedge_s = inf
        if forecast.hedge is not None and not option.local:
            hedge_s = forecast.hedge.start_s(
                at, deadline_s if 0.0 < deadline_s < inf else inf,
                latency_s + self.settings.margin * spread_s, keeps_deadline=hedged)
        return Decision(
            option, latency_s, spread_s,
            float(forecast.energy_j[at]) if energy_j is None else energy_j,
            float(forecast.energy_spread_j[at]), deadline_s, feasible,
            candidates=len(forecast.options), bandwidth=bandwidth,
            round_trip_s=round_trip_s, wait_s=wait_s, hedge_s=hedge_s, **more)

    def _name(self, forecast: Forecast, at: int) -> str:
        return forecast.options[at].named(self._cut_names)
