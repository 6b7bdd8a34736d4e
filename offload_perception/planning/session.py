"""The planner online: it plans each frame, and learns from each frame that has ended."""

from dataclasses import replace
from math import inf, isfinite, nan
from threading import RLock

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.frames import Outcome
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.accuracy import ForecastError
from offload_perception.planning.decision import Decision
from offload_perception.planning.estimate import Estimate
from offload_perception.planning.forecast import Forecast, Forecaster
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.link import LinkEstimate
from offload_perception.planning.planner import Planner, PlannerSettings
from offload_perception.planning.probing import Probe, Prober
from offload_perception.planning.route import Route, RouteState, ServerReport
from offload_perception.planning.sizes import SizeTable, codecs_for
from offload_perception.profiles.device_profile import DeviceProfile

_SILENCE_S = 1.5  # a server sends its status once a second; a longer time is an outage


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
        pairs = pairs or (*default_pairs(shape), *self.sizes.learned)
        self._forecaster = Forecaster(profile, self.sizes, pairs, agreement=shape.agreement)
        self.planner = Planner(self.settings, shape.names,
                               self.settings.late_price * frame_j(profile))
        self._routes: dict[str, Route] = {}
        self._probers: dict[str, Prober] = {}
        self._foreign: dict[str, str] = {}  # servers of another model, and what to do
        self._period = Estimate(1.0, noise=0.1)
        self._lock = RLock()
        self.latency_error, self.energy_error = ForecastError(), ForecastError()

    # -- plans ------------------------------------------------------------------------------

    def plan(self, now_s: float, deadline_s: float, waited_s: float = 0.0) -> Decision:
        """Return what to do with the frame that starts now.

        :param deadline_s: from the frame's arrival, 0 = none.
        :param waited_s: since the frame's arrival.
        """
        waited_s = max(waited_s, 0.0)
        with self._lock:
            decision = self.planner.choose(self.forecast(now_s, waited_s), deadline_s,
                                           self.period_s, waited_s)
            if decision.server:
                self._probers[decision.server].note_used(now_s)
            return decision

    def forecast(self, now_s: float, waited_s: float = 0.0) -> Forecast:
        """Return the forecast of every candidate."""
        with self._lock:
            forecast = self._forecaster.forecast(list(self._routes.values()), now_s, waited_s,
                                                 self.period_s or inf)
            if not self._foreign:
                return forecast
            own = np.array([forecast.options[i].server not in self._foreign
                            for i in range(len(forecast.options))])
            return replace(forecast, usable=forecast.usable & own)

    def probe(self, now_s: float, decision: Decision) -> Probe | None:
        """Return a probe to send now, or None; ask only while nothing is on the link.

        :param decision: the last one.
        """
        with self._lock:
            for name, prober in self._probers.items():
                if probe := prober.due(now_s, used=name == decision.server):
                    prober.note_sent(now_s)
                    return probe
            return None

    # -- observations -----------------------------------------------------------------------

    def observe_period(self, period_s: float) -> None:
        """Take the time between two images of the camera [s]."""
        with self._lock:
            self._period.observe(period_s)

    def observe_frame(self, report: FrameReport, now_s: float,
                      decision: Decision | None = None) -> None:
        """Learn from a frame that has ended; `decision` is the result of `plan` for it."""
        with self._lock:
            self._forecaster.head.observe(report.cut, report.head_s)
            self.sizes.observe(report.cut, report.codec, report.nbytes, report.encode_s)
            self._forecaster.overhead.observe(
                report.overhead_s(decision.waited_s if decision else nan))
            if report.server in self._routes:
                self._observe_route(report, now_s, decision)
            if decision:
                for prober in self._probers.values():
                    prober.observe_frames(decision.energy_j, self.period_s or 1.0)
                if report.outcome is not Outcome.DROPPED and not report.hedge_used:
                    self.latency_error.add(decision.latency_s, report.total_s)

    def _observe_route(self, report: FrameReport, now_s: float,
                       decision: Decision | None) -> None:
        route = self._routes[report.server]
        if report.outcome is Outcome.REMOTE:
            route.forgive()
            self._observe_reply(route, report, now_s, decision.wait_s if decision else nan)
        elif report.unanswered:
            route.observe_miss()
        elif report.overloaded or report.unheard:
            if report.overloaded:
                route.observe_answer()
            route.observe_busy(now_s, report.refused_wait_s)
        elif report.rejected:
            route.observe_answer()
            route.observe_refusal(now_s, report.trouble)

    @staticmethod
    def _observe_reply(route: Route, report: FrameReport, now_s: float,
                       expected_wait_s: float) -> None:
        route.observe_answer()
        on_server_s = sum(s for s in (report.wait_s, report.decode_s, report.tail_s) if s == s)
        route.link.observe(now_s, report.nbytes, report.link_s,
                           now_s - report.link_s - on_server_s)
        route.observe_reply(now_s, report.cut, wait_s=report.wait_s, decode_s=report.decode_s,
                            tail_s=report.tail_s, expected_wait_s=expected_wait_s)

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Learn from a reply to a frame that had ended without it, as `report` has it."""
        with self._lock:
            if report.server in self._routes:
                self._observe_reply(self._routes[report.server], report, now_s, nan)

    def observe_probe(self, probe: Probe, now_s: float, link_s: float | None) -> None:
        """Take a probe's time on the link, up and down, or None if no answer came."""
        with self._lock:
            if (route := self._routes.get(probe.server)) is None:
                return
            self._probers[probe.server].observe_probe(answered=link_s is not None)
            if link_s is None:
                route.observe_miss()
            elif isfinite(link_s):
                route.observe_answer()
                route.link.observe(now_s, probe.nbytes, link_s, now_s - link_s)

    def observe_energy(self, report: FrameReport, energy_j: float,
                       decision: Decision | None = None) -> None:
        """Take a frame's metered energy above idle [J]."""
        with self._lock:
            route = self._routes.get(report.server)
            sending_s = max(report.link_s - route.link.round_trip_s, 0.0) if route else nan
            if decision is None or report.total_s <= decision.hedge_s:  # else its hedge had begun
                self._forecaster.observe_energy(report, energy_j, sending_s)
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
            restarted = self._foreign.pop(report.server, '')
            if report.server not in self._routes:
                route = Route(report.server, self.shape, self._first_link())
                self._routes[report.server] = route
                self._probers[report.server] = Prober(route, self.profile.radio)
            route = self._routes[report.server]
            if restarted:
                route.forgive()
            self._hear(route, now_s)
            route.report(now_s, report)

    def _hear(self, route: Route, now_s: float) -> None:
        """Probe a link whose server is heard again after a silence: it may be up."""
        if route.state is not RouteState.GOOD and route.silence_s(now_s) > _SILENCE_S:
            self._probers[route.server].probe_at_once()

    def observe_backlog(self, server: str, now_s: float, wait_s: float) -> None:
        """Take a server's beat: the wait of a tensor that comes now [s]."""
        with self._lock:
            if (route := self._routes.get(server)) is not None:
                self._hear(route, now_s)
                route.observe_backlog(now_s, wait_s)

    def _first_link(self) -> LinkEstimate:
        """Return a first estimate: that of a known link, since all links share the radio."""
        known = next(iter(self._routes.values()), None)
        return LinkEstimate() if known is None else LinkEstimate(known.link.bandwidth,
                                                                 known.link.round_trip_s)

    # -- what is known ----------------------------------------------------------------------

    def backing_off(self, now_s: float) -> dict[str, str]:
        """Return the servers that are not used since they refuse or fail, and why."""
        with self._lock:
            refusing = {name: route.why for name, route in self._routes.items()
                        if route.why and route.paused(now_s)}
            return {**refusing, **self._foreign}

    @property
    def lost(self) -> tuple[str, ...]:
        """Return the servers that do not answer."""
        with self._lock:
            return tuple(name for name, route in self._routes.items()
                         if route.state is RouteState.LOST)

    @property
    def period_s(self) -> float:
        """Return the time between two images of the camera [s], 0 if it is unknown."""
        return self._period.level if self._period.count else 0.0

    @property
    def slowdown(self) -> float:
        """Return the current time of the layers on board, relative to the profile."""
        return self._forecaster.head.slowdown


def frame_j(profile: DeviceProfile) -> float:
    """Return the energy of a frame all on board, or of the longest head that fits [J]."""
    return float(np.max(profile.head_j[profile.fits]))


def default_pairs(shape: NetworkShape) -> tuple[tuple[int, str], ...]:
    """Return the cuts that are worth it with every codec that is usual for their tensors."""
    return tuple((cut, codec) for cut in shape.candidates
                 for codec in codecs_for(shape.specs[cut]))
