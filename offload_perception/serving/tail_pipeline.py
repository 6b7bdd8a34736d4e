"""The server's side of a frame: validate, queue, decode, tail, reply."""

import time
from collections import Counter
from collections.abc import Callable
from math import isfinite, nan

from offload_perception.frames import FeaturePacket, Reply, Status
from offload_perception.network.runnable import ServedNetwork
from offload_perception.serving.compute_tails import Computed, compute_tails
from offload_perception.serving.fair_shares import Shares
from offload_perception.serving.schedule import Refusal, Schedule
from offload_perception.serving.server_load import Load
from offload_perception.serving.server_pipeline import (
    Job,
    ServerPipeline,
    ServerSettings,
    wait_of,
)
from offload_perception.serving.tail_times import TailTimes
from offload_perception.threads import PATIENCE, Worker


class TailPipeline(ServerPipeline):
    """Computes tails in this process: one worker, in the order of a `Schedule`.

    :param schedule: another one to compare with.
    """

    def __init__(self, *, network: ServedNetwork, settings: ServerSettings,
                 reply: Callable[[Reply], None],
                 schedule: type[Schedule[FeaturePacket]] = Schedule,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._network = network
        self._times = TailTimes(cuts=network.artefact.last, join=network.join,
                                most=min(settings.batch or network.most, network.most))
        super().__init__(artefact=network.artefact, most=self._times.most, settings=settings,
                         reply=reply, clock=clock)
        for tensors, seconds in network.together_s.items():
            if tensors <= self._times.most:
                self._times.observe_together(network.join, tensors, seconds)
        self._schedule = schedule(self._times, Shares(settings.shares),
                                  limit=settings.queue_limit)
        self._worker: Worker | None = None

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
        self._refuse([Refusal(job, Status.BUSY, 'the server is shutting down') for job in left])

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

    def _admit(self, job: Job, now_s: float) -> list[Refusal[FeaturePacket]]:
        refused = self._schedule.offer(job, now_s)
        self._wake.notify()
        return refused

    def _waiting(self) -> Counter[str]:
        return self._schedule.waiting

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
            computed = compute_tails(
                self._network, [job.item for job in batch], top_k=self._settings.top_k,
                min_score=self._settings.min_score, clock=self._clock)
            done = self._clock()
            self._learn(batch, computed, done)
            for job, each in zip(batch, computed, strict=True):
                self._finish(job, each, done)
            with self._wake:
                self._times.observe_reply((self._clock() - done) / len(batch))
        finally:
            done = self._clock()
            with self._wake:
                self._schedule.finish(batch, started, done)
                for job in batch:
                    self._served.count_time(job.drone, (done - started) / len(batch), done)

    def _learn(self, batch: list[Job], computed: list[Computed], done: float) -> None:
        """Note how long the tails took, and how long they waited for."""
        with self._wake:
            for job, c in zip(batch, computed, strict=True):
                if isfinite(c.alone_s):
                    self._times.observe_alone(job.cut, c.decode_s + c.alone_s)
            served = [(job.cut, c) for job, c in zip(batch, computed, strict=True)
                      if c.status is Status.OK]
            for job, c in zip(batch, computed, strict=True):
                if c.status is Status.OK:
                    self._schedule.observe_wait(job, wait_of(job, c, done))
            if served:
                self._times.observe_together(self._times.first(cut for cut, _ in served),
                                             len(served), served[0][1].together_s)
