"""Measure what conversion and splitting cost in accuracy."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras
from offload_perception.network.artefact import Artefact
from offload_perception.network.graph import Graph
from offload_perception.pictures import DECODERS
from offload_perception.preparation.convert import to_float
from offload_perception.preparation.representative import picture_files, read_image, some_of
from offload_perception.runtime.keras_tail import KerasTail
from offload_perception.runtime.load import load_cpu
from offload_perception.tensor import TensorSpec

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """Accuracy of one way to compute the scores, on `images` labelled images.

    `top1`, `top5` and `agreement` (same first class as Keras float32) are shares, 0..1;
    `mismatches` counts scores that differ from the uncut int8 network, None if they may.
    """

    name: str
    images: int
    top1: float
    top5: float
    agreement: float
    mismatches: int | None = None


class Evaluation:
    """One prepared model on one labelled set: images uint8 `(N, H, W, 3)`, class ids `(N,)`.

    :raises ModelError: if the set is empty or does not fit, or the float network is missing.
    """

    def __init__(self, artefact: Artefact, images: np.ndarray, labels: np.ndarray) -> None:
        if not len(images) or images.shape[1:] != artefact.input.shape:
            raise ModelError(f'the images are {images.shape}; {artefact.name} takes '
                             f'{artefact.input.shape}, and at least one')
        if not artefact.keras_file.exists():
            raise ModelError(f'{artefact.path} has no float network to compare with')
        self.artefact, self.images, self.labels = artefact, images, labels
        self._graph = Graph(artefact.model_file.read_bytes(), artefact.name)
        self._keras = import_keras().models.load_model(artefact.keras_file, compile=False)
        self._float = np.concatenate([
            np.asarray(self._keras(batch.astype(np.float32)))
            for batch in np.array_split(images, range(32, len(images), 32))])
        self._int8 = self._run(artefact.model_file, artefact.pixels.spec, self._scores, images)

    def rows(self, tail_cuts: Iterable[int], progress: Progress) -> Iterator[Row]:
        """Yield a row for each way, with float tails after the heads of `tail_cuts`."""
        yield self._row('Keras float32', self._float)
        progress('float32 .tflite')
        yield self._row('float32 .tflite', self._float_tflite())
        yield self._row('int8', self._int8, self._int8)
        for cut in range(1, self.artefact.last):
            progress(f'int8, cut {cut} of {self.artefact.last - 1}')
            scores = self._tail(cut, self._head(cut))
            yield self._row(f'int8 cut at {self.artefact.cut_names[cut]}', scores, scores)
        tail = KerasTail(self.artefact)
        for cut in tail_cuts:
            progress(f'float tail after cut {cut}')
            scores = np.stack([tail.tail(cut, (x,))[0] for x in self._head(cut)])
            yield self._row(f'int8 to {self.artefact.cut_names[cut]}, then float32', scores)
        tail.close()

    @property
    def _scores(self) -> TensorSpec:
        return self.artefact.tensors(self.artefact.last)[0]

    def _row(self, name: str, scores: np.ndarray, exact: np.ndarray | None = None) -> Row:
        five = np.argsort(-scores.astype(np.float32), axis=1, kind='stable')[:, :5]
        return Row(
            name, len(scores), float((five[:, 0] == self.labels).mean()),
            float((five == self.labels[:, None]).any(1).mean()),
            float((five[:, 0] == self._float.argmax(1)).mean()),
            None if exact is None else int(np.count_nonzero(exact != self._int8)))

    def _head(self, cut: int) -> np.ndarray:
        if cut == 0:
            return self.images
        return self._part(1, cut, self.images)

    def _tail(self, cut: int, tensors: np.ndarray) -> np.ndarray:
        return self._part(cut + 1, self.artefact.last, tensors)

    def _part(self, first: int, last: int, tensors: np.ndarray) -> np.ndarray:
        """Run layers `first` to `last`, cut from the whole as one file."""
        layers = self.artefact.layers
        model = self._graph.segment(layers[first - 2].stop if first > 1 else 0,
                                    layers[last - 1].stop)
        (given,), (wanted,) = self.artefact.end_specs(first, last)
        return self._run_bytes(model, given, wanted, tensors)

    def _float_tflite(self) -> np.ndarray:
        pixels = TensorSpec(self.artefact.input.shape, 'float32')
        return self._run_bytes(to_float(self._keras), pixels,
                               TensorSpec(self._scores.shape, 'float32'),
                               self.images.astype(np.float32))

    def _run_bytes(self, model: bytes, given: TensorSpec, wanted: TensorSpec,
                   tensors: np.ndarray) -> np.ndarray:
        with TemporaryDirectory() as folder:
            file = Path(folder) / 'part.tflite'
            file.write_bytes(model)
            return self._run(file, given, wanted, tensors)

    def _run(self, file: Path, given: TensorSpec, wanted: TensorSpec,
             tensors: np.ndarray) -> np.ndarray:
        runner = load_cpu('litert', file, (given,), (wanted,), threads=2)
        results = np.stack([runner.run((x,))[0].copy() for x in tensors])
        runner.close()
        return results


def labelled_files(folder: Path) -> list[Path]:
    """Return the pictures in `folder/<label>/`, sorted.

    :raises ModelError: if there is none.
    """
    files = picture_files(folder, '*/*')
    if not files:
        raise ModelError(f'{folder} must hold folders named as labels of the model, with pictures '
                         f'({", ".join(DECODERS)}) inside; there is none')
    return files


def read_folder(folder: Path, artefact: Artefact, count: int | None = None,
                seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images in `folder/<label>/`, fitted as the drone does, and their class ids.

    They are shuffled, the same way for the same seed, and at most `count`.

    :raises ModelError: if a folder is not named as one of the model's labels, or none is.
    """
    files = labelled_files(folder)
    unknown = sorted({p.parent.name for p in files} - set(artefact.labels))
    if unknown:
        raise ModelError(f'{folder} must hold folders named as labels of {artefact.name}, with '
                         f'images inside; unknown: {", ".join(unknown)}; labels: '
                         f'{", ".join(artefact.labels) or "none, prepare it with labels"}')
    files = some_of(files, count, seed)
    images = np.stack([read_image(p, artefact.input.shape, artefact.fit) for p in files])
    return images, np.array([artefact.labels.index(p.parent.name) for p in files])
