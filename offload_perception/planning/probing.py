"""Which probe of a link is worth sending now, and for how much energy."""

from dataclasses import dataclass, replace

from offload_perception.planning.decision import Decision
from offload_perception.planning.forecast import Route
from offload_perception.planning.route_watch import RouteWatch
from offload_perception.profiles.device_profile import Radio

PROBE_PERIOD_S = 1.0  # at most, between two probes of a link that frames do not use
_SOONEST_S, _IN_DOUBT_S = 0.25, 0.1  # between two probes; if the link seems to change
_PATIENCE = 0.3  # of the time since the link changed passes between two probes
_BYTES = (64, 256, 4096)  # a small probe; a large one at least and at most
_UNCLEAR = 0.15  # relative spread of a round trip, or of a bandwidth, that a probe should settle
# If sending would take up to this many times the energy, a little more bandwidth makes it the
# better choice: worth a large probe, not sooner after the last word of the link than that.
_NEARLY, _RECENT_S = 1.5, 0.4
_LONGEST_S = 3.0  # without a word of the link, whatever a probe may cost
_SHARE = 0.01  # of the energy drawn may go into probes of a link that works


@dataclass(frozen=True)
class Probe:
    """Send `nbytes` to `server` in the background and report when the answer came.

    `warned` says whether late beats warn of the link.
    """

    server: str
    nbytes: int
    energy_j: float
    warned: bool = False


class Prober:
    """Watches links that frames do not use, or that frames of one size leave unclear.

    Soon after a change another one is likely, so the time between probes grows with the time
    since the last change, up to `PROBE_PERIOD_S`. Probes may take a share of the energy that
    frames draw, and after each change what one frame on board does; those of lost links any. If
    a link has not been measured for long, it may be far better than known, and cheap to probe.
    """

    def __init__(self, radio: Radio, allowance_j: float) -> None:
        self._radio, self._allowance_j = radio, allowance_j
        self._changes: dict[str, tuple[int, float]] = {}  # of each link: how many, and when
        self._left_j, self._drawn_j = allowance_j, 0.0
        self.count, self.spent_j, self._deducted_j = 0, 0.0, 0.0

    def next(self, route: Route, watch: RouteWatch, decision: Decision, now_s: float,
             drawn_j: float) -> Probe | None:
        """Return a probe of `route` that is due now, or None.

        :param decision: the last one; :param drawn_j: by all frames so far.
        """
        self._left_j += _SHARE * max(drawn_j - self._drawn_j, 0.0)
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
        """Take the cost of the last probe, which may be less than expected."""
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
            return _IN_DOUBT_S
        return min(max(_PATIENCE * (now_s - since_s), _SOONEST_S), PROBE_PERIOD_S)

    def _wanted(self, route: Route, watch: RouteWatch, decision: Decision,
                now_s: float) -> Probe | None:
        """Return a probe if it is worth it: small ones for the round trip, large for bandwidth."""
        link, beats = route.link, route.beats
        if watch.lost:
            return self._sized(route, large=watch.answering)
        unclear = link.round_trip_spread_s > _UNCLEAR * link.round_trip_s
        if not decision.option.local and not watch.suspect:
            return self._affordable(self._sized(route, large=False)) if (
                unclear and decision.server == route.server) else None
        if beats.late(now_s) and not beats.in_doubt(now_s):
            return None  # a bad link may recover soon
        if link.in_doubt or beats.in_doubt(now_s):
            return self._sized(route, large=True,
                               slowdown=beats.slowdown(now_s, link.s_per_byte))
        if decision.runner_up_energy_j < _NEARLY * decision.energy_j and (
                link.age_s(now_s) > _RECENT_S):
            return self._affordable(self._sized(route, large=True))
        narrow = link.bandwidth_spread <= _UNCLEAR * link.bandwidth
        large = not narrow and not (unclear and self.count % 2)
        small = self._sized(route, large=False)
        if link.age_s(now_s) > _LONGEST_S:
            return small
        return self._affordable(self._sized(route, large=large)) or self._affordable(small)

    def _affordable(self, probe: Probe) -> Probe | None:
        return probe if probe.energy_j <= self._left_j else None

    def _sized(self, route: Route, *, large: bool, slowdown: float = 1.0) -> Probe:
        link, radio = route.link, self._radio
        low, middle, high = _BYTES
        telling = link.round_trip_s * link.bandwidth / slowdown  # on the link for a round trip
        nbytes = int(min(max(telling, middle), high)) if large else low
        s_per_byte = link.s_per_byte * slowdown
        return Probe(route.server, nbytes,
                     nbytes * (radio.sending_w * s_per_byte + radio.j_per_byte))
