"""Serves tensors by replicas on Ray: each is sent on as it comes, and awaited."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from math import inf
from typing import Protocol

from offload_perception.frames import FeaturePacket, Reply, Status
from offload_perception.network.artefact import Artefact
from offload_perception.serving.compute_tails import Computed
from offload_perception.serving.schedule import Refusal
from offload_perception.serving.server_load import Load
from offload_perception.serving.server_pipeline import Job, ServerPipeline, ServerSettings
from offload_perception.threads import Worker

ANSWER_S = 30.0  # a tensor without a deadline that is not answered by then has failed
GRACE_S = 5.0  # for what is under way when the server stops
_WEIGHT = 0.2  # of a new wait in the running mean

log = logging.getLogger(__name__)


class RemoteTails(Protocol):
    """Computes tails elsewhere; `RayTails` does.

    :ivar running: how many replicas do it now.
    """

    artefact: Artefact
    running: int

    @property
    def most(self) -> int:
        """Return how many tensors are computed together at most."""

    def compute(self, packet: FeaturePacket) -> Awaitable[Computed]:
        """Return what will become of a packet."""


class RayPipeline(ServerPipeline):
    """Sends tensors to replicas and takes their answers, on an event loop of its own.

    Ray has no deadlines: what is due before its answer comes is answered as late, and given up.
    The wait of a tensor is expected to be in proportion to how many are under way (Little's law).
    """

    def __init__(self, *, tails: RemoteTails, settings: ServerSettings,
                 reply: Callable[[Reply], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(artefact=tails.artefact, most=tails.most, settings=settings, reply=reply,
                         clock=clock)
        self._tails = tails
        self._under_way = Counter[str]()  # tensors of each drone
        self._wait_of_each_s = 0.0  # the wait of a tensor, for each that is under way with it
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop
        self._tasks = set[asyncio.Task[None]]()
        self._stopping: asyncio.Event

    def start(self) -> None:
        """Start the event loop."""
        ready = Future[None]()
        self._worker = Worker('ray_pipeline', lambda: asyncio.run(self._run(ready)), vital=True)
        self._worker.start()
        ready.result()
        self._running = True

    def stop(self) -> None:
        """Await for a short time what is under way, give up the rest, end the event loop."""
        with self._wake:
            was_running, self._running = self._running, False
        if was_running:
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def current_load(self) -> Load:
        """Return how busy the server is now."""
        with self._wake:
            wait_s = self._expected_wait_s()
            return self._load.snapshot(
                self._clock(), queue_length=self._under_way.total(), backlog_s=wait_s,
                backlogs_s=(wait_s,) * self._artefact.last)

    def backlog_s(self) -> float:
        """Return the wait of a tensor that arrives now; 0 if none is under way [s]."""
        with self._wake:
            return self._expected_wait_s() if self._under_way.total() else 0.0

    def _expected_wait_s(self) -> float:
        return (self._under_way.total() + 1) * self._wait_of_each_s

    def _waiting(self) -> Counter[str]:
        return +self._under_way

    def _admit(self, job: Job, now_s: float) -> list[Refusal[FeaturePacket]]:
        job.expected_wait_s, left_s = self._expected_wait_s(), job.due_s - now_s
        if left_s <= 0.0:
            return [Refusal(job, Status.LATE, 'its deadline had passed when it arrived')]
        under_way, tail_s = self._under_way.total(), self._load.tail_s(job.cut)
        if under_way and job.expected_wait_s + (tail_s if tail_s == tail_s else 0.0) > left_s:
            return [Refusal(job, Status.BUSY, f'the wait would be {job.expected_wait_s:.3f} s, '
                            f'and {left_s:.3f} s are left to its deadline')]
        if under_way >= self._settings.queue_limit:
            return [Refusal(job, Status.BUSY, f'{under_way} tensors are under way already, '
                            f'{self._under_way[job.drone]} of them of this drone')]
        self._under_way[job.drone] += 1
        self._loop.call_soon_threadsafe(self._send, job, under_way + 1)
        return []

    # -- on the event loop ------------------------------------------------------------------

    async def _run(self, ready: 'Future[None]') -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        ready.set_result(None)
        await self._stopping.wait()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=GRACE_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _send(self, job: Job, under_way: int) -> None:
        task = self._loop.create_task(self._serve(job, under_way))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: 'asyncio.Task[None]') -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error('a reply was not taken: %s: %s', type(error).__name__, error)

    async def _serve(self, job: Job, under_way: int) -> None:
        computed = await self._computed(job)
        done, replicas = self._clock(), max(self._tails.running, 1)
        with self._wake:
            self._under_way[job.drone] -= 1
            if not self._under_way[job.drone]:
                del self._under_way[job.drone]
            if computed.status is Status.OK:
                self._served.count_time(job.drone, computed.service_s / replicas, done)
                self._learn(done - job.arrival_s - computed.decode_s - computed.tail_s, under_way)
            elif computed.status is Status.LATE:  # it would have waited for longer
                self._learn(done - job.arrival_s, under_way)
        self._finish(job, computed, done, replicas)

    async def _computed(self, job: Job) -> Computed:
        """Return what becomes of a tensor, whatever happens."""
        left_s = min(job.due_s - self._clock(), ANSWER_S)
        if left_s <= 0.0:
            return Computed(Status.LATE, 'its deadline passed before it was sent to a replica')
        try:
            async with asyncio.timeout(left_s):
                return await self._tails.compute(job.item)
        except TimeoutError:
            if job.due_s < inf:
                return Computed(Status.LATE, 'its deadline has passed')
            return Computed(Status.FAILED, f'no replica answered in {ANSWER_S:.0f} s')
        except asyncio.CancelledError:
            return Computed(Status.BUSY, 'the server is shutting down')
        except Exception as e:  # whatever it is, the drone gets an answer; Ray explains at length
            why, _, _ = str(e).partition('\n')
            return Computed(Status.FAILED, f'{type(e).__name__}: {why}')

    def _learn(self, wait_s: float, under_way: int) -> None:
        each_s, old_s = max(wait_s, 0.0) / under_way, self._wait_of_each_s
        self._wait_of_each_s = old_s + _WEIGHT * (each_s - old_s) if old_s else each_s
