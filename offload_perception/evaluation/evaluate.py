"""Measure what conversion and splitting cost in accuracy."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import load_keras
from offload_perception.network.artefact import Artefact
from offload_perception.network.operator_graph import Graph
from offload_perception.network.output_meaning import CLASSIFICATION
from offload_perception.pictures import DECODERS
from offload_perception.preparation.convert import to_float
from offload_perception.preparation.representative import picture_files, read_image, some_of
from offload_perception.runtime.keras_tail import KerasTail
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.runner import Specs
from offload_perception.runtime.steps import crossing, known_before
from offload_perception.tensor import Tensors, TensorSpec

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """Accuracy of one way to compute the outputs, on `images` images.

    `top1`, `top5` and `agreement` (same first class as Keras float32) are shares, 0..1, None
    without labels, without scores of classes, or without a Keras network. `mismatches` counts the
    elements of outputs that differ from those of the uncut network, None if they may.
    """

    name: str
    images: int
    top1: float | None
    top5: float | None
    agreement: float | None
    mismatches: int | None = None


class Evaluation:
    """One prepared model on images uint8 `(N, H, W, 3)`, with class ids `(N,)` or None.

    A model without a Keras network, made of a .tflite file, has its cuts compared with the whole.

    :raises ModelError: if there is no image, or they do not fit.
    """

    def __init__(self, artefact: Artefact, images: np.ndarray,
                 labels: np.ndarray | None = None) -> None:
        if not len(images) or images.shape[1:] != artefact.input.shape:
            raise ModelError(f'the images are {images.shape}; {artefact.name} takes '
                             f'{artefact.input.shape}, and at least one')
        self.artefact, self.images, self.labels = artefact, images, labels
        self._graph = Graph(artefact.model_file.read_bytes(), artefact.name)
        self._keras, self._float = None, None
        if artefact.keras_file.exists():
            self._keras = load_keras(artefact.verified_keras_file())
            self._float = np.concatenate([
                np.asarray(self._keras(batch.astype(np.float32)))
                for batch in np.array_split(images, range(32, len(images), 32))])
        self._whole = self._part(1, artefact.last, [(image,) for image in images])

    def rows(self, tail_cuts: Iterable[int], progress: Progress) -> Iterator[Row]:
        """Yield a row for each way, with float tails after the heads of `tail_cuts`."""
        kind = 'int8' if self.artefact.quantised else 'float'
        if self._float is not None:
            yield self._row('Keras float32', self._float)
            progress('float32 .tflite')
            yield self._row('float32 .tflite', self._float_tflite())
        yield self._cut_row(kind, self._whole)
        for cut in range(1, self.artefact.last):
            progress(f'{kind}, cut {cut} of {self.artefact.last - 1}')
            yield self._cut_row(f'{kind} cut at {self.artefact.cut_names[cut]}',
                                self._part(cut + 1, self.artefact.last, self._head(cut)))
        if self._keras is not None:
            yield from self._float_tails(tail_cuts, progress)

    def _float_tails(self, cuts: Iterable[int], progress: Progress) -> Iterator[Row]:
        tail = KerasTail(self.artefact)
        for cut in cuts:
            progress(f'float tail after cut {cut}')
            scores = np.stack([tail.tail(cut, xs)[0] for xs in self._head(cut)])
            yield self._row(f'int8 to {self.artefact.cut_names[cut]}, then float32', scores)
        tail.close()

    def _cut_row(self, name: str, found: list[Tensors]) -> Row:
        """Return the row of outputs that must be those of the whole, bit for bit."""
        mismatches = sum(int(np.count_nonzero(a != b)) for mine, whole
                         in zip(found, self._whole, strict=True)
                         for a, b in zip(mine, whole, strict=True))
        scores = None
        if self.artefact.meaning.kind == CLASSIFICATION:
            scores = np.stack([ys[0].ravel() for ys in found])
        return self._row(name, scores, mismatches)

    def _row(self, name: str, scores: np.ndarray | None, mismatches: int | None = None) -> Row:
        if scores is None:
            return Row(name, len(self.images), None, None, None, mismatches)
        five = np.argsort(-scores.astype(np.float32), axis=1, kind='stable')[:, :5]
        top1 = top5 = agreement = None
        if self.labels is not None:
            top1 = float((five[:, 0] == self.labels).mean())
            top5 = float((five == self.labels[:, None]).any(1).mean())
        if self._float is not None:
            agreement = float((five[:, 0] == self._float.argmax(1)).mean())
        return Row(name, len(scores), top1, top5, agreement, mismatches)

    def _head(self, cut: int) -> list[Tensors]:
        """Return the tensors that cross at a cut, for each image."""
        images: list[Tensors] = [(image,) for image in self.images]
        if cut == 0:
            return images
        return [crossing(self.artefact, cut, ys, 0, image) for ys, image
                in zip(self._part(1, cut, images), images, strict=True)]

    def _part(self, first: int, last: int, given: list[Tensors]) -> list[Tensors]:
        """Run layers `first` to `last`, cut from the whole as one file."""
        layers, artefact = self.artefact.layers, self.artefact
        model = self._graph.segment(layers[first - 2].stop if first > 1 else 0,
                                    layers[last - 1].stop)
        takes, gives = artefact.ends(first, last)
        wanted = artefact.boundary(last)

        def arranged(known: dict[int, np.ndarray], ys: Tensors) -> Tensors:
            known |= dict(zip(gives, ys, strict=True))
            return tuple(known[i] for i in wanted)

        known = [known_before(artefact, first - 1, xs) for xs in given]
        made = self._run_bytes(model, artefact.end_specs(first, last),
                               [tuple(k[i] for i in takes) for k in known])
        return [arranged(k, ys) for k, ys in zip(known, made, strict=True)]

    def _float_tflite(self) -> np.ndarray:
        scores, = self.artefact.tensors(self.artefact.last)
        pixels, wanted = (TensorSpec(spec.shape, 'float32')
                          for spec in (self.artefact.input, scores))
        made = self._run_bytes(to_float(self._keras), ((pixels,), (wanted,)),
                               [(image.astype(np.float32),) for image in self.images])
        return np.stack([y for y, in made])

    def _run_bytes(self, model: bytes, ends: tuple[Specs, Specs],
                   given: list[Tensors]) -> list[Tensors]:
        with TemporaryDirectory() as folder:
            file = Path(folder) / 'part.tflite'
            file.write_bytes(model)
            runner = load_cpu('litert', file, *ends, threads=2)
            results = [tuple(y.copy() for y in runner.run(xs)) for xs in given]
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
