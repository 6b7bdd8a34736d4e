"""The policies that are compared."""

from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

import numpy as np

from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.probing import Probe
from offload_perception.planning.server_estimate import ServerReport
from offload_perception.planning.session import PlanningSession
from offload_perception.planning.sizes import SizeTable
from offload_perception.simulation.simulated_world import World

_LONG_S = 1e9  # stands for ever
LATENCY_ONLY_W = 1e3  # weight of a second, so that energy does not count


class Policy(Protocol):
    """Chooses for one drone, and learns from its frames and from the servers.

    `decision` is the last one of a policy that explains itself.
    """

    decision: Decision | None

    def plan(self, now_s: float, deadline_s: float, waited_s: float,
             truth: 'Truth') -> Option:
        """Return what to do with a frame that starts at `now_s`, `waited_s` after its arrival."""

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return when the hedge of a sent frame starts, from its arrival; infinite = never.

        :param hedge_work_s: how long it truly takes.
        """

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float, head_j: float,
              decision: Decision | None) -> None:
        """Take the outcome of a frame."""

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Take a reply to a frame that has ended without it."""

    def observe_server(self, report: ServerReport, now_s: float) -> None:
        """Take a server's status."""

    def observe_beat(self, server: str, now_s: float, *, clock_s: float, period_s: float,
             wait_s: float) -> None:
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
        """Never hedge."""
        return inf

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float, head_j: float,
              decision: Decision | None) -> None:
        """Learn nothing."""

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Learn nothing."""

    def observe_server(self, report: ServerReport, now_s: float) -> None:
        """Learn nothing."""

    def observe_beat(self, server: str, now_s: float, *, clock_s: float, period_s: float,
             wait_s: float) -> None:
        """Learn nothing."""


class Oracle(Static):
    """Least true energy among what will truly be in time; else the least late."""

    def __init__(self) -> None:
        """Choose for itself."""

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the best option in hindsight."""
        options, latency_s, energy_j = truth.outcomes()
        in_time = latency_s <= (deadline_s or inf)
        cost = np.where(in_time, energy_j, inf) if in_time.any() else latency_s
        return options[int(cost.argmin())]


class Causal(Oracle):
    """Knows the present exactly and at no cost, and of the future the distributions.

    The link is known as it was `age_s` ago and assumed to stay so. A frame that may be late
    is hedged, at the mean cost.
    """

    _OVERDUE = 1.1  # times the latest that is expected
    _SLACK_S = 1e-3  # before the last moment

    def __init__(self, age_s: float = 0.0) -> None:
        self._age_s, self._hedge_s = age_s, inf

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Return the option of the least mean energy that keeps the deadline for sure."""
        p = truth.prospects(max(now_s - self._age_s, 0.0))
        latest_s = p.latency_s.max(axis=1)
        start_s = deadline_s - p.hedge_work_s - self._SLACK_S
        working_s = np.minimum(p.latency_s, deadline_s) - start_s[:, None]
        working = np.clip(working_s / np.minimum(p.hedge_work_s, _LONG_S)[:, None], 0.0, 1.0)
        mean_j = p.energy_j + p.hedge_work_j * working.mean(axis=1)
        in_time = latest_s <= deadline_s
        hedged = ~in_time & in_time[0] & (start_s > waited_s)
        cost = np.where(in_time, p.energy_j, np.where(hedged, mean_j, inf))
        at = int((cost if cost.min() < inf else p.latency_s.mean(axis=1)).argmin())
        self._hedge_s = max(start_s[at], 0.0 if hedged[at] else self._OVERDUE * latest_s[at])
        return p.options[at]

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return the last moment, or the moment when a certain reply is overdue."""
        return self._hedge_s


class Planned:
    """A PlanningSession flies: ours, and with other settings what others proposed."""

    def __init__(self, session: PlanningSession, *, keeps_deadline: bool = True,
                 sees_queue: bool = True, probes: bool = True, hedges: bool = False,
                 hears_beats: bool = False) -> None:
        self.session = session
        self._keeps_deadline, self._sees_queue = keeps_deadline, sees_queue
        self._probes, self._hedges, self._hears_beats = probes, hedges, hears_beats
        self.decision: Decision | None = None

    def plan(self, now_s: float, deadline_s: float, waited_s: float, truth: Truth) -> Option:
        """Ask the session."""
        decision = self.session.plan(now_s, deadline_s if self._keeps_deadline else 0.0, waited_s)
        self.session.observe_start(decision, now_s)
        self.decision = decision
        return decision.option

    def hedge_s(self, decision: Decision | None, deadline_s: float, hedge_work_s: float) -> float:
        """Return what the session has decided, if the policy hedges."""
        return decision.hedge_s if decision and self._hedges else inf

    def probe(self, now_s: float) -> Probe | None:
        """Return a probe of the link that the session wants now."""
        if not self._probes or self.decision is None:
            return None
        return self.session.probe(now_s, self.decision)

    def observe_frame(self, report: FrameReport, now_s: float, energy_j: float, head_j: float,
              decision: Decision | None) -> None:
        """Pass it to the session."""
        if not self._sees_queue:
            report = replace(report, wait_s=0.0)
        self.session.observe_frame(report, now_s, decision)
        self.session.observe_energy(report, energy_j, decision, head_j=head_j)

    def observe_late(self, report: FrameReport, now_s: float) -> None:
        """Pass it to the session, without the queue if the policy is blind to it."""
        self.session.observe_late(report if self._sees_queue else replace(report, wait_s=0.0),
                                  now_s)

    def observe_server(self, report: ServerReport, now_s: float) -> None:
        """Pass it to the session, without the queue if the policy is blind to it."""
        if not self._sees_queue:
            report = replace(report, expected_wait_s=0.0, utilisation=0.0)
        self.session.observe_server(report, now_s)

    def observe_beat(self, server: str, now_s: float, *, clock_s: float, period_s: float,
             wait_s: float) -> None:
        """Pass it to the session, if the policy uses beats."""
        if self._hears_beats:
            self.session.observe_beat(server, now_s, clock_s=clock_s, period_s=period_s,
                                      wait_s=wait_s)


def ours(world: World, settings: PlannerSettings) -> Planned:
    """Return this package's planner."""
    return Planned(_session(world, settings, world.pairs), hedges=True, hears_beats=True)


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
