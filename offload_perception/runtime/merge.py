"""Write several layers of an artefact as one file, for runtimes to fuse and run in one call."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from offload_perception.errors import RuntimeUnavailableError
from offload_perception.network.artefact import Artefact

# What may follow a dense layer without being one.
DENSE_END = ('fc', 'reshape', 'softmax', 'logistic', 'quantize', 'dequantize', 'squeeze')


def split_at_dense(artefact: Artefact, first: int, last: int) -> list[tuple[int, int]]:
    """Split layers `first` to `last` before the fully connected ones at the network's end.

    Convolutions are bound by arithmetic and fully connected layers by memory, so one runtime
    is seldom the best for both.
    """
    convs = dense_start(artefact)
    halves = ((first, min(last, convs)), (max(first, convs + 1), last))
    return [(a, b) for a, b in halves if a <= b]


def dense_start(artefact: Artefact) -> int:
    """Return the cut before the fully connected layers at the end; the last one without any."""
    cut = artefact.last
    while cut and artefact.layers[cut - 1].kind in DENSE_END:
        cut -= 1
    return cut if any(layer.kind == 'fc' for layer in artefact.layers[cut:]) else artefact.last


class Merger:
    """Cuts runs of layers out of the whole network's file.

    :param open_batch: whether the files take any number of images.
    """

    def __init__(self, artefact: Artefact, *, open_batch: bool = False) -> None:
        self._artefact, self._open_batch = artefact, open_batch

    @contextmanager
    def file(self, first: int, last: int) -> Iterator[Path]:
        """Yield a file of layers `first` to `last`; one made for it is deleted after the context.

        Runtimes that have mapped it keep its content.

        :raises ModelError: if the model cannot be cut, or the TFLite schema is missing.
        :raises RuntimeUnavailableError: if the package flatbuffers is missing.
        """
        if first == last and not self._open_batch:
            yield self._artefact.segment_file(first)
        elif not self._open_batch and self._is_whole(first, last):
            yield self._artefact.model_file
        else:
            with TemporaryDirectory(prefix='offload_perception_') as folder:
                file = Path(folder) / f'{first:02d}-{last:02d}.tflite'
                file.write_bytes(self._graph.segment(self._stop(first - 1), self._stop(last)))
                yield file

    def _is_whole(self, first: int, last: int) -> bool:
        """Return whether the network's own file has these layers, and the ends of `ends`."""
        artefact = self._artefact
        return (first, last) == (1, artefact.last) and artefact.ends(first, last) == (
            (artefact.image_id,), artefact.outputs)

    @cached_property
    def _graph(self) -> Any:
        return _open(self._artefact.model_file, self._open_batch)

    def _stop(self, cut: int) -> int:
        """Return the number of operators before a cut."""
        return self._artefact.layers[cut - 1].stop if cut else 0


def _open(file: Path, with_open_batch: bool) -> Any:
    try:  # a Raspberry Pi with tflite-runtime alone has no flatbuffers, and runs without merging
        from offload_perception.network.open_batch import open_batch
        from offload_perception.network.operator_graph import Graph
    except ImportError as e:
        raise RuntimeUnavailableError(f'reading .tflite files needs flatbuffers ({e}); '
                                      'pip install ai-edge-litert') from e
    graph = Graph(_map(file), str(file))
    if with_open_batch:
        open_batch(graph)
    return graph


def _map(file: Path) -> mmap.mmap:
    with open(file, 'rb') as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
