"""A golden run of a network: a sample of every tensor that its layers make of one known image.

It lies beside a prepared model, so that whatever runs the layers elsewhere is held against what
they gave when the model was prepared: another processor, an older interpreter, an accelerator.
"""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import shake_128
from typing import Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.digest import file_digest
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.npz import read_npz
from offload_perception.runtime.agree import FAR_QUANTA, Difference, difference
from offload_perception.tensor import Tensors, TensorSpec

MOST = 4096  # elements that are kept of a tensor

Samples = dict[int, np.ndarray]
"""Samples by the numbers of their tensors."""


def golden_image(spec: TensorSpec) -> np.ndarray:
    """Return noise that no library can change; it drives accumulators harder than photographs."""
    data = shake_128(b'offload_perception').digest(spec.size)
    return np.frombuffer(data, np.uint8).reshape(spec.shape)


def sample(tensor: np.ndarray) -> np.ndarray:
    """Return a copy of at most MOST elements of a tensor, evenly spread."""
    return tensor.reshape(-1)[::max(1, -(-tensor.size // MOST))].copy()


def golden_run(artefact: Artefact, run: Callable[[int, int, Tensors], Tensors]) -> Samples:
    """Run the golden image layer by layer; return samples of what the layers make.

    :param run: as `LoadedNetwork.run`.
    """
    xs: Tensors = (golden_image(artefact.input),)
    found: Samples = {}
    for k in range(1, artefact.last + 1):
        xs = run(k, k, xs)
        found |= {i: sample(x) for i, x in zip(artefact.boundary(k), xs, strict=True)
                  if i != artefact.image_id and i not in found}
    return found


def keep_golden(artefact: Artefact, samples: Mapping[int, np.ndarray]) -> Artefact:
    """Write samples beside the model; return the artefact that names their file's digest."""
    arrays: dict[str, Any] = {str(i): x for i, x in samples.items()}
    np.savez_compressed(artefact.golden_file, **arrays)
    return replace(artefact, golden_sha256=file_digest(artefact.golden_file))


def load_golden(artefact: Artefact) -> Samples:
    """Return the samples of the run when the model was prepared; empty if none were kept.

    :raises ModelError: if the file cannot be read, or is not the one that the manifest names.
    """
    if not artefact.golden_sha256:
        return {}
    file = artefact.verified_golden_file()
    try:
        return {int(name): array for name, array in read_npz(file).items()}
    except (OSError, ValueError, zipfile.BadZipFile) as e:
        raise ModelError(f'{file} cannot be read ({e}); prepare the model again') from e


class Held:
    """How a run compares with the golden one.

    :ivar agrees: whether every tensor does, within the bound between two runtimes.
    :ivar close: whether every tensor is close, and the same class is best or nearly so; from layer
        to layer a rare quantum becomes many, so that runs that are both right can differ by more
        than the bound.
    :ivar worst: where they differ most, in words.
    """

    def __init__(self, artefact: Artefact, golden: Samples, found: Samples) -> None:
        """Compare two runs over the same layers; one without a golden run agrees."""
        self.agrees = self.close = True
        self.worst = ''
        self._known = bool(golden)
        worst = Difference(0, 0.0)
        for layer in artefact.layers:
            for i in (i for i in layer.gives if i in golden and i in found):
                different = difference(found[i], golden[i])
                self.agrees &= different.agrees
                self.close &= different.close
                if different > worst:
                    worst, self.worst = different, f'at {layer.name} by {different}'
        self.close &= _same_class(artefact, golden, found)

    def __str__(self) -> str:
        """Return the outcome in words."""
        if not self._known:
            return 'none beside the model'
        return f'differs {self.worst}' if self.worst else 'equal'


def _same_class(artefact: Artefact, golden: Samples, found: Samples) -> bool:
    """Return whether the best class of the golden run is best, or as far below as rounding is."""
    number = artefact.outputs[artefact.meaning.scores]
    whole = artefact.spec(number).size <= MOST
    if artefact.meaning.kind != CLASSIFICATION or not whole or number not in golden:
        return True
    scores = found[number].astype(np.float64)
    if np.issubdtype(found[number].dtype, np.floating):
        return bool(scores.argmax() == golden[number].argmax())
    return bool(scores[golden[number].argmax()] >= scores.max() - FAR_QUANTA)
