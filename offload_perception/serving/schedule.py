"""Which tensors a server computes next, and what one that arrives has to expect.

Earliest deadline first among the drones that are within their share, then among the others. Of
the sizes that a batch may have, the one is taken with which most of the queue keeps its deadline,
and of those the one with which all is done first. It has no clock and no thread: the server and
its simulation both use it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Any, Generic, NamedTuple, TypeVar

from offload_perception.frames import Status
from offload_perception.serving.fair_shares import Shares
from offload_perception.serving.tail_times import TailTimes
from offload_perception.serving.wait_forecast import WaitForecast

IDLE_PATIENCE_S = 2.0  # a tensor without a deadline has waited for idle time long enough
_TRIED = 8  # a queue of more than this many batches of some size is not forecast with it
_USUAL = 0.2  # weight of a new tensor in the usual time to a deadline

Item = TypeVar('Item')


@dataclass(eq=False)
class Waiting(Generic[Item]):
    """A tensor of a drone in the queue; `item` is the server's own.

    `due_s` is its deadline, infinite if it has none. `planned_wait_s` is its wait by what was
    known when it arrived, NaN if too little was; `expected_wait_s` is corrected by `WaitForecast`.
    """

    drone: str
    cut: int
    arrival_s: float
    due_s: float
    size: int
    item: Item
    planned_wait_s: float = nan
    expected_wait_s: float = nan


@dataclass(frozen=True)
class Refusal(Generic[Item]):
    """A tensor that will not be computed, and why."""

    tensor: Waiting[Item]
    status: Status
    why: str


class _Batch(NamedTuple):
    """Tensors that would be computed together, by their places in the line."""

    places: list[int]
    end_s: float
    together_s: float


class _Forecast(NamedTuple):
    """How a queue fares with batches of one size: the best is the largest."""

    kept_within_share: int
    kept: int
    minus_end_s: float  # when all is done
    batches: list[_Batch]  # without those tensors that would be too late


@dataclass(frozen=True)
class _Line(Generic[Item]):
    """A queue in the order in which it is served, with what a forecast needs of each tensor."""

    tensors: list[Waiting[Item]]
    within: list[bool]  # the share of its drone
    dues_s: list[float]
    alone_s: list[float]
    least_s: list[float]  # if nothing else is computed
    firsts: list[int]


class Schedule(Generic[Item]):
    """The queue of a server, bounded in tensors and in bytes."""

    def __init__(self, times: TailTimes, shares: Shares, *, limit: int,
                 limit_bytes: int = 256 << 20) -> None:
        self._times, self._shares = times, shares
        self._limit, self._limit_bytes = limit, limit_bytes
        self._queue: list[Waiting[Item]] = []
        self._free_s = -inf  # when the batch that is computed will be done and answered
        self._usual_left_s, self._usual_cut = inf, times.join
        self._waits = WaitForecast()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def waiting(self) -> Counter[str]:
        """Return how many tensors of each drone wait."""
        return Counter(tensor.drone for tensor in self._queue)

    def offer(self, tensor: Waiting[Item], now_s: float) -> list[Refusal[Item]]:
        """Take a tensor, or not; return who is refused for it: nobody, itself or another one."""
        self._shares.hear(tensor.drone, now_s)
        if self._is_one_newcomer_too_many(tensor.drone):
            return [Refusal(tensor, Status.BUSY, 'too many drones wait that were not heard of '
                            'before')]
        self._note_usual(tensor.due_s - now_s, tensor.cut)
        planned_s, gains = self._planned(tensor, now_s)
        tensor.expected_wait_s = self._waits.expected_s(planned_s)
        tensor.planned_wait_s = planned_s if self._times.known(tensor.cut) else nan
        if tensor.due_s <= now_s:
            return [Refusal(tensor, Status.LATE, 'its deadline had passed when it arrived')]
        if not gains:
            return [Refusal(tensor, Status.BUSY, f'the wait would be {tensor.expected_wait_s:.3f} '
                            f's, and {tensor.due_s - now_s:.3f} s are left to its deadline')]
        self._queue.append(tensor)
        if not self._is_full():
            return []
        last = self._last_of_the_most(now_s)
        self._queue.remove(last)
        return [Refusal(last, Status.BUSY, f'{len(self._queue)} tensors wait already, '
                        f'{self.waiting[last.drone]} of them of this drone')]

    def _is_one_newcomer_too_many(self, drone: str) -> bool:
        """Return whether newcomers fill half of the queue; a flood of forged names would."""
        if self._shares.is_known(drone):
            return False
        waiting = {t.drone for t in self._queue}
        return drone not in waiting and (
            sum(not self._shares.is_known(d) for d in waiting) >= self._limit / 2)

    def _note_usual(self, left_s: float, cut: int) -> None:
        self._usual_cut = cut
        if 0.0 < left_s < inf:
            usual_s = self._usual_left_s
            self._usual_left_s = left_s if usual_s == inf else (
                usual_s + _USUAL * (left_s - usual_s))

    def take(self, now_s: float) -> tuple[list[Waiting[Item]], list[Refusal[Item]]]:
        """Remove and return the tensors to compute together now, and those that are too late.

        One that is too late by the times measured so far is tried if there is nothing else to
        do, so that times which were wrong are measured again.
        """
        if len(self._queue) == 1 and self._queue[0].due_s > now_s:  # nothing to choose
            self._free_s = self._earliest_end_s(self._queue[0], now_s) + self._times.reply_s
            return [self._queue.pop()], []
        self._free_s = now_s
        hopeless = [t for t in self._queue if self._earliest_end_s(t, now_s) > t.due_s]
        if len(hopeless) == len(self._queue):
            last = max(hopeless, key=lambda t: t.due_s, default=None)
            if last is not None and last.due_s > now_s:
                hopeless.remove(last)
                batch = [last]
            else:
                batch = []
        else:
            rest = [t for t in self._queue if t not in hopeless]
            line = self._line(rest, now_s)
            batch = [line.tensors[place] for place in self._best(line, now_s).batches[0].places]
        self._queue = [t for t in self._queue if t not in hopeless and t not in batch]
        self._free_s = (now_s + self._times.batch_s(t.cut for t in batch)
                        + len(batch) * self._times.reply_s)
        return batch, [Refusal(t, Status.LATE, 'its deadline can no longer be met')
                       for t in hopeless]

    def finish(self, batch: Sequence[Waiting[Item]], started_s: float, now_s: float) -> None:
        """Note that a batch was computed: its drones pay for it."""
        self._free_s = now_s
        for tensor in batch:
            self._shares.pay(tensor.drone, (now_s - started_s) / len(batch), now_s)

    def observe_wait(self, tensor: Waiting[Item], waited_s: float) -> None:
        """Take how long a tensor did wait [s]."""
        self._waits.observe(tensor.planned_wait_s, waited_s)

    def work_s(self) -> float:
        """Return the time of all that waits, one by one [s]."""
        return sum(self._times.batch_s((t.cut,)) for t in self._queue)

    def clear(self) -> list[Waiting[Item]]:
        """Remove and return all that wait."""
        left, self._queue = self._queue, []
        return left

    def expected_wait_s(self, now_s: float, cut: int | None = None) -> float:
        """Return the wait of a tensor that arrives now, with the usual time to its deadline [s].

        :param cut: None takes that of the tensor that came last.
        """
        return self._waits.expected_s(self._planned_wait_s(now_s, cut))

    def _planned_wait_s(self, now_s: float, cut: int | None) -> float:
        if not self._queue:
            return max(self._free_s - now_s, 0.0)
        probe: Waiting[Any] = Waiting('', self._usual_cut if cut is None else cut, now_s,
                                       now_s + self._usual_left_s, 0, None)
        line = self._line([*self._queue, probe], now_s)
        return self._wait_s(line.tensors.index(probe), self._best(line, now_s), line, now_s)

    # -- what will happen -------------------------------------------------------------------

    def _planned(self, tensor: Waiting[Item], now_s: float) -> tuple[float, bool]:
        """Return the planned wait of a new tensor, and whether more deadlines are kept with it.

        A server that is idle tries everything.
        """
        if not self._queue:
            wait_s = max(self._free_s - now_s, 0.0)
            end_s = self._earliest_end_s(tensor, now_s + wait_s)
            return wait_s, not wait_s or end_s <= tensor.due_s
        line = self._line([*self._queue, tensor], now_s)
        after, place = self._best(line, now_s), line.tensors.index(tensor)
        return self._wait_s(place, after, line, now_s), (
            tensor.due_s == inf or self._gains(after, place, line, now_s))

    def _wait_s(self, place: int, forecast: _Forecast, line: _Line[Any], now_s: float) -> float:
        """Return how long a tensor waits; one that would be too late, as long as all others."""
        for batch in forecast.batches:
            if place in batch.places:
                return max(batch.end_s - now_s - line.alone_s[place] - batch.together_s, 0.0)
        end_s = forecast.batches[-1].end_s if forecast.batches else self._free_s
        return max(end_s - now_s, 0.0)

    def _gains(self, after: _Forecast, place: int, line: _Line[Item], now_s: float) -> bool:
        """Return whether more deadlines are kept with the tensor at `place` than without."""
        if not any(place in batch.places and batch.end_s <= line.tensors[place].due_s
                   for batch in after.batches):
            return False
        if after.kept_within_share + after.kept == len(line.tensors):
            return True
        before = self._best(self._line(self._queue, now_s), now_s)
        return after[:2] > before[:2]

    def _line(self, queue: Sequence[Waiting[Any]], now_s: float) -> _Line[Any]:
        times, spent_s = self._times, dict[str, float]()
        shared_s = times.together_s(times.join)[-1] / times.most
        alone_s = {cut: times.alone_s(cut) for cut in {t.cut for t in queue}}
        credits_s = self._shares.credits_s({t.drone for t in queue}, now_s)
        ranked: list[tuple[bool, bool, float, int, Waiting[Any]]] = []
        for number, tensor in enumerate(sorted(queue, key=_due_s)):
            spent = spent_s.get(tensor.drone, 0.0)
            spent_s[tensor.drone] = spent + alone_s[tensor.cut] + shared_s
            due_s = _due_s(tensor)
            idle = tensor.due_s == inf and now_s < due_s
            ranked.append((idle, spent >= credits_s[tensor.drone], due_s, number, tensor))
        ranked.sort()
        tensors = [r[-1] for r in ranked]
        firsts = {cut: max(cut, times.join) for cut in alone_s}
        least_s = {cut: s + times.together_s(firsts[cut])[1] for cut, s in alone_s.items()}
        return _Line(tensors, [not idle and not over for idle, over, *_ in ranked],
                     [t.due_s for t in tensors], [alone_s[t.cut] for t in tensors],
                     [least_s[t.cut] for t in tensors], [firsts[t.cut] for t in tensors])

    def _best(self, line: _Line[Any], now_s: float) -> _Forecast:
        n, sizes = len(line.tensors), self._times.sizes
        return max((self._forecast(line, now_s, size) for size in sizes
                    if size == sizes[-1] or n <= _TRIED * size < 2 * _TRIED * n),
                   key=lambda f: f[:3])

    def _forecast(self, line: _Line[Any], now_s: float, size: int) -> _Forecast:
        dues_s, within, alone_s, least_s, firsts = (
            line.dues_s, line.within, line.alone_s, line.least_s, line.firsts)
        at_s = max(self._free_s, now_s)
        batches: list[_Batch] = []
        kept = kept_within = place = 0
        n = len(dues_s)
        while place < n:
            places: list[int] = []
            while place < n and len(places) < size:
                if at_s + least_s[place] <= dues_s[place]:
                    places.append(place)
                place += 1
            if not places:
                break
            together_s = self._times.together_s(min([firsts[i] for i in places]))[len(places)]
            at_s += sum([alone_s[i] for i in places]) + together_s
            for i in places:
                if at_s <= dues_s[i]:
                    if within[i]:
                        kept_within += 1
                    else:
                        kept += 1
            batches.append(_Batch(places, at_s, together_s))
            at_s += len(places) * self._times.reply_s
        return _Forecast(kept_within, kept, -at_s, batches)

    def _earliest_end_s(self, tensor: Waiting[Any], start_s: float) -> float:
        return start_s + self._times.batch_s((tensor.cut,))

    # -- bounds -----------------------------------------------------------------------------

    def _is_full(self) -> bool:
        return (len(self._queue) > self._limit
                or sum(t.size for t in self._queue) > self._limit_bytes)

    def _last_of_the_most(self, now_s: float) -> Waiting[Item]:
        """Return the last in order of the drone with the most waiting for its weight.

        One that is not known goes before a known one: each of them may have another name.
        """
        waiting = self.waiting
        most = max(waiting, key=lambda d: (not self._shares.is_known(d),
                                           waiting[d] / self._shares.weight(d)))
        return next(t for t in reversed(self._line(self._queue, now_s).tensors)
                    if t.drone == most)


def _due_s(tensor: Waiting[Any]) -> float:
    """Return when a tensor is due; one without a deadline, when its patience is at an end."""
    return tensor.due_s if tensor.due_s < inf else tensor.arrival_s + IDLE_PATIENCE_S
