"""The bound on throughput: head and tail in two processes, and next to nothing between them."""

import multiprocessing
import time
from contextlib import suppress
from multiprocessing.synchronize import Semaphore
from queue import Empty
from typing import Any

import numpy as np

from offload_perception.errors import OffloadError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.open_network import open_network

_SLOTS = 2  # tensors between the two stages, as many as the drone keeps in flight


class BarePipeline:
    """Runs head and tail at the same time, in lockstep; a context manager.

    A semaphore each way is all that passes between the stages; both work on the same tensor
    over and over. They compete for cores and memory as they do in the graph.
    """

    def __init__(self, artefact: Artefact, cut: int, image: np.ndarray, *, runtime: str,
                 threads: int) -> None:
        spawn = multiprocessing.get_context('spawn')
        # Both are kept here: a semaphore without a reference is gone before a child opens it.
        self._free, self._ready = spawn.Semaphore(0), spawn.Semaphore(0)
        self._heads, self._tails = spawn.Queue(), spawn.Queue()
        self._processes = [
            spawn.Process(target=_work, daemon=True, args=(
                artefact, cut, image, runtime, threads, *ends))
            for ends in (('head', self._free, self._ready, self._heads),
                         ('tail', self._ready, self._free, self._tails))]

    def __enter__(self) -> 'BarePipeline':
        for process in self._processes:
            process.start()
        for queue in (self._heads, self._tails):
            self._take(queue)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.join()

    def run(self, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Return start and end of each head and of each tail: monotonic seconds, (frames, 2)."""
        for _ in range(_SLOTS):
            self._free.release()
        tails = [self._take(self._tails) for _ in range(frames)]
        for _ in range(_SLOTS):  # both stages come to rest
            self._free.acquire()
        heads = [self._take(self._heads) for _ in range(frames)]
        for queue in (self._heads, self._tails):
            while not queue.empty():
                queue.get()
        return np.array(heads), np.array(tails)

    def _take(self, queue: Any) -> Any:
        while all(p.is_alive() for p in self._processes):
            with suppress(Empty):
                return queue.get(timeout=1.0)
        raise OffloadError('a stage of the bare pipeline has ended; see its output above')


def _work(artefact: Artefact, cut: int, image: np.ndarray, runtime: str, threads: int,
          stage: str, take: Semaphore, give: Semaphore, times: Any) -> None:
    """Run one stage whenever a slot is free, until the parent ends."""
    network = open_network(artefact, 'cpu', runtime, threads)
    network.prepare(cut)
    tensors = network.head(cut, image)
    times.put(None)  # ready
    while _acquire(take):
        started = time.monotonic()
        if stage == 'head':
            network.head(cut, image)
        else:
            network.tail(cut, tensors)
        times.put((started, time.monotonic()))
        give.release()


def _acquire(semaphore: Semaphore) -> bool:
    """Wait for `semaphore`; False once the parent has died."""
    while not semaphore.acquire(timeout=1.0):
        parent = multiprocessing.parent_process()
        if parent is None or not parent.is_alive():
            return False
    return True
