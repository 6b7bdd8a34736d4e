"""The planner of one drone: plans each frame, and learns from frames, probes and servers."""

from dataclasses import replace
from math import isfinite, nan
from threading import RLock

from offload_perception.errors import PlanError
from offload_perception.frames import Outcome
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.accuracy import ForecastError
from offload_perception.planning.back_off import BackOff
from offload_perception.planning.decision import Decision
from offload_perception.planning.forecast import Forecast, Forecaster, Moment, Route
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.head import HeadEstimator
from offload_perception.planning.in_flight import InFlight, Sent
from offload_perception.planning.link import LinkEstimator
from offload_perception.planning.planner import Planner, PlannerSettings
from offload_perception.planning.probing import Probe, Prober
from offload_perception.planning.robust import RobustLevel
from offload_perception.planning.route_watch import RouteWatch
from offload_perception.planning.server_estimate import ServerEstimator, ServerReport
from offload_perception.planning.sizes import SizeTable, codecs_for
from offload_perception.profiles.device_profile import DeviceProfile

_MUCH_SLOWER = 2.0  # times the expected time; from there on a warning of the link was right
_ALLOWANCE_J = 0.1  # for probes after a change, on a device that cannot run a whole frame


class PlanningSession:
    """Plans frames and learns from them. Methods may be called from several threads.

    Times are seconds of one monotonic clock, the caller's. `pairs` are the cuts and codecs to
    weigh; by default the usual ones for each cut.

    :raises PlanError: if the profile is of another network.
    """

    def __init__(self, shape: NetworkShape, profile: DeviceProfile,
                 settings: PlannerSettings | None = None, *,
                 pairs: tuple[tuple[int, str], ...] | None = None,
                 sizes: SizeTable | None = None) -> None:
        self.shape, self.profile = shape, profile.check_for(shape)
        self.settings = settings or PlannerSettings()
        self.sizes = sizes or SizeTable(shape)
        self.head = HeadEstimator(profile)
        pairs = pairs or (*default_pairs(shape), *self.sizes.learned)
        self._forecaster = Forecaster(
            profile, self.head, self.sizes, pairs,
            idle_share=self.settings.idle_share, agreement=shape.agreement)
        self.planner = Planner(self.settings, shape.names)
        self._routes: dict[str, Route] = {}
        self._watches: dict[str, RouteWatch] = {}
        self._back_offs: dict[str, BackOff] = {}
        self._foreign: dict[str, str] = {}  # servers of another model, and what to do
        self._overhead = RobustLevel.of_times(0.0, 0.0)
        self._in_flight = InFlight()
        self._prober = Prober(profile.radio, float(profile.head_j[-1])
                              if profile.fits[-1] else _ALLOWANCE_J)
        self._battery = 1.0
        self._lock = RLock()
        self.latency_error, self.energy_error = ForecastError(), ForecastError()

    # -- plans ------------------------------------------------------------------------------

    def plan(self, now_s: float, deadline_s: float, waited_s: float = 0.0) -> Decision:
        """Return what to do with the frame that starts now.

        :param deadline_s: from the frame's arrival, 0 = none.
        :param waited_s: since the frame's arrival.
        """
        with self._lock:
            decision = self.planner.choose(self.forecast(now_s, waited_s), deadline_s, now_s,
                                           battery=self._battery)
        return replace(decision, waited_s=waited_s)

    def forecast(self, now_s: float, waited_s: float = 0.0) -> Forecast:
        """Return the forecast of every candidate."""
        with self._lock:
            routes = list(self._routes.values())
            slowdowns = tuple(max(self._in_flight.slowdown(r.server, r.link, now_s),
                                  r.beats.slowdown(now_s, r.link.s_per_byte)) for r in routes)
            busy_s = self._in_flight.radio_busy_s(
                {r.server: r.link.s_per_byte * slow
                 for r, slow in zip(routes, slowdowns, strict=True)}, now_s)
            return self._forecaster.forecast(
                routes, [self._usable(r, now_s) for r in routes],
                (self._overhead.level, self._overhead.spread),
                Moment(now_s, max(waited_s, 0.0), busy_s, slowdowns))

    def _usable(self, route: Route, now_s: float) -> bool:
        """Return whether frames may be sent there; after a miss only if the drone cannot do it."""
        watch = self._watches[route.server]
        return (route.load.usable(now_s) and not watch.lost
                and route.server not in self._foreign
                and not self._back_offs[route.server].holds(now_s)
                and not (watch.suspect and self.profile.fits[-1]))

    def observe_start(self, decision: Decision, now_s: float) -> None:
        """Note that a frame is done as decided; call `observe_frame` at its end."""
        if decision.option.local:
            return
        with self._lock:
            route = self._routes[decision.server]
            nbytes, _, encode_s, *_ = self.sizes.column(decision.cut, decision.codec)
            (heads_s, _), (wait_s, wait_sd) = self.head.times(), route.load.wait(now_s)
            tails_s, _ = route.load.tails()
            self._in_flight.add(Sent(
                decision, nbytes,
                ready_s=now_s + self._overhead.level + float(heads_s[decision.cut]) + encode_s,
                server_s=(
                    wait_s + self.settings.margin * wait_sd + float(tails_s[decision.cut])),
                seen_wait_s=route.load.seen_wait_s(now_s), warned=route.beats.warns(now_s)))

    def probe(self, now_s: float, decision: Decision) -> Probe | None:
        """Return a probe to send now, or None; ask only while nothing is on the link.

        :param decision: the last one.
        """
        with self._lock:
            probes = (self._prober.next(route, self._watches[name], decision, now_s,
                                        self.planner.spent_j)
                      for name, route in self._routes.items())
            return next(filter(None, probes), None)

    # -- observations -----------------------------------------------------------------------

    def observe_frame(self, report: FrameReport, now_s: float,
                      decision: Decision | None = None) -> None:
        """Learn from a frame that has ended; `decision` is the result of `plan` for it."""
        with self._lock:
            self.head.observe(report.cut, report.head_s)
            self.sizes.observe(report.cut, report.codec, report.nbytes, report.encode_s)
            sent = self._in_flight.remove(decision)
            self._overhead.add(report.overhead_s(decision.waited_s if decision else nan))
            if report.server in self._routes:
                self._observe_route(report, now_s, sent)
            if (decision and report.outcome is not Outcome.DROPPED
                    and not report.hedge_used):
                self.latency_error.add(decision.latency_s, report.total_s)

    def _observe_route(self, report: FrameReport, now_s: float, sent: Sent | None) -> None:
        route, watch = self._routes[report.server], self._watches[report.server]
        if report.outcome is Outcome.REMOTE:
            watch.observe_answer()
            self._back_offs[report.server].reset()
            self._observe_link(route, now_s, report.nbytes, report.link_s,
                               warned=sent is not None and sent.warned)
            route.load.observe(now_s, report.cut, wait_s=report.wait_s, decode_s=report.decode_s,
                               tail_s=report.tail_s, seen_wait_s=sent.seen_wait_s if sent else nan)
        elif report.unanswered:
            watch.observe_miss()
            if sent is not None and sent.warned:
                route.beats.judge(right=True)
            wait_s, wait_sd = route.load.wait(now_s)
            tail_s = float(route.load.tails()[0][report.cut])
            route.link.observe_timeout(
                now_s, report.nbytes,
                report.sent_for_s - tail_s - wait_s - self.settings.margin * wait_sd)
        elif report.overloaded:
            watch.observe_answer()
            route.load.pause(now_s)
        elif report.rejected:
            watch.observe_answer()
            self._back_offs[report.server].observe_refusal(now_s, report.trouble)
        elif report.unheard:  # nothing was sent, so the link was not measured
            route.load.pause(now_s)

    @staticmethod
    def _observe_link(route: Route, now_s: float, nbytes: int, link_s: float, *,
                      warned: bool) -> None:
        if warned:
            expected_s, _ = route.link.time(nbytes, now_s)
            route.beats.judge(right=link_s > _MUCH_SLOWER * expected_s)
        if route.beats.in_doubt(now_s):
            route.link.forget()
            route.beats.accept_level()
        route.link.observe(now_s, nbytes, link_s)

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Learn from a reply to a frame that had ended without it, as `report` has it.

        The link has learned from the missing reply already. The server's wait is learned now,
        since otherwise only short waits would be.
        """
        with self._lock:
            if report.server in self._routes:
                self._watches[report.server].observe_answer()
                self._routes[report.server].load.observe(
                    now_s, report.cut, wait_s=report.wait_s, decode_s=report.decode_s,
                    tail_s=report.tail_s)

    def observe_probe(self, probe: Probe, now_s: float, link_s: float | None) -> None:
        """Take a probe's time on the link, up and down, or None if no answer came."""
        with self._lock:
            if probe.server not in self._routes:
                return
            route = self._routes[probe.server]
            if link_s is None:
                self._watches[probe.server].observe_miss()
                if probe.warned:
                    route.beats.judge(right=True)
            elif isfinite(link_s):
                self._watches[probe.server].observe_answer()
                radio, sending_s = self.profile.radio, max(link_s - route.link.round_trip_s, 0.0)
                self._prober.correct_cost(
                    probe, radio.sending_w * sending_s + radio.j_per_byte * probe.nbytes)
                self._observe_link(route, now_s, probe.nbytes, link_s, warned=probe.warned)

    def take_back_probe(self, probe: Probe) -> None:
        """Note that a probe was not sent, since it had no subscriber."""
        with self._lock:
            self._prober.correct_cost(probe, 0.0)

    def observe_energy(self, report: FrameReport, energy_j: float,
                       decision: Decision | None = None, *, head_j: float = nan) -> None:
        """Take a frame's metered energy above idle, and that of its head if known [J]."""
        with self._lock:
            if report.outcome is Outcome.LOCAL and not report.server:
                head_j = energy_j
            self.head.observe_energy(report.cut, head_j)
            if decision:
                self.energy_error.add(decision.energy_j, energy_j)

    def observe_server(self, report: ServerReport, now_s: float, *, digest: str = '') -> None:
        """Take a server's status; a new server becomes a candidate.

        :raises PlanError: if it serves another model; it is not used until it serves this one.
        """
        with self._lock:
            if digest and self.shape.digest and digest != self.shape.digest:
                self._foreign[report.server] = (
                    f'server {report.server} has model {digest[:12]}, this drone '
                    f'{self.shape.digest[:12]}; start both with the same model')
                raise PlanError(self._foreign[report.server])
            if self._foreign.pop(report.server, ''):
                self._back_offs.pop(report.server, None)
            self._back_offs.setdefault(report.server, BackOff())
            if report.server not in self._routes:
                self._routes[report.server] = Route(report.server, self._first_link(),
                                                    ServerEstimator(self.shape))
                self._watches[report.server] = RouteWatch()
            self._routes[report.server].load.report(now_s, report)

    def observe_beat(self, server: str, now_s: float, *, clock_s: float, period_s: float,
                     wait_s: float) -> None:
        """Take a server's beat: its clock, its period, and the wait of a tensor that comes now."""
        with self._lock:
            if (route := self._routes.get(server)) is None:
                return
            route.beats.observe(now_s, clock_s, period_s)
            route.load.observe_beat(now_s, wait_s, period_s)
            if self._watches[server].lost:
                self._watches[server].probe_at_once()

    def _first_link(self) -> LinkEstimator:
        """Return a first estimate: that of a known link, since all links share the radio."""
        known = next(iter(self._routes.values()), None)
        return LinkEstimator() if known is None else LinkEstimator(
            bandwidth=known.link.bandwidth, round_trip_s=known.link.round_trip_s)

    def observe_battery(self, charge: float) -> None:
        """Take the battery's state of charge, 0 .. 1; anything else is ignored."""
        if 0.0 <= charge <= 1.0:
            self._battery = charge

    def observe_link_lost(self) -> None:
        """Note an external report, such as from the radio's driver, that the link is down."""
        with self._lock:
            for watch in self._watches.values():
                watch.lose()

    def observe_link_back(self) -> None:
        """Note an external report that the link is up again: probes are sent at once."""
        with self._lock:
            for watch in self._watches.values():
                watch.probe_at_once()

    def backing_off(self, now_s: float) -> dict[str, str]:
        """Return the servers that are not used since they refuse or fail, and why."""
        with self._lock:
            refusing = {name: back_off.why for name, back_off in self._back_offs.items()
                        if back_off.holds(now_s)}
            return {**refusing, **self._foreign}

    @property
    def lost(self) -> tuple[str, ...]:
        """Return the servers that do not answer."""
        with self._lock:
            return tuple(name for name, watch in self._watches.items() if watch.lost)


def default_pairs(shape: NetworkShape) -> tuple[tuple[int, str], ...]:
    """Return the cuts that are worth it with every codec that is usual for their tensors."""
    return tuple((cut, codec) for cut in shape.candidates
                 for codec in codecs_for(shape.specs[cut]))
