"""The policies that are compared. All but the oracles know only what a drone knows.

Every policy that sends finishes a frame on board from the last moment that meets the deadline, as
ours does (a hedge), so that rivals are compared at full strength.
"""

from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np

from offload_perception.frames import Outcome
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.forecast import Forecast
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.probing import Probe
from offload_perception.planning.route import ServerReport
from offload_perception.planning.session import PlanningSession
from offload_perception.planning.sizes import SizeTable
from offload_perception.simulation.simulated_world import World

INSURANCE_MARGIN = 1.1  # on the time that the rest of a frame takes on board
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 2.0


class Policy(Protocol):
    """Chooses for one drone, and learns from its frames and from the servers.

    `decision` is the last one of a policy that explains itself.
    """

    decision: Decision | None

    def plan(self, now_s: float, deadline_s: float, waited_s: float,
             truth: 'Truth') -> Option:
        """Return what to do with a frame that starts at `now_s`, `waited_s` after its arrival."""

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return when a sent frame is finished on board, from its arrival; infinite = never.

        :param hedge_work_s: how long it truly takes.
        """

    def observe_arrival(self, now_s: float) -> None:
        """Take the arrival of an image."""

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float,
                      decision: Decision | None) -> None:
        """Take the outcome of a frame."""

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Take a reply to a frame that has ended without it."""

    def observe_server(self, report: ServerReport, now_s: float) -> None:
        """Take a server's status."""

    def observe_beat(self, server: str, now_s: float, wait_s: float) -> None:
        """Take a server's beat."""


@dataclass(frozen=True)
class Prospects:
    """Possible outcomes of a frame: `latency_s` (k, n) are n equally likely values of k options.

    `energy_j` (k,) is without the hedge, which takes `hedge_work_s` and `hedge_work_j` (k,).
    """

    options: list[Option]
    latency_s: np.ndarray
    energy_j: np.ndarray
    hedge_work_s: np.ndarray
    hedge_work_j: np.ndarray


class Truth(Protocol):
    """More than a drone can know, for the oracles."""

    def outcomes(self) -> tuple[list[Option], np.ndarray, np.ndarray]:
        """Return the options with the frame's true latency [s] and energy [J] in each."""

    def prospects(self, seen_s: float) -> Prospects:
        """Return the possible outcomes of the frame if the link stays as it was at `seen_s`.

        Of the waits at the servers only the distribution is known.
        """


