"""The server's side of a frame: validate, queue, decode, tail, reply."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nan
from threading import Condition
from typing import NamedTuple

from offload_perception.errors import DecodeError
from offload_perception.frames import (
    PROBE_CODEC,
    FeaturePacket,
    Reply,
    Result,
    Status,
)
from offload_perception.incoming import text
from offload_perception.network.interpret import interpret
from offload_perception.network.runnable import ServedNetwork
from offload_perception.serving.check_packet import decode_packet, reason_to_refuse
from offload_perception.serving.fair_shares import Shares
from offload_perception.serving.schedule import Refusal, Schedule, Waiting
from offload_perception.serving.served import DroneCounts, Served
from offload_perception.serving.server_load import Load, LoadMeter
from offload_perception.serving.tail_times import TailTimes
from offload_perception.tensor import Tensors
from offload_perception.threads import PATIENCE, Worker

_LONGEST_WHY = 1000  # characters of a refusal
_SIZED_BYTES = 1024  # what a tensor in the queue takes beside its data

Job = Waiting[FeaturePacket]


@dataclass(frozen=True)
class ServerSettings:
    """`name` is its namespace, for its replies; more than `queue_limit` waiting is refused.

    `batch` is the most tensors computed together; 0 = as many as the network can. `shares` are
    the weights of drones by namespace, 1 for others.
    """

    name: str
    queue_limit: int = 64
    top_k: int = 5
    min_score: float = 0.4
    batch: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerCounts:
    """Running totals: received = sum of `replies` + waiting + those being computed.

    `batches` counts computations of 1, 2, .. tensors together.
    """

    received: int = 0
    replies: Counter[Status] = field(default_factory=Counter)
    batches: tuple[int, ...] = ()


class _Ready(NamedTuple):
    """A tensor at the join, and the seconds of its way there."""

    job: Job
    cut: int
    tensors: Tensors
    decode_s: float
    alone_s: float


class TailPipeline:
    """Takes packets from any thread; one worker computes tails, in the order of a `Schedule`.

    Every packet gets exactly one `reply`, a result or a refusal that says why. The reply comes
    from the worker, or at once from the thread that submitted a packet that is refused.

    :param schedule: another one to compare with.
    """

    def __init__(self, *, network: ServedNetwork, settings: ServerSettings,
                 reply: Callable[[Reply], None],
                 schedule: type[Schedule[FeaturePacket]] = Schedule,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._network, self._artefact, self._settings = network, network.artefact, settings
        self._reply, self._clock = reply, clock
        cuts = self._artefact.last
        self._load = LoadMeter(cuts=cuts, now_s=clock())
        self._times = TailTimes(cuts=cuts, join=network.join,
                                most=min(settings.batch or network.most, network.most))
        for tensors, seconds in network.together_s.items():
            if tensors <= self._times.most:
                self._times.observe_together(network.join, tensors, seconds)
        self._wake = Condition()
        self._schedule = schedule(self._times, Shares(settings.shares),
                                  limit=settings.queue_limit)
        self._served = Served()
        self._received, self._replies = 0, Counter[Status]()
        self._batches = [0] * self._times.most
        self._running = False
        self._worker: Worker | None = None
        self.ran = self.ran_on = ''  # runtime and device of the last tail

    def start(self) -> None:
        """Start the worker."""
        self._running = True
        self._worker = Worker('tail_pipeline', self._work, patience=PATIENCE, vital=True)
        self._worker.start()

    def stop(self) -> None:
        """Finish the current tails, refuse the queue, end the worker."""
        with self._wake:
            self._running = False
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        with self._wake:
            left = self._schedule.clear()
        for job in left:
            self._answer(job, Status.BUSY, 'the server is shutting down')

    def submit(self, packet: FeaturePacket) -> None:
        """Take a packet; a probe is answered at once and not counted."""
        now = self._clock()
        if packet.codec == PROBE_CODEC:
            self._reply(Reply(packet, Status.PROBE, server=self._settings.name,
                              server_total_s=self._clock() - now))
            return
        job = Job(packet.drone, packet.split, now,
                  now + packet.remaining_s if packet.remaining_s else inf,
                  len(packet.data) + _SIZED_BYTES, packet)
        why = reason_to_refuse(packet, self._artefact)
        with self._wake:
            self._received += 1
            self._served.count_received(packet.drone)
            if why:
                refused = [Refusal(job, Status.REFUSED, why)]
            elif not self._running:
                refused = [Refusal(job, Status.BUSY, 'the server is not serving')]
            else:
                refused = self._schedule.offer(job, now)
                if job not in (refusal.tensor for refusal in refused):
                    self._load.count_arrival(now)
                    self._wake.notify()
        self._refuse(refused)

    def current_load(self) -> Load:
        """Return how busy the server is now."""
        with self._wake:
            now, schedule = self._clock(), self._schedule
            return self._load.snapshot(
                now, queue_length=len(schedule), backlog_s=schedule.expected_wait_s(now),
                backlogs_s=tuple(
                    schedule.expected_wait_s(now, cut) if self._times.known(cut) else nan
                    for cut in range(self._artefact.last)))

    def backlog_s(self) -> float:
        """Return the wait of a tensor that arrives now, by the work ahead of it [s]."""
        with self._wake:
            return self._schedule.expected_wait_s(self._clock())

    @property
    def most(self) -> int:
        """Return how many tensors are computed together at most."""
        return self._times.most

    @property
    def counts(self) -> ServerCounts:
        """Return the totals."""
        with self._wake:
            return ServerCounts(self._received, self._replies.copy(), tuple(self._batches))

    def drones(self) -> tuple[dict[str, DroneCounts], Counter[str]]:
        """Return the totals of each drone, and how many of its tensors wait."""
        with self._wake:
            return self._served.drones(self._clock()), self._schedule.waiting

    def _work(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: len(self._schedule) or not self._running)
            if not self._running:
                return False
            started = self._clock()
            batch, late = self._schedule.take(started)
        self._refuse(late)
        if batch:
            self._compute(batch, started)
        return True

    def _compute(self, batch: list[Job], started: float) -> None:
        try:
            ready = [r for r in map(self._bring_to_join, batch) if r is not None]
            if ready:
                self._run_together(ready)
        finally:
            done = self._clock()
            with self._wake:
                self._schedule.finish(batch, started, done)
                for job in batch:
                    self._served.count_time(job.drone, (done - started) / len(batch), done)

    def _bring_to_join(self, job: Job) -> _Ready | None:
        """Decode a tensor and run its own layers; answer it if that fails."""
        started, cut = self._clock(), job.cut
        try:
            tensors = decode_packet(job.item, self._artefact)
            decoded = self._clock()
            tensors = self._network.to_join(cut, tensors)
        except DecodeError as e:
            self._answer(job, Status.REFUSED, str(e))
        except Exception as e:  # whatever it is, the drone gets an answer
            self._fail(job, e)
        else:
            done = self._clock()
            with self._wake:
                self._times.observe_alone(cut, done - started)
            return _Ready(job, max(cut, self._network.join), tensors, decoded - started,
                          done - decoded)
        return None

    def _run_together(self, ready: list[_Ready]) -> None:
        """Run the layers that several tensors take together, and answer."""
        started, n = self._clock(), len(ready)
        try:
            frames = self._network.together([r.cut for r in ready], [r.tensors for r in ready])
            done = self._clock()
            results = [interpret(outputs, self._artefact, top_k=self._settings.top_k,
                                 min_score=self._settings.min_score) for outputs in frames]
        except Exception as e:  # whatever it is, the drones get an answer and the server goes on
            for r in ready:
                self._fail(r.job, e)
            return
        together_s = done - started
        self.ran, self.ran_on = self._network.ran, self._network.ran_on
        with self._wake:
            self._times.observe_together(self._times.first(r.cut for r in ready), n, together_s)
            self._batches[n - 1] += 1
        for r, result in zip(ready, results, strict=True):
            tail_s = r.alone_s + together_s
            self._load.observe_tail(r.job.cut, r.decode_s + r.alone_s + together_s / n, done,
                                    tail_s=tail_s)
            wait_s = max(done - r.job.arrival_s - r.decode_s - tail_s, 0.0)
            self._answer(r.job, Status.OK, result=result, runtime=self.ran, device=self.ran_on,
                         batch=n, server_wait_s=wait_s, decode_s=r.decode_s, tail_s=tail_s)

    def _fail(self, job: Job, error: Exception) -> None:
        self._answer(job, Status.FAILED, f'{type(error).__name__}: {error}')

    def _refuse(self, refusals: list[Refusal[FeaturePacket]]) -> None:
        for refusal in refusals:
            self._answer(refusal.tensor, refusal.status, refusal.why)

    def _answer(self, job: Job, status: Status, message: str = '',
                result: Result | None = None, runtime: str = '', device: str = '', batch: int = 0,
                server_wait_s: float = nan, decode_s: float = nan, tail_s: float = nan) -> None:
        with self._wake:
            self._replies[status] += 1
            self._served.count_reply(job.drone, status)
        settings = self._settings
        self._reply(Reply(
            packet=job.item, status=status, message=text(message, _LONGEST_WHY),
            result=result or Result(), server=settings.name, runtime=runtime, device=device,
            batch=batch, expected_wait_s=job.expected_wait_s, server_wait_s=server_wait_s,
            decode_s=decode_s, tail_s=tail_s, server_total_s=self._clock() - job.arrival_s))
