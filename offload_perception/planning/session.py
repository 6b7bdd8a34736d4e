"""The planner's whole state in one drone: the node asks it for plans and tells it what came."""

from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from threading import RLock

from offload_perception.errors import PlanError
from offload_perception.pipeline.records import Outcome
from offload_perception.planning.accuracy import ForecastError
from offload_perception.planning.decision import Decision
from offload_perception.planning.forecast import Forecast, Forecaster, Route
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.head import HeadEstimator
from offload_perception.planning.link import LinkEstimator
from offload_perception.planning.planner import Planner, PlannerSettings
from offload_perception.planning.profile import DeviceProfile
from offload_perception.planning.robust import RobustLevel
from offload_perception.planning.route_watch import PROBE_PERIOD_S, RouteWatch
from offload_perception.planning.server import ServerEstimator, ServerReport
from offload_perception.planning.shape import NetworkShape
from offload_perception.planning.sizes import SizeTable, codecs_for

_PROBE_BYTES = (64, 256, 4096)  # a small probe; a large one at least and at most
_PROBE_ROUND_TRIPS = 2.0  # a large probe is to occupy the link for about so many
_DOUBT_PROBE_PERIOD_S = 0.1
_PROBE_ALLOWANCE_J = 0.1  # may be spent on probes before the first frames have drawn anything
_UNCLEAR = 0.15  # relative spread of a round trip that a probe should settle
_PROBE_SHARE = 0.02  # of the energy spent may go into probes of a link that works


@dataclass(frozen=True)
class Probe:
    """Send `nbytes` to `server` in the background and report when the answer came."""

    server: str
    nbytes: int
    energy_j: float