class Static:
    """The same for every frame, on the first of the servers."""

    decision: Decision | None = None

    def __init__(self, option: Option) -> None:
        self._option = option

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the one option."""
        return self._option

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return the last moment that meets the deadline."""
        start_s = deadline_s - INSURANCE_MARGIN * hedge_work_s
        return start_s if start_s > 0.0 else inf

    def observe_arrival(self, now_s: float) -> None:
        """Learn nothing."""

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float,
                      decision: Decision | None) -> None:
        """Learn nothing."""

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Learn nothing."""

    def observe_server(self, report: ServerReport, now_s: float) -> None:
        """Learn nothing."""

    def observe_beat(self, server: str, now_s: float, wait_s: float) -> None:
        """Learn nothing."""


class BackOffRule(Static):
    """The simplest rule: send, and stay on board for a while after a frame had to end there.

    0.25 s, twice as long each time, 2 s at most.
    """

    def __init__(self, option: Option, last: int) -> None:
        super().__init__(option)
        self._board = Option(last)
        self._pause_s, self._until_s = 0.0, -inf

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the one option, or all on board during a pause."""
        return self._option if now_s >= self._until_s else self._board

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float,
                      decision: Decision | None) -> None:
        """Pause after a frame without a remote result."""
        if not report.server:
            return
        if report.outcome is Outcome.REMOTE:
            self._pause_s = 0.0
        else:
            self._pause_s = min(max(2.0 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._until_s = now_s + self._pause_s


class Planned(Static):
    """The planner of this package."""

    def __init__(self, session: PlanningSession, *, beats: bool = True,
                 probes: bool = True) -> None:
        self.session, self._beats, self._probes = session, beats, probes
        self._arrived_s = inf

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Ask the session."""
        self.decision = self.session.plan(now_s, deadline_s, waited_s)
        return self.decision.option

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return what the session has decided."""
        return decision.hedge_s if decision else inf

    def probe(self, now_s: float) -> Probe | None:
        """Return a probe of the link that the session wants now."""
        if not self._probes or self.decision is None:
            return None
        return self.session.probe(now_s, self.decision)

    def observe_arrival(self, now_s: float) -> None:
        """Pass the camera's period to the session."""
        self.session.observe_period(now_s - self._arrived_s)
        self._arrived_s = now_s

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float,
                      decision: Decision | None) -> None:
        """Pass it to the session."""
        self.session.observe_frame(report, now_s, decision)
        self.session.observe_energy(report, energy_j, decision)

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Pass it to the session."""
        self.session.observe_late(report, now_s)

    def observe_server(self, report: ServerReport, now_s: float) -> None:
        """Pass it to the session."""
        self.session.observe_server(report, now_s)

    def observe_beat(self, server: str, now_s: float, wait_s: float) -> None:
        """Pass it to the session, if the policy uses beats."""
        if self._beats:
            self.session.observe_backlog(server, now_s, wait_s)


class Published(Planned):
    """A scheme of the literature: the least of one figure among the cuts without compression.

    It keeps no margin, and its own estimates are those of our session.
    """

    def __init__(self, session: PlanningSession, *, energy: bool, deadline: bool) -> None:
        super().__init__(session, probes=False)
        self._energy, self._deadline = energy, deadline

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the option of least energy or latency, under the deadline if there is one."""
        f = self.session.forecast(now_s, waited_s)
        self.decision = None
        usable = f.usable if f.usable.any() else np.ones(len(f.usable), bool)
        if self._deadline and (in_time := usable & (f.latency_s <= deadline_s)).any():
            usable = in_time
        elif self._deadline:
            return self._least(f, f.latency_s, usable)
        return self._least(f, f.energy_j if self._energy else f.latency_s, usable)

    @staticmethod
    def _least(forecast: Forecast, figure: np.ndarray, usable: np.ndarray) -> Option:
        return forecast.options[int(np.where(usable, figure, inf).argmin())]

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return the last moment that meets the deadline."""
        return Static.hedge_s(self, decision, deadline_s, hedge_work_s)


def ours(world: World, settings: PlannerSettings, *, beats: bool = True) -> Planned:
    """Return this package's planner."""
    return Planned(_session(world, settings, world.pairs), beats=beats)


def energy_best(world: World, settings: PlannerSettings, *, deadline: bool = True) -> Published:
    """Return the scheme of doi 10.1155/2021/6650053: least energy under the deadline."""
    return Published(_session(world, settings, raw_pairs(world)), energy=True, deadline=deadline)


def latency_best(world: World, settings: PlannerSettings) -> Published:
    """Return a scheme like Neurosurgeon (ASPLOS 2017): least latency."""
    return Published(_session(world, settings, raw_pairs(world)), energy=False, deadline=False)


def raw_pairs(world: World) -> tuple[tuple[int, str], ...]:
    """Return the cuts without compression."""
    return tuple((cut, 'raw') for cut in range(world.shape.last))


def _session(world: World, settings: PlannerSettings,
             pairs: tuple[tuple[int, str], ...]) -> PlanningSession:
    """Return a session that knows the mean sizes, as a drone does from `codec_costs.json`."""
    table = SizeTable(world.shape)
    for cut, codec in pairs:
        nbytes, _, encode_s, _, agreement = world.sizes.column(cut, codec)
        table.set(cut, codec, nbytes=nbytes, encode_s=encode_s, agreement=agreement)
    return PlanningSession(world.shape, world.profile, settings, pairs=pairs, sizes=table)
