"""The tails of several frames, run together from the layer on from which that pays."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from offload_perception.errors import OffloadError
from offload_perception.network.artefact import Artefact
from offload_perception.network.batch_sizes import MOST, batch_sizes
from offload_perception.runtime.agree import difference
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.runtime.merge import Merger, dense_start
from offload_perception.runtime.race import race
from offload_perception.runtime.runner import BatchRunner
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.tensor import Tensors

MIN_GAIN = 1.2  # frames a second of a full batch over those of single frames; else none are made
_FAILURES = (OffloadError, RuntimeError, ValueError)

log = logging.getLogger(__name__)


class BatchedTails:
    """A network on one device for a server: fully connected layers at its end run in batches.

    They are bound by reading their weights, which a batch shares. Convolutions are bound by
    arithmetic: on CPUs batches of them gain nothing (docs/fleet.md). Each layer is a file of an
    open batch, on the runtime that is fastest with full batches of those that agree with the
    layer's segment. A single frame takes the network's own way.

    :ivar join: see `ServedNetwork`; the last cut if batches do not pay, and then `most` is 1.
    :ivar together_s: seconds of the layers after the join, by number of frames, as measured.
    :ivar finding: whether batches pay, in words.
    :ivar ran: runtimes of the last run, `ran_on` its devices; one thread runs tails.
    """

    def __init__(self, network: LoadedNetwork, *, threads: int, most: int = MOST,
                 min_gain: float = MIN_GAIN) -> None:
        self._network, self._runners = network, list[BatchRunner]()
        self.artefact: Artefact = network.artefact
        self.join, self.most = self.artefact.last, 1
        self.together_s: Mapping[int, float] = {}
        self.finding = 'no batches'
        start = dense_start(self.artefact)
        if most > 1 and start < self.artefact.last and network.choice.device == 'cpu':
            try:
                self._open(start, most, threads)
                self._measure(min_gain)
            except _FAILURES as e:
                self._drop(f'not possible: {e}')
        self.ran, self.ran_on = network.ran, network.ran_on

    def _open(self, start: int, most: int, threads: int) -> None:
        choice = self._network.choice
        frames = [_noise(self.artefact, start, seed) for seed in range(most)]
        known = {i: np.stack([xs[n] for xs in frames])
                 for n, i in enumerate(self.artefact.boundary(start))}
        merger = Merger(self.artefact, open_batch=True)
        for layer in range(start + 1, self.artefact.last + 1):
            takes, gives = self.artefact.ends(layer, layer)
            right = [self._network.run(layer, layer, tuple(
                known[i][n] for i in self.artefact.boundary(layer - 1))) for n in range(most)]
            wanted = [np.stack([ys[self.artefact.boundary(layer).index(i)] for ys in right])
                      for i in gives]
            taken = tuple(known[i] for i in takes)
            with merger.file(layer, layer) as file:
                candidates = [_load(runtime, file, threads)
                              for runtime in dict.fromkeys((choice.runtime, *choice.rivals))]
            self._runners.append(self._fastest(layer, candidates, taken, wanted))
            known.update(zip(gives, wanted, strict=True))
        self.join, self.most = start, most

    def _fastest(self, layer: int, candidates: Sequence[BatchRunner | None], taken: Tensors,
                 wanted: list[np.ndarray]) -> BatchRunner:
        """Return the fastest runner that agrees with single frames; close the others."""
        right = {c.runtime: c for c in candidates if c is not None and _agrees(c, taken, wanted)}
        if not right:
            raise OffloadError(f'no runtime computes {self.artefact.cut_names[layer]} in batches '
                               'as it does for single frames')
        least = race({r: partial(runner.run, taken) for r, runner in right.items()}, rounds=8)
        best = right[min(least, key=least.__getitem__)]
        for runner in candidates:
            if runner is not None and runner is not best:
                runner.close()
        return best

    def _measure(self, min_gain: float) -> None:
        """Time batches of 1, 2, 4 ... frames; drop them if the largest does not pay."""
        frames = [_noise(self.artefact, self.join, 0)] * self.most
        self.together_s = race(
            {n: partial(self.together, [self.join] * n, frames[:n])
             for n in batch_sizes(self.most)}, rounds=8)
        gain = self.most * self.together_s[1] / self.together_s[self.most]
        if gain < min_gain:
            self._drop(f'{self.most} frames together are only {gain:.1f} times as fast as one '
                       'by one')
            return
        names = '+'.join(dict.fromkeys(r.runtime for r in self._runners))
        self.finding = (f'batches of up to {self.most} from {self.artefact.cut_names[self.join]} '
                        f'on, {names}, {gain:.1f} times the frames a second')

    def _drop(self, finding: str) -> None:
        self.close()
        self.join, self.most, self.together_s = self.artefact.last, 1, {}
        self.finding = f'no batches: {finding}'

    # -- what a server calls ----------------------------------------------------------------

    def to_join(self, cut: int, xs: Tensors) -> Tensors:
        """Return the tensors at the join for those at `cut`; see `ServedNetwork.to_join`."""
        if cut >= self.join:
            return xs
        return self._network.run(cut + 1, self.join, xs)

    def together(self, cuts: Sequence[int], frames: Sequence[Tensors]) -> list[Tensors]:
        """Return the outputs of several frames; see `ServedNetwork.together`."""
        last = self.artefact.last
        if len(frames) == 1 or self.join == last:
            return [self._alone(cut, xs) for cut, xs in zip(cuts, frames, strict=True)]
        order = sorted(range(len(frames)), key=lambda n: cuts[n])
        known: dict[int, np.ndarray] = {}
        for layer in range(cuts[order[0]] + 1, last + 1):
            self._join(known, layer - 1, [frames[n] for n in order if cuts[n] == layer - 1])
            takes, gives = self.artefact.ends(layer, layer)
            made = self._runners[layer - 1 - self.join].run(tuple(known[i] for i in takes))
            known.update(zip(gives, made, strict=True))
        self.ran, self.ran_on = self._runners[-1].runtime, self._runners[-1].device
        ys = tuple(known[i] for i in self.artefact.boundary(last))
        outputs = {n: self.artefact.real_outputs(tuple(y[row].copy() for y in ys))
                   for row, n in enumerate(order)}
        return [outputs[n] for n in range(len(frames))]

    def _join(self, known: dict[int, np.ndarray], cut: int, frames: list[Tensors]) -> None:
        """Add the frames of a cut to those that have come to it."""
        for n, i in enumerate(self.artefact.boundary(cut) if frames else ()):
            new = np.stack([xs[n] for xs in frames])
            known[i] = np.concatenate([known[i], new]) if i in known else new

    def _alone(self, cut: int, xs: Tensors) -> Tensors:
        """Return the outputs of one frame, whose last layers the network itself runs."""
        ys = self._network.run(cut + 1, self.artefact.last, xs) if cut < self.artefact.last else xs
        self.ran, self.ran_on = self._network.ran, self._network.ran_on
        return self.artefact.real_outputs(ys)

    def close(self) -> None:
        """Release the runners of batches; the network is closed by its owner."""
        while self._runners:
            self._runners.pop().close()


def _noise(artefact: Artefact, cut: int, seed: int) -> Tensors:
    """Return noise in place of the tensors at a cut."""
    rng = np.random.default_rng(seed)
    return tuple(
        rng.integers(np.iinfo(s.dtype).min, np.iinfo(s.dtype).max + 1, s.shape, s.dtype)
        if np.issubdtype(s.dtype, np.integer) else rng.standard_normal(s.shape).astype(s.dtype)
        for s in artefact.tensors(cut))


def _load(runtime: str, file: Path, threads: int) -> BatchRunner | None:
    """Return a runner, None if this runtime cannot run the file in batches."""
    load = RUNTIMES[runtime].load_batch
    try:
        return load(file, threads=threads) if load else None
    except OffloadError as e:
        log.info('%s in batches: %s', runtime, e)
        return None


def _agrees(runner: BatchRunner, taken: Tensors, wanted: list[np.ndarray]) -> bool:
    try:
        made = runner.run(taken)
    except OffloadError as e:
        log.info('%s in batches: %s', runner.runtime, e)
        return False
    return len(made) == len(wanted) and all(
        y.shape == w.shape and y.dtype == w.dtype and difference(y, w).agrees
        for y, w in zip(made, wanted, strict=True))
