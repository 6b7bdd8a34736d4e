"""The network as a chain of segments: any head and any tail, nothing loaded between cuts."""

from collections.abc import Callable
from threading import Lock, local

import numpy as np

from offload_perception.errors import ConfigError, ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.golden import Held, golden_run, load_golden
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.loaded_network import LayersTime, LoadedNetwork
from offload_perception.runtime.merge import split_at_dense
from offload_perception.runtime.merged import MergedRunners
from offload_perception.runtime.runner import Runner
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.runtime.select import Choice
from offload_perception.runtime.steps import Step, crossing, known_before, run_steps
from offload_perception.tensor import Tensors

Plan = list[Step]


class Chain(LoadedNetwork):
    """All segments of an artefact on the CPU, loaded once.

    They serve any cut at once; merged layers take over if those are faster: a range that is
    used is merged in the background (see `MergedRunners`), unless `merge` is False. `head` and
    `tail` may be called from several threads; they take turns.

    `load` opens one file as `load_cpu` does.
    """

    def __init__(self, artefact: Artefact, choice: Choice, threads: int = 2, *,
                 merge: bool = True, load: Callable[..., Runner] = load_cpu) -> None:
        if choice.device != 'cpu':
            raise ConfigError(f'a Chain runs on the cpu, not on {choice.device}: open_network '
                              'opens any device')
        self.artefact, self.choice, self.threads = artefact, choice, threads
        self._lock, self._mine = Lock(), local()
        self._runners = [
            load(choice.runtime, artefact.segment_file(k), *artefact.end_specs(k, k),
                 threads=threads) for k in range(1, artefact.last + 1)]
        self._plans: dict[tuple[int, int], Plan] = {}
        self._held: Held | None = None
        self._merged = MergedRunners(
            artefact, self._segments, runtimes=choice.rivals, exact=choice.runtime,
            threads=threads, load=load, on_change=self._forget_plans,
        ) if merge and choice.rivals else None

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Run layers `first` to `last`; see `Network.run`."""
        self.check(first, last, xs)
        if self._merged and first <= last:
            self._merged.request(first, last)
        with self._lock:
            return self._run(self._plan(first, last), first, last, xs)

    def prepare(self, cut: int) -> None:
        """Merge the head and the tail of `cut` and wait for it, so that no frame pays for it."""
        self.artefact.cut(cut)
        for first, last in ((1, cut), (cut + 1, self.artefact.last)):
            if self._merged and first <= last:
                self._merged.settle(first, last)

    def warm_up(self, runs: int = 2) -> None:
        """Run every segment and compare them, and the runtimes, so that no frame pays for it.

        :raises ModelError: if an interpreter computes something else than when it was prepared.
        """
        if self._held is None:
            self._held = self._hold()
        spec = self.artefact.input
        for _ in range(runs):
            self._segments(1, self.artefact.last, (np.zeros(spec.shape, spec.dtype),))
        if self._merged:
            self._merged.check()

    def _hold(self) -> Held:
        """Compare the segments with the golden run.

        :raises ModelError: if an interpreter computes something else.
        """
        held = Held(self.artefact, load_golden(self.artefact),
                    golden_run(self.artefact, self._segments))
        if RUNTIMES[self.choice.runtime].exact and not held.close:
            raise ModelError(
                f'{self.choice.runtime} computes {self.artefact.name} otherwise than it was '
                f'prepared, {held.worst}; choose another runtime, or prepare the model with it')
        return held

    @property
    def times(self) -> tuple[LayersTime, ...]:
        """Return the times of this thread's last run, in its order."""
        plan, seconds = getattr(self._mine, 'last', ((), ()))
        return tuple(LayersTime(step.first, step.last, s, step.runner.runtime, step.runner.device)
                     for step, s in zip(plan, seconds, strict=True))

    def describe(self) -> str:
        """Return the one line for the log: what runs where, and what was found out."""
        findings = self._merged.findings if self._merged else {}
        return '; '.join((f'{self.artefact.name}: {self.choice}, {self.threads} threads',
                          *([f'golden run: {self._held}'] if self._held else []),
                          *(f'{what}: {finding}' for what, finding in findings.items())))

    def close(self) -> None:
        """Release everything; what a background run still uses is released after it."""
        if self._merged and not self._merged.close():
            return
        for runner in self._runners:
            runner.close()

    @property
    def doubt(self) -> str:
        """Return how the segments differ from the golden run, beyond the bound."""
        held = self._held
        return '' if held is None or held.agrees else (
            f'{self.choice.runtime} differs from the run when {self.artefact.name} was prepared, '
            f'{held.worst}')

    @property
    def left_out(self) -> set[str]:
        """Return the rivals that were found to give other results, so far."""
        return self._merged.left_out if self._merged else set()

    def _forget_plans(self) -> None:
        with self._lock:
            self._plans.clear()

    def _plan(self, first: int, last: int) -> Plan:
        if (first, last) not in self._plans:
            self._plans[first, last] = self._make_plan(first, last)
        return self._plans[first, last]

    def _make_plan(self, first: int, last: int) -> Plan:
        plan: Plan = []
        for a, b in split_at_dense(self.artefact, first, last):
            merged = self._merged and self._merged.get(a, b)
            plan += ([Step(a, b, merged, *self.artefact.ends(a, b))] if merged
                     else self._single(a, b))
        return plan

    def _single(self, first: int, last: int) -> Plan:
        return [Step(k, k, self._runners[k - 1], *self.artefact.ends(k, k))
                for k in range(first, last + 1)]

    def _segments(self, first: int, last: int, xs: Tensors) -> Tensors:
        with self._lock:
            return self._run(self._single(first, last), first, last, xs)

    def _run(self, plan: Plan, first: int, last: int, xs: Tensors) -> Tensors:
        known = known_before(self.artefact, first - 1, xs)
        ys, seconds = run_steps(plan, known, self.artefact.boundary(last))
        self._mine.last = plan, seconds
        return crossing(self.artefact, last, ys, first - 1, xs)
