"""Merged files for the heads and tails in use, each on the runtime that runs it fastest."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from threading import Event, Lock

import numpy as np

from offload_perception.errors import CancelledError, OffloadError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.agree import difference
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.merge import Merger, split_at_dense
from offload_perception.runtime.race import race
from offload_perception.runtime.runner import Runner
from offload_perception.runtime.steps import known_before
from offload_perception.tensor import Tensors
from offload_perception.threads import FOREVER, JobQueue, fulfil

MIN_GAIN = 0.02  # below it the segments are used, and no memory is spent
BUDGET_BYTES = 256 << 20  # of weights, on top of those of the segments
SMALL_MACS = 50_000_000  # below, handing work to a second thread may cost more than it gains
REST = 4.0  # in the background: pauses as a multiple of the work, frames need the cores
CLOSE_S = 0.5  # for the current run
SEGMENTS = 'segments'

Range = tuple[int, int]
Candidate = tuple[str, int]  # runtime, threads

log = logging.getLogger(__name__)


class MergedRunners:
    """Runners of merged layers, made in the background while the segments are used.

    A requested range is split before the fully connected layers, and each part is raced once:
    every runtime that agrees with the segments against the segments themselves. The winner is
    kept until the budget is spent; the least recently requested part is dropped first.
    `on_change` is called when the winners changed; `findings` are the results in words,
    `left_out` are the runtimes that do not agree: both are replaced, never changed, so that any
    thread may read them.
    """

    def __init__(self, artefact: Artefact, segments: Callable[[int, int, Tensors], Tensors], *,
                 runtimes: tuple[str, ...], exact: str, threads: int,
                 budget_bytes: int = BUDGET_BYTES, load: Callable[..., Runner] = load_cpu,
                 on_change: Callable[[], None] = lambda: None) -> None:
        self._artefact, self._segments, self._load = artefact, segments, load
        self._runtimes, self._exact, self._threads = list(runtimes), exact, threads
        self._budget_bytes, self._merger = budget_bytes, Merger(artefact)
        self._on_change = on_change
        self._winners: dict[Range, Runner | None] = {}
        self._asked: set[Range] = set()
        self._lock = Lock()  # of what was asked for
        self._checked, self._closing = False, Event()
        self._worker = JobQueue('merge', patience=FOREVER)
        self._worker.start()
        self.findings: dict[str, str] = {}
        self.left_out: set[str] = set()

    def get(self, first: int, last: int) -> Runner | None:
        """Return the merged runner of a part, None if the segments are used."""
        return self._winners.get((first, last))

    def request(self, first: int, last: int) -> Future[None] | None:
        """Merge a range in the background; a second request does nothing."""
        return self._request(first, last, REST)

    def settle(self, first: int, last: int) -> None:
        """Merge a range, and wait for it."""
        future = self._request(first, last, 0.0) or self._submit(lambda: None)
        future.result()

    def _request(self, first: int, last: int, rest: float) -> Future[None] | None:
        with self._lock:
            if (first, last) in self._asked:
                return None
            self._asked.add((first, last))
        return self._submit(partial(self._settle, first, last, rest))

    def _submit(self, job: Callable[[], None]) -> Future[None]:
        future: Future[None] = Future()
        self._worker.submit(partial(fulfil, future, job))
        return future

    def check(self) -> None:
        """Find out which runtimes agree with the segments, and wait for it."""
        self._submit(self._check_runtimes).result()

    def close(self) -> bool:
        """End the background work and release all runners.

        A run that takes long is not waited for: False if one goes on, with the runners and
        segments that it uses, until it is over.
        """
        self._closing.set()
        if not self._worker.stop(CLOSE_S):
            return False
        for part in list(self._winners):
            runner = self._drop(part)
            if runner:
                runner.close()
        return True

    def _settle(self, first: int, last: int, rest: float) -> None:
        try:
            self._check_runtimes()
            self._raise_if_closing()
            xs = self._segments(1, first - 1, _noise(self._artefact))
            for a, b in split_at_dense(self._artefact, first, last):
                self._raise_if_closing()
                if (a, b) not in self._winners:
                    self._winners[a, b] = self._fastest(a, b, xs, rest)
                xs = self._segments(a, b, xs)
            self._keep_to_budget(split_at_dense(self._artefact, first, last))
            self._on_change()
        except (OffloadError, OSError, RuntimeError) as e:  # in the background, so report it here
            self._find(f'layers {first}-{last}', f'not merged: {e}')

    def _check_runtimes(self) -> None:
        """Leave out, for good, the runtimes whose results differ from the segments'.

        Layer by layer: over many layers rare differences of one quantum become many, even
        between runtimes that are both right.
        """
        if self._checked:
            return
        xs = _noise(self._artefact)
        for k in range(1, self._artefact.last + 1):
            if self._closing.is_set():
                return
            ys = self._segments(k, k, xs)
            for runtime in [r for r in self._runtimes if r != self._exact]:
                self._check(runtime, k, xs, ys)
            xs = ys
        self._checked = True

    def _check(self, runtime: str, k: int, xs: Tensors, ys: Tensors) -> None:
        try:
            runner = self._open(k, k, (runtime, self._threads))
        except OffloadError as e:
            self._leave_out(runtime, str(e))
            return
        takes, gives = self._artefact.ends(k, k)
        known = known_before(self._artefact, k - 1, xs)
        made = runner.run(tuple(known[i] for i in takes))
        right = dict(zip(self._artefact.boundary(k), ys, strict=True))
        found = [difference(made[n], right[i]) for n, i in enumerate(gives)]
        runner.close()
        for different in (d for d in found if not d.agrees):
            name = self._artefact.cut_names[k]
            self._leave_out(runtime, f'at {name} it differs from {self._exact} by {different}')
            return

    def _leave_out(self, runtime: str, why: str) -> None:
        self._runtimes.remove(runtime)
        self.left_out = self.left_out | {runtime}
        self._find(runtime, f'left out: {why}')

    def _fastest(self, a: int, b: int, xs: Tensors, rest: float) -> Runner | None:
        """Race the candidates for one part; None if no file gains enough on the segments."""
        with ExitStack() as losers:
            runners = {c: self._open(a, b, c) for c in self._candidates(a, b)}
            for runner in runners.values():
                losers.callback(runner.close)
            known = known_before(self._artefact, a - 1, xs)
            taken = tuple(known[i] for i in self._artefact.ends(a, b)[0])
            runs: dict[Candidate | str, Callable[[], Tensors]] = {
                SEGMENTS: partial(self._segments, a, b, xs),
                **{c: partial(_fresh, r, taken) for c, r in runners.items()}}
            least = race({c: partial(self._unless_closing, run) for c, run in runs.items()},
                         rest=rest, sleep=self._closing.wait)
            best = min(runners, key=least.__getitem__)
            if least[best] > (1 - MIN_GAIN) * least[SEGMENTS]:
                self._find(f'layers {a}-{b}', f'segments, {least[SEGMENTS] * 1e3:.2f} ms')
                return None
            losers.pop_all()
        for candidate in runners:
            if candidate != best:
                runners[candidate].close()
        self._find(f'layers {a}-{b}', f'{best[0]}, {best[1]} threads, '
                   f'{least[best] * 1e3:.2f} ms (segments {least[SEGMENTS] * 1e3:.2f} ms)')
        return runners[best]

    def _unless_closing(self, run: Callable[[], Tensors]) -> None:
        self._raise_if_closing()
        run()

    def _raise_if_closing(self) -> None:
        if self._closing.is_set():
            raise CancelledError('the network is being closed')

    def _candidates(self, a: int, b: int) -> Iterator[Candidate]:
        macs = sum(layer.macs for layer in self._artefact.layers[a - 1:b])
        counts = {1, self._threads} if macs < SMALL_MACS else {self._threads}
        return ((r, n) for r in self._runtimes for n in counts)

    def _open(self, a: int, b: int, candidate: Candidate) -> Runner:
        runtime, threads = candidate
        with self._merger.file(a, b) as file:
            return self._load(runtime, file, *self._artefact.end_specs(a, b), threads=threads)

    def _keep_to_budget(self, needed: list[Range]) -> None:
        for part in [p for p in self._winners if p not in needed]:
            if self._used_bytes() > self._budget_bytes:
                self._drop(part)

    def _used_bytes(self) -> int:
        return sum(layer.weight_bytes for (a, b), runner in self._winners.items() if runner
                   for layer in self._artefact.layers[a - 1:b])

    def _drop(self, part: Range) -> Runner | None:
        """Forget a part; its runner may be in use, so its memory is freed by the last user."""
        with self._lock:
            self._asked = {(a, b) for a, b in self._asked
                           if part not in split_at_dense(self._artefact, a, b)}
        return self._winners.pop(part)

    def _find(self, what: str, finding: str) -> None:
        self.findings = {**self.findings, what: finding}
        log.info('%s: %s', what, finding)


def _fresh(runner: Runner, xs: Tensors) -> Tensors:
    return tuple(y.copy() for y in runner.run(xs))


def _noise(artefact: Artefact) -> Tensors:
    """Return an image of noise: it drives accumulators harder than photographs do."""
    return (np.random.default_rng(0).integers(0, 256, artefact.input.shape, np.uint8),)
