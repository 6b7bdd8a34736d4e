"""A simulated drone: the path of its frames through worker, link and server."""

from dataclasses import dataclass
from functools import partial
from math import inf, nan

import numpy as np

from offload_perception.frames import DropReason, Outcome
from offload_perception.pipeline.link_times import LinkTimes
from offload_perception.planning.decision import Decision, Option
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.planning.probing import PROBE_TIMEOUT_S, Probe
from offload_perception.simulation.foresight import Foresight
from offload_perception.simulation.links import LinkTrace
from offload_perception.simulation.policies import Planned, Policy
from offload_perception.simulation.simulated_radio import SimulatedRadio
from offload_perception.simulation.simulated_server import Answered, Clock, Refused, Server
from offload_perception.simulation.simulated_world import FrameTruth, World

STATUS_PERIOD_S, BEAT_PERIOD_S = 1.0, 0.1  # as servers do
STATUS_BYTES, BEAT_BYTES = 704, 180  # with RTPS, UDP and IP headers
PROBE_PERIOD_S = 0.1  # as the node does
REPLY_TIMEOUT_DEADLINES = 2.0
MAX_IN_FLIGHT = 2
STAGGER = 0.618  # of a period between one drone's camera and the next


@dataclass
class _Frame:
    """A frame in flight."""

    arrival_s: float
    truth: FrameTruth
    option: Option | None = None
    decision: Decision | None = None
    queue_s: float = nan
    head_s: float = 0.0
    head_j: float = 0.0
    encode_s: float = nan
    nbytes: int = 0
    sent_s: float = nan
    energy_j: float = 0.0
    hedge_at_s: float = inf
    hedged: bool = False
    hedge_s: float = 0.0
    hedge_j: float = 0.0
    hedge_end_s: float = inf
    refused: bool = False
    refused_wait_s: float = nan
    done: bool = False

    @property
    def chosen(self) -> Option:
        """The option of a frame that was planned."""
        assert self.option is not None
        return self.option


@dataclass(frozen=True)
class Record:
    """How a simulated frame ended; a frame without a result has no latency (infinite)."""

    drone: int
    arrival_s: float
    option: Option | None
    latency_s: float
    energy_j: float
    met: bool


