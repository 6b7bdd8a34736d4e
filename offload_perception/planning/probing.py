"""Probes: small packets that measure a link which frames do not use."""

from dataclasses import dataclass, replace

from offload_perception.planning.decision import Decision
from offload_perception.planning.forecast import Route
from offload_perception.planning.route_watch import RouteWatch
from offload_perception.profiles.device_profile import Radio

# Set by hand; `benchmarks/planner.py` flies them against oracles (docs/records/planner.md).
PROBE_PERIOD_S = 1.0  # longest, of probes of a link that frames do not use
_MIN_PERIOD_S, _DOUBT_PERIOD_S = 0.25, 0.1  # shortest; while the link may be changing
_PERIOD_SHARE = 0.3  # of the time since the last change is the period
_SMALL_BYTES, _LARGE_BYTES = 64, (256, 4096)  # payload of a probe; of a large one: least, most
_UNCLEAR_SPREAD = 0.15  # relative, of round trip or bandwidth: a probe is worth sending
# If sending takes up to this many times the energy, a little more bandwidth makes it the better
# choice: that is worth a large probe, if the last observation is older than `_RECENT_S`.
_NEARLY_BETTER, _RECENT_S = 1.5, 0.4
_MAX_AGE_S = 3.0  # an older observation is worth a probe at any cost
_BUDGET_SHARE = 0.01  # of the energy drawn may go into probes of a link that works


@dataclass(frozen=True)
class Probe:
    """A packet of `nbytes` for `server`, which answers it at once.

    `warned`: late beats warn of a slow link.
    """

    server: str
    nbytes: int
    energy_j: float
    warned: bool = False


class Prober:
    """Probes links that frames do not use, or whose bandwidth frames of one size cannot determine.

    Soon after a change another one is likely, so the period of probes grows with the time since
    the last change, up to `PROBE_PERIOD_S`. Probes may take a share of the energy that frames
    draw, and after each change the energy of one frame on board; probes of lost links have no
    limit. A link without a recent observation may be far better than estimated, and so cheaper
    to probe than it seems: it is probed at any cost.
    """

    def __init__(self, radio: Radio, allowance_j: float) -> None:
        self._radio, self._allowance_j = radio, allowance_j
        self._changes: dict[str, tuple[int, float]] = {}  # of each link: count, and last time
        self._left_j, self._drawn_j = allowance_j, 0.0
        self.count, self.spent_j, self._deducted_j = 0, 0.0, 0.0

    def next(self, route: Route, watch: RouteWatch, decision: Decision, now_s: float,
             drawn_j: float) -> Probe | None:
        """Return a probe of `route` that is due now, or None.

        :param decision: the last one; :param drawn_j: by all frames so far.
        """
        self._left_j += _BUDGET_SHARE * max(drawn_j - self._drawn_j, 0.0)
        self._drawn_j = drawn_j
        period_s = self._period_s(route, watch, now_s)
        probe = self._wanted(route, watch, decision, now_s)
        if probe is None or not watch.probe_due(now_s, period_s):
            return None
        self.count += 1
        self._deducted_j = min(probe.energy_j, self._left_j)
        self._left_j -= self._deducted_j
        self.spent_j += probe.energy_j
        return replace(probe, warned=route.beats.warns(now_s))

    def correct_cost(self, probe: Probe, energy_j: float) -> None:
        """Correct the cost of the last probe, if it took less than expected."""
        saved_j = max(probe.energy_j - energy_j, 0.0)
        self.spent_j -= saved_j
        self._left_j += min(saved_j, self._deducted_j)

    def _period_s(self, route: Route, watch: RouteWatch, now_s: float) -> float:
        changes = route.link.changes + watch.losses
        known, since_s = self._changes.get(route.server, (-1, now_s))
        if changes != known or now_s < since_s:
            self._changes[route.server] = changes, now_s
            self._left_j = max(self._left_j, self._allowance_j)
            since_s = now_s
        if route.link.in_doubt or watch.suspect or route.beats.in_doubt(now_s):
            return _DOUBT_PERIOD_S
        return min(max(_PERIOD_SHARE * (now_s - since_s), _MIN_PERIOD_S), PROBE_PERIOD_S)

    def _wanted(self, route: Route, watch: RouteWatch, decision: Decision,
                now_s: float) -> Probe | None:
        """Return the probe that is worth its energy: small for round trip, large for bandwidth."""
        link, beats = route.link, route.beats
        if watch.lost:
            return self._sized(route, large=watch.answering)
        unclear = link.round_trip_spread_s > _UNCLEAR_SPREAD * link.round_trip_s
        if not decision.option.local and not watch.suspect:
            return self._affordable(self._sized(route, large=False)) if (
                unclear and decision.server == route.server) else None
        if beats.late(now_s) and not beats.in_doubt(now_s):
            return None  # a bad link may recover soon
        if link.in_doubt or beats.in_doubt(now_s):
            return self._sized(route, large=True,
                               slowdown=beats.slowdown(now_s, link.s_per_byte))
        if decision.runner_up_energy_j < _NEARLY_BETTER * decision.energy_j and (
                link.age_s(now_s) > _RECENT_S):
            return self._affordable(self._sized(route, large=True))
        narrow = link.bandwidth_spread <= _UNCLEAR_SPREAD * link.bandwidth
        large = not narrow and not (unclear and self.count % 2)
        small = self._sized(route, large=False)
        if link.age_s(now_s) > _MAX_AGE_S:
            return small
        return self._affordable(self._sized(route, large=large)) or self._affordable(small)

    def _affordable(self, probe: Probe) -> Probe | None:
        return probe if probe.energy_j <= self._left_j else None

    def _sized(self, route: Route, *, large: bool, slowdown: float = 1.0) -> Probe:
        link, radio = route.link, self._radio
        least, most = _LARGE_BYTES
        wanted = link.round_trip_s * link.bandwidth / slowdown  # takes a round trip to send
        nbytes = int(min(max(wanted, least), most)) if large else _SMALL_BYTES
        s_per_byte = link.s_per_byte * slowdown
        return Probe(route.server, nbytes,
                     nbytes * (radio.sending_w * s_per_byte + radio.j_per_byte))