class PlanningSession:
    """Plans frames and learns from them. Methods may be called from several threads.

    Times are seconds of one monotonic clock, the caller's. `pairs` are the cuts and codecs to
    weigh; by default the usual ones for each cut.

    :raises PlanError: where the profile is of another network.
    """

    def __init__(self, shape: NetworkShape, profile: DeviceProfile,
                 settings: PlannerSettings | None = None, *,
                 pairs: tuple[tuple[int, str], ...] | None = None,
                 sizes: SizeTable | None = None) -> None:
        self.shape, self.profile = shape, profile.check_for(shape)
        self.settings = settings or PlannerSettings()
        self.sizes = sizes or SizeTable(shape)
        self.head = HeadEstimator(profile)
        self._forecaster = Forecaster(
            profile, self.head, self.sizes, pairs or default_pairs(shape),
            idle_share=self.settings.idle_share)
        self.planner = Planner(self.settings, shape.names)
        self._routes: dict[str, Route] = {}
        self._watches: dict[str, RouteWatch] = {}
        self._preprocess, self._overhead = RobustLevel(0.0, 0.0), RobustLevel(0.0, 0.0)
        self._battery = 1.0
        self._lock = RLock()
        self.latency_error, self.energy_error = ForecastError(), ForecastError()
        self.probes, self.probed_j = 0, 0.0

    # -- plans ------------------------------------------------------------------------------

    def plan(self, now_s: float, deadline_s: float, period_s: float = 0.0) -> Decision:
        """Return what to do with the frame that starts now.

        :param deadline_s: from the frame's arrival, 0 = none.
        :param period_s: between two frames of the camera, 0 = unknown. Stages that take longer
            let frames wait.
        """
        with self._lock:
            return self.planner.choose(self.forecast(now_s, period_s), deadline_s, now_s,
                                       battery=self._battery)

    def forecast(self, now_s: float, period_s: float = 0.0) -> Forecast:
        """Return the forecast of every candidate."""
        with self._lock:
            usable = [route.load.usable(now_s) and not self._watches[name].lost
                      for name, route in self._routes.items()]
            before = self._preprocess if period_s > 0 else self._overhead
            return self._forecaster.forecast(
                list(self._routes.values()), usable, (before.level, before.spread), now_s,
                period_s)

    def hedge_at(self, decision: Decision, arrival_s: float) -> float:
        """Return when to start finishing a sent frame on board if no reply has come by then.

        The last moment that keeps the deadline, where the reply is overdue by then; else the
        deadline itself, so that a late result is better than none. Infinite where the rest does
        not fit on board, or takes longer than a second deadline. A reply that comes meanwhile
        still counts: then stop.
        """
        with self._lock:
            seconds, variance = self.head.times()
        margin, cut, deadline_s = self.settings.margin, decision.cut, decision.deadline_s
        remaining_s = (seconds[-1] - seconds[cut]
                       + margin * (sqrt(variance[-1]) - sqrt(variance[cut])))
        if decision.option.local or not isfinite(remaining_s):
            return inf
        overdue_s = decision.latency_s + margin * decision.latency_spread_s
        if not 0.0 < deadline_s < inf:
            return arrival_s + overdue_s
        if deadline_s - remaining_s >= overdue_s:
            return arrival_s + deadline_s - remaining_s
        return arrival_s + deadline_s if remaining_s <= deadline_s else inf

    def probe(self, now_s: float, decision: Decision) -> Probe | None:
        """Return a probe to send now, or None; ask only while nothing is on the link.

        A lost route is probed every second. A working one is probed only where frames of one
        size, or none at all, leave its round trip unclear, and for a bounded share of energy.
        """
        with self._lock:
            for name, watch in self._watches.items():
                probe = self._probe_of(name, watch, decision)
                if probe is None:
                    continue
                in_doubt = self._routes[name].link.in_doubt
                period_s = _DOUBT_PROBE_PERIOD_S if in_doubt else PROBE_PERIOD_S
                if watch.probe_due(now_s, period_s):
                    self.probes += 1
                    self.probed_j += probe.energy_j
                    return probe
            return None

    def _probe_of(self, name: str, watch: RouteWatch, decision: Decision) -> Probe | None:
        """Return a probe of one route if it is worth it: small and large ones in turn.

        Probes of one size could not tell a slow link from a long round trip.
        """
        link = self._routes[name].link
        if watch.lost:
            return self._sized_probe(name, large=watch.answering)
        unclear = link.round_trip_spread_s > _UNCLEAR * link.round_trip_s
        if not (decision.option.local or (unclear and decision.server == name)):
            return None
        probe = self._sized_probe(name, large=decision.option.local and self.probes % 2 == 1)
        budget_j = _PROBE_ALLOWANCE_J + _PROBE_SHARE * self.planner.spent_j
        affordable = link.in_doubt or self.probed_j + probe.energy_j <= budget_j
        return probe if affordable else None

    def _sized_probe(self, server: str, *, large: bool) -> Probe:
        link, radio = self._routes[server].link, self.profile.radio
        low, middle, high = _PROBE_BYTES
        telling = _PROBE_ROUND_TRIPS * link.round_trip_s * link.bandwidth
        nbytes = int(min(max(telling, middle), high)) if large else low
        return Probe(server, nbytes,
                     nbytes * (radio.sending_w * link.s_per_byte + radio.j_per_byte))

    # -- what came of them ------------------------------------------------------------------

    def observe_frame(self, report: FrameReport, now_s: float,
                      decision: Decision | None = None) -> None:
        """Learn from a frame that has ended; `decision` is what `plan` had said of it."""
        with self._lock:
            self.head.observe(report.cut, report.head_s)
            self.sizes.observe(report.cut, report.codec, report.nbytes, report.encode_s)
            if report.queue_s == report.queue_s:
                preprocess_s = report.preprocess_s if isfinite(report.preprocess_s) else 0.0
                self._preprocess.add(preprocess_s)
                self._overhead.add(report.queue_s + preprocess_s)
            if report.server in self._routes:
                self._observe_route(report, now_s)
            if decision and report.outcome is not Outcome.DROPPED and not report.unanswered:
                self.latency_error.add(decision.latency_s, report.total_s)

    def _observe_route(self, report: FrameReport, now_s: float) -> None:
        route, watch = self._routes[report.server], self._watches[report.server]
        if report.outcome is Outcome.REMOTE:
            watch.answered()
            route.link.observe(now_s, report.nbytes, report.link_s)
            route.load.observe(now_s, report.cut, wait_s=report.wait_s,
                               decode_s=report.decode_s, tail_s=report.tail_s)
        elif report.unanswered:
            watch.missed()
            route.link.observe_timeout(now_s, report.nbytes, report.sent_for_s)
        elif report.refused:
            watch.answered()
            route.load.refused(now_s)

    def observe_probe(self, probe: Probe, now_s: float, link_s: float | None) -> None:
        """Take a probe's time on the link, up and down, or None where no answer came."""
        with self._lock:
            if probe.server not in self._routes:
                return
            if link_s is None:
                self._watches[probe.server].missed()
            else:
                self._watches[probe.server].answered()
                link = self._routes[probe.server].link
                sending_s = max(link_s - link.round_trip_s, 0.0)
                self.probed_j += min(  # it may have cost less than was feared
                    self.profile.radio.sending_w * sending_s - probe.energy_j, 0.0)
                link.observe(now_s, probe.nbytes, link_s)

    def observe_energy(self, report: FrameReport, energy_j: float,
                       decision: Decision | None = None, *, head_j: float = nan) -> None:
        """Take a frame's metered energy above idle, and that of its head where known [J]."""
        with self._lock:
            if report.outcome is Outcome.LOCAL and not report.nbytes:
                head_j = energy_j
            self.head.observe_energy(report.cut, head_j)
            if decision:
                self.energy_error.add(decision.energy_j, energy_j)

    def observe_server(self, report: ServerReport, now_s: float, *, digest: str = '') -> None:
        """Take a server's status; a new server becomes a candidate.

        :raises PlanError: where it serves another model.
        """
        if digest and self.shape.digest and digest != self.shape.digest:
            raise PlanError(f'server {report.server} has model {digest[:12]}, this drone '
                            f'{self.shape.digest[:12]}; start both with the same model')
        with self._lock:
            if report.server not in self._routes:
                self._routes[report.server] = Route(report.server, self._first_link(),
                                                    ServerEstimator(self.shape))
                self._watches[report.server] = RouteWatch()
            self._routes[report.server].load.report(now_s, report)

    def _first_link(self) -> LinkEstimator:
        """Guess that the way to a new server is like that to a known one: they share the radio."""
        known = next(iter(self._routes.values()), None)
        return LinkEstimator() if known is None else LinkEstimator(
            bandwidth=known.link.bandwidth, round_trip_s=known.link.round_trip_s)

    def observe_battery(self, charge: float) -> None:
        """Take the battery's state of charge, 0 .. 1; anything else is ignored."""
        if 0.0 <= charge <= 1.0:
            self._battery = charge

    def link_lost(self) -> None:
        """Take it from outside, such as the radio's driver, that the link is down."""
        with self._lock:
            for watch in self._watches.values():
                watch.lose()

    def link_back(self) -> None:
        """Take it from outside that the link is up again: probes go out at once."""
        with self._lock:
            for watch in self._watches.values():
                watch.suspect_back()

    @property
    def lost(self) -> tuple[str, ...]:
        """Return the servers that do not answer."""
        with self._lock:
            return tuple(name for name, watch in self._watches.items() if watch.lost)


def default_pairs(shape: NetworkShape) -> tuple[tuple[int, str], ...]:
    """Return every cut but the last with every codec that is usual for its tensor."""
    return tuple((cut, codec) for cut in range(shape.last)
                 for codec in codecs_for(shape.specs[cut]))
