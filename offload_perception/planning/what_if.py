"""The planner offline: its choices for a given link and deadline."""

from dataclasses import dataclass

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.forecast import Forecast, Forecaster
from offload_perception.planning.link import LinkEstimate
from offload_perception.planning.planner import Planner, PlannerSettings
from offload_perception.planning.route import Route, ServerReport
from offload_perception.planning.session import default_pairs, frame_j
from offload_perception.planning.sizes import SizeTable
from offload_perception.profiles.device_profile import DeviceProfile

SERVER = '/server'
_SPREAD = 0.05  # relative, of a link whose figures are given


@dataclass(frozen=True)
class Conditions:
    """A link and a server: bytes per second, seconds. `tail_s` is the whole network's there."""

    bandwidth: float = 125_000.0
    round_trip_s: float = 0.02
    wait_s: float = 0.0
    tail_s: float = 0.05

    def __post_init__(self) -> None:
        for name, low in (('bandwidth', 1.0), ('round_trip_s', 1e-5), ('wait_s', 0.0),
                          ('tail_s', 1e-6)):
            if not low <= getattr(self, name) <= 1e12:
                raise PlanError(f'{name} is {getattr(self, name)}; it has to be {low:g} or more')


class WhatIf:
    """Candidates and choices for one device and network."""

    def __init__(self, shape: NetworkShape, profile: DeviceProfile, sizes: SizeTable,
                 settings: PlannerSettings,
                 pairs: tuple[tuple[int, str], ...] | None = None) -> None:
        self.shape = shape
        self._forecaster = Forecaster(profile.check_for(shape), sizes,
                                      pairs or (*default_pairs(shape), *sizes.learned),
                                      agreement=shape.agreement)
        self._planner = Planner(settings, shape.names, settings.late_price * frame_j(profile))

    def forecast(self, conditions: Conditions) -> Forecast:
        """Return every candidate on that link."""
        route = Route(SERVER, self.shape, LinkEstimate(
            conditions.bandwidth, conditions.round_trip_s, spread=_SPREAD))
        route.report(0.0, ServerReport(SERVER, conditions.wait_s, (conditions.tail_s,)))
        return self._forecaster.forecast([route], 0.0)

    def choose(self, conditions: Conditions, deadline_s: float) -> Decision:
        """Return the choice."""
        return self._planner.choose(self.forecast(conditions), deadline_s)

    def choice_map(self, conditions: Conditions, bandwidths: np.ndarray,
                   deadlines_s: np.ndarray) -> list[list[Option | None]]:
        """Return the choice for each deadline (rows) and bandwidth, None if all are late."""
        columns = []
        for bandwidth in bandwidths:
            forecast = self.forecast(Conditions(float(bandwidth), conditions.round_trip_s,
                                                conditions.wait_s, conditions.tail_s))
            decisions = [self._planner.choose(forecast, float(d)) for d in deadlines_s]
            columns.append([d.option if d.feasible else None for d in decisions])
        return [list(row) for row in zip(*columns, strict=True)]

    def allowed(self, forecast: Forecast) -> np.ndarray:
        """Return which candidates can run and agree enough, bool (k,)."""
        allowed: np.ndarray = forecast.usable & self._planner.agrees(forecast.agreement)
        return allowed


def pareto(latency_s: np.ndarray, energy_j: np.ndarray, allowed: np.ndarray) -> list[int]:
    """Return the candidates that no other beats in both time and energy, fastest first."""
    front, least_j = [], np.inf
    for place in np.lexsort((energy_j, latency_s)):
        if allowed[place] and energy_j[place] < least_j:
            front.append(int(place))
            least_j = energy_j[place]
    return front
