"""The first layers of a network as one file, in int8 or float32."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from offload_perception.errors import ModelError
from offload_perception.keras_backend import load_keras
from offload_perception.network.artefact import Artefact
from offload_perception.network.layer_cuts import KINDS, PREPROCESS, LayerCut, named_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.convert import to_float
from offload_perception.runtime.merge import Merger


class FloatPrefixes:
    """Cuts prefixes out of the whole float32 network's file.

    :raises ModelError: if the file is not the float32 form of the prepared model.
    """

    def __init__(self, artefact: Artefact, file: Path) -> None:
        self._file = file
        self._graph = Graph(_map(file), str(file))
        self._points = _points(self._graph, artefact)

    @contextmanager
    def file(self, last: int) -> Iterator[Path]:
        """Give a file of layers 1 to `last`; one made for it is deleted after the context."""
        if last == len(self._points):
            yield self._file
            return
        with TemporaryDirectory(prefix='offload_perception_') as folder:
            prefix = Path(folder) / f'{last:02d}_float32.tflite'
            prefix.write_bytes(self._graph.segment(0, self._points[last - 1].stop))
            yield prefix


class OwnPrefixes:
    """Cuts prefixes out of the prepared model's own file: int8, or that of a float network."""

    def __init__(self, artefact: Artefact) -> None:
        self._merger = Merger(artefact)

    @contextmanager
    def file(self, last: int) -> Iterator[Path]:
        """Give a file of layers 1 to `last`; one made for it is deleted after the context."""
        with self._merger.file(1, last) as file:
            yield file


def write_float(artefact: Artefact, file: Path) -> Path:
    """Convert the float32 network of a prepared model into `file`, unless it is there.

    :raises ModelError: if the model has no float32 network, or TensorFlow is missing.
    """
    if file.exists():
        return file
    if not artefact.keras_file.exists():
        raise ModelError(f'{artefact.path} has no float32 network: measure other backends '
                         '(--backends int8), name its float32 .tflite file (--float-model), or '
                         'prepare the model from its .keras file')
    model = load_keras(artefact.verified_keras_file())
    partial = file.with_name(f'partial-{file.name}')
    partial.write_bytes(to_float(model))
    return partial.rename(file)


def _points(graph: Graph, artefact: Artefact) -> tuple[LayerCut, ...]:
    names = list(artefact.cut_names[1:])
    count = sum(graph.opcode(operator) in KINDS for operator in graph.operators)
    points = named_layers(graph, names if count == len(names) else [PREPROCESS, *names])
    ends = [[spec.shape for spec in artefact.tensors(cut)] for cut in range(artefact.last + 1)]
    found = [[graph.spec(i).shape for i in graph.boundary(stop)]
             for stop in (0, *(point.stop for point in points))]
    if found != ends:
        raise ModelError(f'{graph.what} is not the float32 form of {artefact.name}: its tensors '
                         'have other shapes')
    return points


def _map(file: Path) -> mmap.mmap:
    try:
        with open(file, 'rb') as f:
            return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as e:
        raise ModelError(f'{file} cannot be read ({e}): name a float32 .tflite file') from e
