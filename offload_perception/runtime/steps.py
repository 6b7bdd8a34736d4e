"""Run files one after another, each on the tensors that those before it have made."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from offload_perception.network.artefact import Artefact
from offload_perception.runtime.runner import Runner
from offload_perception.tensor import Tensors

Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """Layers `first` to `last` as one loaded file, which takes and gives tensors by number."""

    first: int
    last: int
    runner: Runner
    takes: Numbers
    gives: Numbers


def known_before(artefact: Artefact, cut: int, xs: Tensors) -> dict[int, np.ndarray]:
    """Return the tensors at `cut` by number; the image as the network's input tensor."""
    known = dict(zip(artefact.boundary(cut), xs, strict=True))
    if artefact.image_id in known:
        known[artefact.image_id] = artefact.pixels.apply(known[artefact.image_id])
    return known


def crossing(artefact: Artefact, cut: int, ys: Tensors, before: int, xs: Tensors) -> Tensors:
    """Return copies of the tensors `ys` at `cut`; the image is that of `xs` at cut `before`."""
    numbers = artefact.boundary(cut)
    return tuple((xs[artefact.boundary(before).index(i)] if i == artefact.image_id else y).copy()
                 for i, y in zip(numbers, ys, strict=True))


def run_steps(steps: Sequence[Step], known: dict[int, np.ndarray],
              wanted: Numbers) -> tuple[Tensors, list[float]]:
    """Return the tensors `wanted` and each step's seconds; `known` holds those before the first.

    Results may be views, see `Runner.run`.
    """
    seconds, before = [], perf_counter()
    for step in steps:
        made = step.runner.run(tuple(known[i] for i in step.takes))
        known.update(zip(step.gives, made, strict=True))
        after = perf_counter()
        seconds.append(after - before)
        before = after
    return tuple(known[i] for i in wanted), seconds
