"""The server's side of a frame: validate, queue, decode, tail, reply."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import nan
from threading import Condition

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
from offload_perception.network.runnable import TailNetwork
from offload_perception.pipeline.server_load import Load, LoadMeter
from offload_perception.pipeline.validate import decode_packet, reason_to_refuse
from offload_perception.threads import PATIENCE, Worker

_LONGEST_WHY = 1000  # characters of a refusal


@dataclass(frozen=True)
class ServerSettings:
    """`name` is its namespace, for its replies; more than `queue_limit` waiting is refused."""

    name: str
    queue_limit: int = 16
    top_k: int = 5
    min_score: float = 0.4


@dataclass
class _Job:
    """A queued packet, its arrival, and its deadline (0 = none)."""

    packet: FeaturePacket
    arrival_s: float
    due_s: float = 0.0


@dataclass(frozen=True)
class ServerCounts:
    """Running totals: received = sum of `replies` + waiting + the one being computed."""

    received: int = 0
    replies: Counter[Status] = field(default_factory=Counter)


class TailPipeline:
    """Takes packets from any thread; one worker computes tails in order of arrival.

    Every packet gets exactly one `reply`, a result or a refusal that says why. The reply comes
    from the worker, or at once from the thread that submitted a packet that is refused.
    """

    def __init__(self, *, network: TailNetwork, settings: ServerSettings,
                 reply: Callable[[Reply], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._network, self._artefact, self._settings = network, network.artefact, settings
        self._reply, self._clock = reply, clock
        self._load = LoadMeter(cuts=self._artefact.last, now_s=clock())
        self._wake = Condition()
        self._queue: deque[_Job] = deque()
        self._computing: tuple[int, float] | None = None  # cut, and since when
        self._received, self._replies = 0, Counter[Status]()
        self._running = False
        self._worker: Worker | None = None
        self.ran = self.ran_on = ''  # runtime and device of the last tail

    def start(self) -> None:
        """Start the worker."""
        self._running = True
        self._worker = Worker('tail_pipeline', self._work, patience=PATIENCE, vital=True)
        self._worker.start()

    def stop(self) -> None:
        """Finish the current tail, refuse the queue, end the worker."""
        with self._wake:
            self._running = False
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        while self._queue:
            self._refuse(self._queue.popleft(), Status.BUSY, 'the server is shutting down')

    def submit(self, packet: FeaturePacket) -> None:
        """Take a packet; a probe is answered at once and not counted."""
        now = self._clock()
        if packet.codec == PROBE_CODEC:
            self._reply(Reply(packet, Status.PROBE, server=self._settings.name,
                              server_total_s=self._clock() - now))
            return
        job = _Job(packet, now, now + packet.remaining_s if packet.remaining_s else 0.0)
        with self._wake:
            self._received += 1
        if why := reason_to_refuse(packet, self._artefact):
            self._refuse(job, Status.REFUSED, why)
            return
        with self._wake:
            why = self._no_room()
            if not why:
                self._load.count_arrival(now)
                self._queue.append(job)
                self._wake.notify()
        if why:
            self._refuse(job, Status.BUSY, why)

    def _no_room(self) -> str:
        if not self._running:
            return 'the server is not serving'
        limit = self._settings.queue_limit
        return f'{limit} tensors wait already' if len(self._queue) >= limit else ''

    def current_load(self) -> Load:
        """Return how busy the server is now."""
        return self._load.snapshot(self._clock(), queue_length=len(self._queue))

    def backlog_s(self) -> float:
        """Return the wait of a tensor that arrives now, by the work ahead of it [s]."""
        with self._wake:
            ahead_s = sum((self._load.service_s(job.packet.split) for job in self._queue), 0.0)
            if self._computing:
                cut, since_s = self._computing
                ahead_s += max(self._load.service_s(cut) - (self._clock() - since_s), 0.0)
        return ahead_s

    @property
    def counts(self) -> ServerCounts:
        """Return the totals."""
        with self._wake:
            return ServerCounts(self._received, self._replies.copy())

    def _work(self) -> bool:
        if (job := self._take()) is None:
            return False
        if job.due_s and self._clock() > job.due_s and self._queue:
            # Late anyway: only worth computing while the queue is empty.
            self._refuse(job, Status.LATE, 'the deadline passed while it waited')
        else:
            self._compute(job)
        return True

    def _take(self) -> _Job | None:
        with self._wake:
            self._computing = None
            self._wake.wait_for(lambda: self._queue or not self._running)
            if not self._running:
                return None
            job = self._queue.popleft()
            self._computing = job.packet.split, self._clock()
            return job

    def _compute(self, job: _Job) -> None:
        started = self._clock()
        try:
            tensors = decode_packet(job.packet, self._artefact)
            ready = self._clock()
            outputs = self._network.tail(job.packet.split, tensors)
            done = self._clock()
            result = interpret(outputs, self._artefact, top_k=self._settings.top_k,
                               min_score=self._settings.min_score)
        except DecodeError as e:
            self._refuse(job, Status.REFUSED, str(e))
        except Exception as e:  # whatever it is, the drone gets an answer and the server goes on
            self._refuse(job, Status.FAILED, f'{type(e).__name__}: {e}')
        else:
            self.ran, self.ran_on = self._network.ran, self._network.ran_on
            self._load.observe_tail(job.packet.split, started, done, tail_s=done - ready)
            self._answer(job, Status.OK, result=result, runtime=self.ran, device=self.ran_on,
                         server_wait_s=started - job.arrival_s,
                         decode_s=ready - started, tail_s=done - ready)

    def _refuse(self, job: _Job, status: Status, why: str) -> None:
        self._answer(job, status, message=text(why, _LONGEST_WHY))

    def _answer(self, job: _Job, status: Status, message: str = '',
                result: Result | None = None, runtime: str = '', device: str = '',
                server_wait_s: float = nan, decode_s: float = nan, tail_s: float = nan) -> None:
        with self._wake:
            self._replies[status] += 1
        settings = self._settings
        self._reply(Reply(
            packet=job.packet, status=status, message=message, result=result or Result(),
            server=settings.name, runtime=runtime, device=device,
            server_wait_s=server_wait_s, decode_s=decode_s, tail_s=tail_s,
            server_total_s=self._clock() - job.arrival_s))
