"""The policies that are flown side by side."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.server import ServerReport
from offload_perception.planning.session import PlanningSession, Probe
from offload_perception.planning.simulation.world import World
from offload_perception.planning.sizes import SizeTable

LATENCY_ONLY_W = 1e3  # a second weighs so much that energy does not count


class Policy(Protocol):
    """Chooses for one drone; hears of its frames and of the servers.

    `decision` is the last one of a policy that explains itself.
    """

    decision: Decision | None

    def plan(self, now_s: float, deadline_s: float, truth: 'Truth') -> Option:
        """Return what to do with a frame that starts at `now_s`."""

    def ended(self, report: FrameReport, now_s: float, energy_j: float, head_j: float,
              decision: Decision | None) -> None:
        """Hear how a frame ended and what it took."""

    def heard(self, report: ServerReport, now_s: float) -> None:
        """Hear a server's status."""


class Truth(Protocol):
    """Perfect knowledge, for the oracle: the present, and the future of the link."""

    def outcomes(self) -> tuple[list[Option], np.ndarray, np.ndarray]:
        """Return the options with the frame's true latency [s] and energy [J] in each."""


class Static:
    """The same for every frame, on the first of the servers."""

    decision: Decision | None = None

    def __init__(self, option: Option) -> None:
        self._option = option

    def plan(self, now_s: float, deadline_s: float, truth: Truth) -> Option:
        """Return the one option."""
        return self._option

    def ended(self, report: FrameReport, now_s: float, energy_j: float, head_j: float,
              decision: Decision | None) -> None:
        """Learn nothing."""

    def heard(self, report: ServerReport, now_s: float) -> None:
        """Learn nothing."""


class Oracle(Static):
    """Least true energy among what will truly be in time; else the least late."""

    def __init__(self) -> None:
        """Choose for itself."""

    def plan(self, now_s: float, deadline_s: float, truth: Truth) -> Option:
        """Return the best option in hindsight."""
        options, latency_s, energy_j = truth.outcomes()
        in_time = latency_s <= (deadline_s or np.inf)
        cost = np.where(in_time, energy_j, np.inf) if in_time.any() else latency_s
        return options[int(cost.argmin())]


class Planned:
    """A PlanningSession flies: ours, and with other settings what others proposed."""

    def __init__(self, session: PlanningSession, *, keeps_deadline: bool = True,
                 sees_queue: bool = True, probes: bool = True, hedges: bool = False,
                 period_s: float = 0.0) -> None:
        self.session = session
        self._keeps_deadline, self._sees_queue = keeps_deadline, sees_queue
        self._probes, self.hedges, self._period_s = probes, hedges, period_s
        self.decision: Decision | None = None

    def plan(self, now_s: float, deadline_s: float, truth: Truth) -> Option:
        """Ask the session."""
        decision = self.session.plan(now_s, deadline_s if self._keeps_deadline else 0.0,
                                     self._period_s)
        self.decision = replace(decision, deadline_s=deadline_s)
        return decision.option

    def probe(self, now_s: float) -> Probe | None:
        """Return a probe of the link that the session wants now."""
        return self.session.probe(now_s, self.decision) if self._probes else None

    def ended(self, report: FrameReport, now_s: float, energy_j: float, head_j: float,
              decision: Decision | None) -> None:
        """Tell the session."""
        if not self._sees_queue:
            report = replace(report, wait_s=0.0)
        self.session.observe_frame(report, now_s, decision)
        self.session.observe_energy(report, energy_j, decision, head_j=head_j)

    def heard(self, report: ServerReport, now_s: float) -> None:
        """Tell the session, less the queue where the policy is blind to it."""
        if not self._sees_queue:
            report = replace(report, expected_wait_s=0.0, utilisation=0.0)
        self.session.observe_server(report, now_s)


def ours(world: World, settings: PlannerSettings, period_s: float) -> Planned:
    """Return this package's planner."""
    return Planned(_session(world, settings, world.pairs), hedges=True, period_s=period_s)


def energy_best(world: World, settings: PlannerSettings, *, deadline: bool = True) -> Planned:
    """Return the scheme of doi 10.1155/2021/6650053: least energy under the deadline.

    It weighs the cuts without compression and the server's wait, and keeps no margin.
    """
    plain = replace(settings, margin=0.0, hysteresis=0.0, dwell_s=0.0, explore_every=0)
    return Planned(_session(world, plain, raw_pairs(world)), keeps_deadline=deadline)


def latency_best(world: World, settings: PlannerSettings) -> Planned:
    """Return a scheme like Neurosurgeon (ASPLOS 2017): least latency, blind to queue and energy.

    It weighs the cuts without compression, with the link's bandwidth and profiles of both sides.
    """
    plain = replace(settings, margin=0.0, hysteresis=0.0, dwell_s=0.0, explore_every=0,
                    latency_weight_w=LATENCY_ONLY_W)
    return Planned(_session(world, plain, raw_pairs(world)), keeps_deadline=False,
                   sees_queue=False)


def raw_pairs(world: World) -> tuple[tuple[int, str], ...]:
    """Return the cuts without compression."""
    return tuple((cut, 'raw') for cut in range(world.shape.last))


def _session(world: World, settings: PlannerSettings,
             pairs: tuple[tuple[int, str], ...]) -> PlanningSession:
    """Return a session that knows the mean sizes, as after `benchmarks/codec.py`."""
    table = SizeTable(world.shape)
    for cut, codec in pairs:
        nbytes, _, encode_s, _, agreement, _ = world.sizes.column(cut, codec)
        table.set(cut, codec, nbytes=nbytes, encode_s=encode_s, agreement=agreement)
    return PlanningSession(world.shape, world.profile, settings, pairs=pairs, sizes=table)
