"""A replica of the network on Ray Serve; only processes that have Ray import this."""

from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ray import serve

from offload_perception.frames import FeaturePacket
from offload_perception.network.batch_sizes import MOST
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.open_network import open_network
from offload_perception.serving.compute_tails import Computed, compute_tails
from offload_perception.serving.replicas import ReplicaReport, ReplicaSettings
from offload_perception.threads import JobQueue, fulfil

# What comes while a batch is computed makes the next one; nothing waits for others to come.
_batched: Callable[[Any], Any] = serve.batch(max_batch_size=MOST, batch_wait_timeout_s=0.0)


class TailsReplica:
    """Loads the network from the folder that Ray has brought here, and computes tails.

    :raises OffloadError: if the model is damaged or cannot run here.
    """

    def __init__(self, settings: ReplicaSettings) -> None:
        self._settings = settings
        artefact = replace(settings.artefact, path=Path.cwd())
        artefact.verify()
        self._network = open_network(artefact, settings.device, settings.runtime,
                                     settings.threads)
        self._tails = BatchedTails(self._network, threads=settings.threads, most=settings.batch)
        self.compute.set_max_batch_size(self._tails.most)
        self._worker = JobQueue('tails')  # Ray's event loop is left to Ray
        self._worker.start()

    def report(self) -> ReplicaReport:
        """Return what runs here."""
        return ReplicaReport(self._tails.most, self._network.describe(), self._tails.finding,
                             self._network.choice.fallback)

    @_batched
    async def compute(self, packets: list[FeaturePacket]) -> list[Computed]:
        """Return what became of each packet; a caller gives one and gets one."""
        done = Future[list[Computed]]()
        self._worker.submit(partial(fulfil, done, partial(
            compute_tails, self._tails, packets, top_k=self._settings.top_k,
            min_score=self._settings.min_score)))
        return await wrap_future(done)
