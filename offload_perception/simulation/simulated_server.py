"""The clock of a simulation, and a server whose queue its drones and others share."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf
from typing import Any

import numpy as np

from offload_perception.planning.route import ServerReport
from offload_perception.serving.fair_shares import Shares
from offload_perception.serving.schedule import Refusal, Schedule, Waiting
from offload_perception.serving.server_load import LoadMeter
from offload_perception.serving.tail_times import TailTimes
from offload_perception.simulation.simulated_world import Factor, Tails, idle

QUEUE_LIMIT = 64  # as the node
OTHERS = 8
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


@dataclass(frozen=True)
class Answered:
    """A result: how long its tensor waited, and was expected to, and its tail [s]."""

    wait_s: float
    tail_s: float
    expected_wait_s: float
    batch: int


@dataclass(frozen=True)
class Refused:
    """A refusal, with the wait that the server expected [s]."""

    expected_wait_s: float


Answer = Callable[[Answered | Refused], object]


@dataclass(frozen=True)
class _Job:
    noise: float  # of its own times
    answer: Answer


def _ignore(_: Answered | Refused) -> None:
    """Take the answer to an image of others."""


class Server:
    """A server with the schedule of the real one, and a status a second.

    Others, `OTHERS` drones, send whole images at random times (Poisson), with the deadline of all.
    """

    def __init__(self, name: str, tails: Tails, clock: Clock, *, duration_s: float = 0.0,
                 deadline_s: float = 0.0, other_load: Factor = idle,
                 seed: tuple[int, ...] = (0,), schedule: type[Schedule[Any]] = Schedule) -> None:
        self.name, self._tails, self._clock = name, tails, clock
        self._other_load, cuts = other_load, len(tails.alone_s)
        self._times = TailTimes(cuts=cuts, join=tails.join, most=max(tails.together_s, default=1))
        for tensors, seconds in tails.together_s.items():
            self._times.observe_together(tails.join, tensors, seconds)
        self._schedule: Schedule[_Job] = schedule(self._times, Shares(), limit=QUEUE_LIMIT)
        self._meter = LoadMeter(cuts=cuts, now_s=0.0)
        self._free_s = 0.0  # when what is computed now will be done
        self._others_s = self._arrivals(duration_s, np.random.default_rng(seed))
        for n, arrival_s in enumerate(self._others_s):
            clock.schedule(float(arrival_s), partial(
                self.take, f'/other{n % OTHERS}/edge_inference', 0, deadline_s or inf, 1.0,
                _ignore))

    def _arrivals(self, duration_s: float, rng: np.random.Generator) -> np.ndarray:
        """Return when images of others arrive, by thinning the arrivals of a full server [s]."""
        n = rng.poisson(duration_s / self._tails.image_s)
        at_s = np.sort(rng.uniform(0.0, duration_s, n))
        load = np.array([self._other_load(t) for t in at_s])
        return at_s[rng.random(n) < load]

    # -- what oracles know: the waits as if all were served in order of arrival ---------------

    def waits_s(self, arrival_s: np.ndarray) -> np.ndarray:
        """Return how long a tensor of each arrival will wait, by all that comes before it [s]."""
        waits_s, free_s = np.zeros(len(arrival_s)), self._clock.now_s + self._ahead_s()
        coming = iter(self._others_s[np.searchsorted(self._others_s, self._clock.now_s, 'right'):])
        next_s = next(coming, np.inf)
        for i in np.argsort(arrival_s):
            while next_s <= min(arrival_s[i], self._clock.now_s + 10.0):
                free_s, next_s = max(free_s, next_s) + self._tails.image_s, next(coming, np.inf)
            waits_s[i] = max(free_s - arrival_s[i], 0.0)
        return waits_s

    def likely_waits_s(self, arrival_s: np.ndarray) -> np.ndarray:
        """Return n likely waits of tensors of these arrivals, float64 (k, n) [s].

        The current queue is known, and of future arrivals the distribution.
        """
        now_s = self._clock.now_s
        later_s = np.minimum(arrival_s - now_s, 10.0)
        rate = self._other_load(now_s) / self._tails.image_s
        coming = self._tails.image_s * _poisson(rate * later_s)
        return np.maximum(self._ahead_s() + coming - later_s[:, None], 0.0)

    def _ahead_s(self) -> float:
        """Return the work that has come and is not done [s]."""
        return self._schedule.work_s() + max(self._free_s - self._clock.now_s, 0.0)

    # -- tensors ------------------------------------------------------------------------------

    def take(self, drone: str, cut: int, left_s: float, noise: float, answer: Answer) -> None:
        """Take a tensor now, with the time that is left to its deadline."""
        now_s = self._clock.now_s
        tensor = Waiting(drone, cut, now_s, now_s + left_s, 0, _Job(noise, answer))
        refusals = self._schedule.offer(tensor, now_s)
        if all(refusal.tensor is not tensor for refusal in refusals):
            self._meter.count_arrival(now_s)
        self._refuse(refusals)
        self._start()

    def _start(self) -> None:
        """Compute the next tensors, if none are being computed."""
        now_s, tails = self._clock.now_s, self._tails
        if self._free_s > now_s or not len(self._schedule):
            return
        batch, late = self._schedule.take(now_s)
        self._refuse(late)
        if not batch:
            return
        alone_s = [tails.decode_s + tails.to_join_s(t.cut) * t.item.noise for t in batch]
        first = self._times.first(t.cut for t in batch)
        together_s = self._times.together_s(first)[len(batch)] if tails.together_s else 0.0
        self._free_s = now_s + sum(alone_s) + together_s
        self._clock.schedule(self._free_s, lambda: self._end(batch, now_s, alone_s, together_s))

    def _end(self, batch: list[Waiting[_Job]], started_s: float, alone_s: list[float],
             together_s: float) -> None:
        now_s = self._clock.now_s
        self._schedule.finish(batch, started_s, now_s)
        for tensor, own_s in zip(batch, alone_s, strict=True):
            self._times.observe_alone(tensor.cut, own_s)
            tail_s = own_s - self._tails.decode_s + together_s
            self._meter.observe_tail(tensor.cut, own_s + together_s / len(batch), now_s,
                                     tail_s=tail_s)
            waited_s = now_s - tensor.arrival_s - own_s - together_s
            self._schedule.observe_wait(tensor, waited_s)
            tensor.item.answer(Answered(waited_s, tail_s, tensor.expected_wait_s, len(batch)))
        self._start()

    def _refuse(self, refusals: list[Refusal[_Job]]) -> None:
        for refusal in refusals:
            refusal.tensor.item.answer(Refused(refusal.tensor.expected_wait_s))

    def backlog_s(self) -> float:
        """Return the wait of a tensor that arrives now [s]."""
        return self._schedule.expected_wait_s(self._clock.now_s)

    def report(self) -> ServerReport:
        """Return the server's report."""
        load = self._meter.snapshot(self._clock.now_s, queue_length=len(self._schedule),
                                    backlog_s=self.backlog_s())
        return ServerReport(self.name, load.expected_wait_s, load.tail_times_s)


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
