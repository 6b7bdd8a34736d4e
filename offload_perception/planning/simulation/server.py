"""The clock of a simulation, and a server whose queue its drones share."""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from math import inf

import numpy as np

from offload_perception.pipeline.load import LoadMeter
from offload_perception.planning.server import ServerReport
from offload_perception.planning.simulation.world import World

QUEUE_LIMIT = 16


class Clock:
    """The events to come, in order of time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Call `action` at `time_s`."""
        heapq.heappush(self._events, (time_s, next(self._numbers), action))

    def run(self, until_s: float) -> None:
        """Run all events up to `until_s`, and what they lead to."""
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, action = heapq.heappop(self._events)
            action()


class Server:
    """One worker, tails in order of arrival, and a status a second; may have other users."""

    def __init__(self, name: str, world: World, clock: Clock) -> None:
        self.name, self._world, self._clock = name, world, clock
        self._meter = LoadMeter(cuts=world.shape.last, now_s=0.0)
        self._free_s = 0.0
        self._starts: deque[float] = deque()

    def wait_s(self, arrival_s: float | np.ndarray) -> float | np.ndarray:
        """Return how long a tensor of that arrival will wait, as things stand [s]."""
        others_s = [self._world.other_wait_s(t) if t < inf else 0.0
                    for t in np.atleast_1d(arrival_s)]
        return np.maximum(self._free_s - arrival_s, 0.0) + np.reshape(others_s,
                                                                      np.shape(arrival_s))

    def likely_waits_s(self, arrival_s: np.ndarray) -> np.ndarray:
        """Return n likely waits of tensors of these arrivals, float64 (k, n) [s]."""
        law_s = self._world.wait_law_s(self._clock.now_s)
        return np.maximum(self._free_s - arrival_s, 0.0)[:, None] + law_s

    def take(self, cut: int, noise: float) -> tuple[float, float] | None:
        """Take a tensor now; return its wait and its tail time [s], or None where it is full."""
        now_s = self._clock.now_s
        if self._queue_length(now_s) >= QUEUE_LIMIT:
            return None
        wait_s, tail_s = float(self.wait_s(now_s)), float(self._world.tails_s[cut]) * noise
        start_s = now_s + wait_s
        done_s = self._free_s = start_s + self._world.decode_s + tail_s
        self._starts.append(start_s)
        self._meter.arrived(now_s)
        self._clock.at(done_s, lambda: self._meter.computed(cut, start_s, done_s, tail_s=tail_s))
        return wait_s, tail_s

    def report(self) -> ServerReport:
        """Return what the server says of itself."""
        now_s = self._clock.now_s
        load = self._meter.snapshot(now_s, queue_length=self._queue_length(now_s))
        return ServerReport(self.name, load.expected_wait_s + self._world.other_wait_s(now_s),
                            load.utilisation, load.tail_times_s)

    def _queue_length(self, now_s: float) -> int:
        while self._starts and self._starts[0] <= now_s:
            self._starts.popleft()
        return len(self._starts)