class Drone:
    """Camera, one worker, a link of its own and a policy."""

    def __init__(self, number: int, world: World, clock: Clock, link: LinkTrace,
                 servers: list[Server], policy: Policy, truths: list[FrameTruth], *,
                 rate_hz: float, deadline_s: float, seed: int) -> None:
        self._number, self._world, self._clock = number, world, clock
        self._radio = SimulatedRadio(link, world.profile.radio, clock,
                                     np.random.default_rng((seed, number, 1)))
        self._servers = {server.name: server for server in servers}
        self._policy, self._deadline_s, self._one_way_s = policy, deadline_s, link.round_trip_s / 2
        self._links = LinkTimes()
        self._merged_s: dict[int, float] = {}  # when the layers up to a cut are merged
        self._waiting: _Frame | None = None
        self._planned: _Frame | None = None
        self._in_flight: dict[int, _Frame] = {}
        self._working = self._probing = False
        self.records: list[Record] = []
        self.probe_j = 0.0
        for i, truth in enumerate(truths):
            arrival_s = (i + (seed + number) * STAGGER % 1.0) / rate_hz
            clock.schedule(arrival_s, partial(self._arrive, truth))
        if isinstance(policy, Planned):
            self._probe(policy)

    def receive_status(self, server: Server) -> None:
        """Have a server's status come."""
        report = server.report()
        self._radio.receive(STATUS_BYTES, STATUS_PERIOD_S,
                            lambda now_s: self._policy.observe_server(report, now_s))

    def receive_beat(self, server: Server) -> None:
        """Have a server's beat come; it sends them while tensors wait."""
        if (wait_s := server.backlog_s()) > 0.0:
            self._radio.receive(
                BEAT_BYTES, BEAT_PERIOD_S,
                lambda now_s: self._policy.observe_beat(server.name, now_s, wait_s))

    # -- the path of a frame ----------------------------------------------------------------

    def _arrive(self, truth: FrameTruth) -> None:
        self._policy.observe_arrival(self._clock.now_s)
        older, self._waiting = self._waiting, _Frame(self._clock.now_s, truth)
        if older is not None:
            self._drop(older, DropReason.SUPERSEDED)
        self._start_next()

    def _start_next(self) -> None:
        """Give the worker something to do: an overdue frame, else a new one."""
        if self._working or self._hedge_next(self._clock.now_s):
            return
        if self._planned is None:
            self._plan_next()
        frame = self._planned
        if frame is None or self._hedge_next(self._clock.now_s + frame.head_s):
            return  # a hedge that would become due while the worker is busy runs before the frame
        self._planned, self._working = None, True
        self._encode(frame)
        ready_s = self._clock.now_s + self._world.preprocess_s + frame.head_s
        self._clock.schedule(ready_s + (0.0 if frame.chosen.local else frame.encode_s),
                             lambda: self._ready(frame))

    def _plan_next(self) -> None:
        """Plan the newest frame, if there is room for it."""
        frame = self._waiting
        if frame is None or len(self._in_flight) >= MAX_IN_FLIGHT:
            return
        self._waiting = None
        now_s = self._clock.now_s
        frame.queue_s = now_s - frame.arrival_s
        frame.option = self._policy.plan(now_s, self._deadline_s, frame.queue_s,
                                         Foresight(self._world, self._radio,
                                                   list(self._servers.values()), frame.truth,
                                                   frame.arrival_s, now_s))
        frame.decision = self._policy.decision
        frame.head_s, frame.head_j = self._head(frame.option.cut, frame.truth.head)
        frame.energy_j = frame.head_j
        if frame.head_s == inf:  # does not fit: nothing can be done with the frame
            frame.energy_j = frame.head_j = 0.0
            self._drop(frame, DropReason.HEAD_FAILED)
            return
        self._planned = frame

    def _head(self, cut: int, noise: float) -> tuple[float, float]:
        """Return time and energy of a head; its layers are merged while its cut is used first."""
        now_s, world = self._clock.now_s, self._world
        seconds, joules = map(float, world.head(cut, now_s, noise))
        if not 0 < cut < world.shape.last:
            return seconds, joules
        if now_s < self._merged_s.setdefault(cut, now_s + world.merging_s):
            return seconds * world.unmerged, joules * world.unmerged
        return seconds, joules

    def _encode(self, frame: _Frame) -> None:
        if frame.chosen.local:
            return
        nbytes, _, encode_s, _, _ = self._world.sizes.column(frame.chosen.cut,
                                                                frame.chosen.codec)
        frame.encode_s = encode_s
        frame.nbytes = int(nbytes * (1.0 if frame.chosen.codec == 'raw' else frame.truth.size))
        frame.energy_j += self._world.profile.active_w * encode_s

    def _ready(self, frame: _Frame) -> None:
        self._working = False
        if frame.chosen.local:
            self._end(frame, Outcome.LOCAL)
        else:
            self._send(frame)
        self._start_next()

    def _send(self, frame: _Frame) -> None:
        frame.sent_s = self._clock.now_s
        timeout_s = frame.sent_s + REPLY_TIMEOUT_DEADLINES * self._deadline_s
        left_s, radio_j = self._radio.send(frame.nbytes + MESSAGE_BYTES, timeout_s)
        frame.energy_j += radio_j
        self._in_flight[id(frame)] = frame
        if left_s < inf:
            self._clock.schedule(left_s + self._one_way_s, lambda: self._serve(frame))
        self._clock.schedule(timeout_s, lambda: self._expire(frame))
        whole_s, _ = self._world.head(self._world.shape.last, frame.sent_s, frame.truth.head)
        frame.hedge_at_s = frame.arrival_s + self._policy.hedge_s(
            frame.decision, self._deadline_s, float(whole_s) - frame.head_s)
        if frame.hedge_at_s < timeout_s:
            self._clock.schedule(max(frame.hedge_at_s, frame.sent_s), self._start_next)

    def _serve(self, frame: _Frame) -> None:
        server = frame.chosen.server
        left_s = self._links.left_to(server, self._deadline_s - (frame.sent_s - frame.arrival_s))
        self._servers[server].take(
            f'/drone{self._number}/edge_inference', frame.chosen.cut,
            left_s if self._deadline_s else inf, frame.truth.tail,
            lambda answer: self._clock.schedule(
                self._clock.now_s + self._one_way_s, lambda: self._answered(frame, answer)))

    def _answered(self, frame: _Frame, answer: Answered | Refused) -> None:
        if isinstance(answer, Refused):
            frame.refused_wait_s = answer.expected_wait_s
            self._refused(frame)
        else:
            self._reply(frame, answer.wait_s, answer.tail_s)

    def _reply(self, frame: _Frame, wait_s: float, tail_s: float) -> None:
        if frame.done:
            self._policy.observe_late(self._report(frame, Outcome.REMOTE, '', wait_s, tail_s),
                              self._clock.now_s)
            return
        if frame.hedged:
            self._stop_hedge(frame)
        self._links.observe(frame.chosen.server, self._clock.now_s - frame.sent_s - wait_s
                            - self._world.decode_s - tail_s)
        self._end(frame, Outcome.REMOTE, wait_s=wait_s, tail_s=tail_s)

    def _refused(self, frame: _Frame) -> None:
        """Finish a refused frame on board at once, as the node does; drop one without a hedge."""
        frame.refused = True
        if frame.done or frame.hedged:
            return
        if frame.hedge_at_s == inf:
            self._drop(frame, DropReason.BUSY)
        else:
            frame.hedge_at_s = self._clock.now_s
            self._start_next()

    def _expire(self, frame: _Frame) -> None:
        if not frame.done and not frame.hedged:
            self._drop(frame, DropReason.TIMEOUT)

    def _hedge_next(self, until_s: float) -> bool:
        """Start the hedge of the frame that is due first; False if none is due until then."""
        overdue = min(self._in_flight.values(), key=lambda f: f.hedge_at_s, default=None)
        if overdue is None or overdue.hedge_at_s > until_s:
            return False
        self._hedge(overdue)
        return True

    def _hedge(self, frame: _Frame) -> None:
        now_s = self._clock.now_s
        whole_s, whole_j = self._world.head(self._world.shape.last, now_s, frame.truth.head)
        frame.hedged, frame.hedge_at_s, self._working = True, inf, True
        frame.hedge_j = float(whole_j) - frame.head_j
        frame.hedge_s, frame.hedge_end_s = (float(whole_s) - frame.head_s,
                                            now_s + float(whole_s) - frame.head_s)
        frame.energy_j += frame.hedge_j
        self._clock.schedule(frame.hedge_end_s, lambda: self._hedged(frame))

    def _stop_hedge(self, frame: _Frame) -> None:
        """Cancel the remaining work on board, since the late reply has arrived."""
        self._working = False
        left = (frame.hedge_end_s - self._clock.now_s) / frame.hedge_s
        frame.energy_j -= left * frame.hedge_j

    def _hedged(self, frame: _Frame) -> None:
        if not frame.done:
            self._working = False
            self._end(frame, Outcome.LOCAL, reason=DropReason.BUSY.value if frame.refused else '')

    def _probe(self, policy: Planned) -> None:
        """Check periodically whether the policy wants to send a probe."""
        now_s = self._clock.now_s
        self._clock.schedule(now_s + PROBE_PERIOD_S, lambda: self._probe(policy))
        if self._in_flight or self._probing or not self.records:
            return
        if (probe := policy.probe(now_s)) is None:
            return
        self._probing = True
        left_s, radio_j = self._radio.send(probe.nbytes + MESSAGE_BYTES, now_s + PROBE_TIMEOUT_S)
        self.probe_j += radio_j
        done_s = left_s + 2.0 * self._one_way_s
        answered = done_s - now_s <= PROBE_TIMEOUT_S
        self._clock.schedule(min(done_s, now_s + PROBE_TIMEOUT_S), lambda: self._probed(
            policy, probe, done_s - now_s if answered else None))

    def _probed(self, policy: Planned, probe: Probe, answer_s: float | None) -> None:
        self._probing = False
        policy.session.observe_probe(probe, self._clock.now_s, answer_s)

    # -- its end ----------------------------------------------------------------------------

    def _drop(self, frame: _Frame, reason: DropReason) -> None:
        self._end(frame, Outcome.DROPPED, reason=reason.value)

    def _end(self, frame: _Frame, outcome: Outcome, *, reason: str = '', wait_s: float = nan,
             tail_s: float = nan) -> None:
        now_s = self._clock.now_s
        frame.done = True
        self._in_flight.pop(id(frame), None)
        latency_s = inf if outcome is Outcome.DROPPED else now_s - frame.arrival_s
        self.records.append(Record(self._number, frame.arrival_s, frame.option, latency_s,
                                   frame.energy_j, latency_s <= self._deadline_s))
        if frame.option is not None:
            self._policy.observe_frame(self._report(frame, outcome, reason, wait_s, tail_s), now_s,
                                       frame.energy_j, frame.decision)
        self._start_next()

    def _report(self, frame: _Frame, outcome: Outcome, reason: str, wait_s: float,
                tail_s: float) -> FrameReport:
        now_s, world = self._clock.now_s, self._world
        return FrameReport(
            frame.chosen.cut, frame.chosen.codec, frame.chosen.server, outcome, reason,
            frame.queue_s, world.preprocess_s, frame.head_s, frame.encode_s,
            now_s - frame.sent_s - wait_s - world.decode_s - tail_s, wait_s, world.decode_s,
            tail_s, now_s - frame.arrival_s, frame.nbytes, refused_wait_s=frame.refused_wait_s)
