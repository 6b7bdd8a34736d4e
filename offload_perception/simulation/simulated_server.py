"""The clock of a simulation, and a server whose queue its drones and others share."""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

import numpy as np

from offload_perception.planning.route import ServerReport
from offload_perception.serving.server_load import LoadMeter
from offload_perception.simulation.simulated_world import World

QUEUE_LIMIT = 16
_LIKELY = (np.arange(25) + 0.5) / 25  # quantiles of a chance


class Clock:
    """The events to come, in order of time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()

    def schedule(self, time_s: float, action: Callable[[], object]) -> None:
        """Call `action` at `time_s`."""
        heapq.heappush(self._events, (time_s, next(self._numbers), action))

    def run(self, until_s: float) -> None:
        """Run all events up to `until_s`, and what they lead to."""
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, action = heapq.heappop(self._events)
            action()


class Server:
    """One worker, tails in order of arrival, and a status a second.

    Others send whole images at random times (Poisson), so that it is an M/D/1 queue for them.
    """

    def __init__(self, name: str, world: World, clock: Clock, *, duration_s: float,
                 seed: tuple[int, ...]) -> None:
        self.name, self._world, self._clock = name, world, clock
        self._meter = LoadMeter(cuts=world.shape.last, now_s=0.0)
        self._free_s = 0.0
        self._starts: deque[float] = deque()
        self._image_s = world.decode_s + float(world.tails_s[0])
        self._others_s = self._arrivals(duration_s, np.random.default_rng(seed))
        for arrival_s in self._others_s:
            clock.schedule(float(arrival_s), lambda: self.take(0, 1.0))

    def _arrivals(self, duration_s: float, rng: np.random.Generator) -> np.ndarray:
        """Return when images of others arrive, by thinning the arrivals of a full server [s]."""
        n = rng.poisson(duration_s / self._image_s)
        at_s = np.sort(rng.uniform(0.0, duration_s, n))
        load = np.array([self._world.other_load(t) for t in at_s])
        return at_s[rng.random(n) < load]

    def waits_s(self, arrival_s: np.ndarray) -> np.ndarray:
        """Return how long a tensor of each arrival will wait, by all that comes before it [s]."""
        waits_s, free_s = np.zeros(len(arrival_s)), self._free_s
        coming = iter(self._others_s[np.searchsorted(self._others_s, self._clock.now_s, 'right'):])
        next_s = next(coming, np.inf)
        for i in np.argsort(arrival_s):
            while next_s <= min(arrival_s[i], self._clock.now_s + 10.0):
                free_s, next_s = max(free_s, next_s) + self._image_s, next(coming, np.inf)
            waits_s[i] = max(free_s - arrival_s[i], 0.0)
        return waits_s

    def likely_waits_s(self, arrival_s: np.ndarray) -> np.ndarray:
        """Return n likely waits of tensors of these arrivals, float64 (k, n) [s].

        The current queue is known, and of future arrivals the distribution.
        """
        now_s = self._clock.now_s
        ahead_s = np.minimum(arrival_s - now_s, 10.0)
        rate = self._world.other_load(now_s) / self._image_s
        coming = self._image_s * _poisson(rate * ahead_s)
        return np.maximum(self.backlog_s() + coming - ahead_s[:, None], 0.0)

    def take(self, cut: int, noise: float) -> tuple[float, float] | None:
        """Take a tensor now; return its wait and its tail time [s], or None if it is full."""
        now_s = self._clock.now_s
        if self._queue_length(now_s) >= QUEUE_LIMIT:
            return None
        start_s, tail_s = max(self._free_s, now_s), float(self._world.tails_s[cut]) * noise
        done_s = self._free_s = start_s + self._world.decode_s + tail_s
        self._starts.append(start_s)
        self._meter.count_arrival(now_s)
        self._clock.schedule(done_s, lambda: self._meter.observe_tail(
            cut, done_s - start_s, done_s, tail_s=tail_s))
        return start_s - now_s, tail_s

    def backlog_s(self) -> float:
        """Return the wait of a tensor that arrives now [s]."""
        return max(self._free_s - self._clock.now_s, 0.0)

    def report(self) -> ServerReport:
        """Return the server's report."""
        now_s = self._clock.now_s
        load = self._meter.snapshot(now_s, queue_length=self._queue_length(now_s),
                                    backlog_s=self.backlog_s())
        return ServerReport(self.name, load.expected_wait_s, load.tail_times_s)

    def _queue_length(self, now_s: float) -> int:
        while self._starts and self._starts[0] <= now_s:
            self._starts.popleft()
        return len(self._starts)


def _poisson(mean: np.ndarray) -> np.ndarray:
    """Return the counts at the quantiles of Poisson laws of these means, float64 (k, n)."""
    term = np.exp(-mean)[:, None]
    below, counts = term.copy(), np.zeros((len(mean), len(_LIKELY)))
    for i in range(1, 1000):
        more = below < _LIKELY
        if not more.any():
            break
        counts += more
        term = term * mean[:, None] / i
        below += term
    return counts
