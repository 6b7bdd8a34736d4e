"""A user's own .tflite file: what it takes, what it gives, and whether it can be cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offload_perception.errors import ModelError
from offload_perception.network.digest import file_digest
from offload_perception.network.flatbuffer import reading
from offload_perception.network.labels import read_labels
from offload_perception.network.layer_cuts import operator_layers
from offload_perception.network.operator_graph import EDGE_TPU_OPERATOR, Graph
from offload_perception.network.output_meaning import (
    CLASSIFICATION,
    DETECTION,
    Meaning,
    classes_of,
    meaning_of,
)
from offload_perception.network.pixels import PixelInput, PixelRule
from offload_perception.preparation.cutting import write_segments
from offload_perception.preparation.tflite_metadata import Metadata, read_metadata
from offload_perception.preparation.wishes import Progress, Wishes
from offload_perception.tensor import TensorSpec

FILE_BYTES, LONGEST_SIDE = 1 << 30, 8192  # of a file; of an input [pixels]
POST_PROCESS = 'TFLite_Detection_PostProcess'
_STATEFUL = {'VAR_HANDLE', 'READ_VARIABLE', 'ASSIGN_VARIABLE', 'CALL_ONCE', 'HASHTABLE'}
_STATE = ('{what} keeps state from one image to the next ({how}), which cannot be split over two '
          'computers; use a network that takes one image and nothing else')


@dataclass(frozen=True)
class TfliteFile:
    """A .tflite file; `preprocess` and `task` override what is found in it, if not empty."""

    path: Path
    preprocess: str = ''
    task: str = ''

    trained = True

    @property
    def name(self) -> str:
        """Return the file's name without its suffix."""
        return self.path.stem

    @property
    def weights(self) -> str:
        """Return the file, which holds the weights too."""
        return str(self.path)

    def identity(self) -> dict[str, Any]:
        """Return the file's digest and what overrides it."""
        return {'file': file_digest(self.path), 'preprocess': self.preprocess, 'task': self.task}

    def write(self, folder: Path, wishes: Wishes, progress: Progress) -> None:
        """Cut the file into `folder`, as a prepared model.

        :raises ModelError: if it cannot be cut, with what would do instead.
        """
        if wishes.representative is not None or wishes.weight_bits != 8:
            raise ModelError(f'{self.path} is quantised already, or a float network: '
                             'representative images and weight_bits are for Keras networks')
        progress(f'cutting {self.name} at every operator')
        model = self._read()
        graph = Graph(model, str(self.path))
        check_cuttable(graph)
        metadata = read_metadata(graph, model)
        pixels = PixelInput(graph.spec(graph.inputs[0]), self._rule(graph, metadata))
        artefact = write_segments(
            graph, operator_layers(graph), folder, model, pixels=pixels, name=self.name,
            weights=self.weights, trained=self.trained, labels=(), fit=wishes.fit)
        outputs = tuple(artefact.spec(i) for i in artefact.outputs)
        meaning = meaning_of(outputs, [graph.name(i) for i in graph.outputs], self.task,
                             _post_process(graph))
        found = (metadata.labels_for(classes_of(meaning, outputs)) if wishes.labels is None
                 else read_classes(wishes.labels, meaning, outputs, lambda: graph))
        replace(artefact, meaning=meaning, labels=found).save_manifest()

    def _read(self) -> bytes:
        try:
            if self.path.stat().st_size > FILE_BYTES:
                raise ModelError(f'{self.path} has more than {FILE_BYTES >> 20} MiB; use an int8 '
                                 'network')
            return self.path.read_bytes()
        except OSError as e:
            raise ModelError(f'{self.path} cannot be read ({e.strerror}); check the path') from e

    def _rule(self, graph: Graph, metadata: Metadata) -> PixelRule:
        if self.preprocess:
            return PixelRule.preset(self.preprocess)
        dtype = graph.spec(graph.inputs[0]).dtype
        if dtype == 'uint8':
            return PixelRule()
        if metadata.rule is not None:
            return metadata.rule
        if dtype == 'int8':
            return PixelRule()
        raise ModelError(f'{self.path} takes {dtype} and does not say how pixels are scaled; say '
                         'how it was trained: preprocess=inside (RGB 0..255), unit (RGB / 255), '
                         'tf (RGB / 127.5 - 1) or caffe (BGR less the ImageNet mean)')


def check_cuttable(graph: Graph) -> None:
    """Refuse a network that cannot be cut, in one sentence with what would do.

    :raises ModelError: for state, several inputs, what is no image, open dimensions, or
        operators that were compiled for the Edge TPU.
    """
    with reading(graph.what):
        _check_cuttable(graph)


def _check_cuttable(graph: Graph) -> None:
    what = graph.what
    operators = graph.subgraph.operators  # those too whose results nobody uses
    if any(graph.custom_name(o) == EDGE_TPU_OPERATOR for o in operators):
        raise ModelError(f'{what} is compiled for the Edge TPU; name the int8 file that it was '
                         'compiled from, and compile its segments with prepare_model --edgetpu')
    state = [graph.name(i) for i in graph.inputs if not _is_image(graph, i)]
    if len(graph.inputs) > 1 and state:
        raise ModelError(_STATE.format(what=what, how=f'besides the image it takes '
                                       f'{", ".join(state)}'))
    if len(graph.inputs) != 1:
        raise ModelError(f'{what} takes {len(graph.inputs)} images; only a network of one image '
                         'can be cut')
    stateful = sorted({graph.opcode(o) for o in operators} & _STATEFUL)
    if stateful or any(t.isVariable for t in graph.subgraph.tensors):
        raise ModelError(_STATE.format(what=what, how=', '.join(stateful) or 'variable tensors'))
    if not _is_image(graph, graph.inputs[0]):
        raise ModelError(f'{what} takes {graph.spec(graph.inputs[0]).dtype} of shape '
                         f'{graph.shape(graph.inputs[0])}, not one RGB image (1, height, width, '
                         '3) of a fixed size; export it with one')


def _is_image(graph: Graph, index: int) -> bool:
    shape, signature = graph.shape(index), graph.tensor(index).shapeSignature
    fixed = signature is None or all(d > 0 for d in signature[1:])
    return (len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and fixed
            and min(shape) > 0 and max(shape) <= LONGEST_SIDE
            and graph.spec(index).dtype in ('uint8', 'int8', 'float32', 'float16'))


def _post_process(graph: Graph) -> tuple[int, ...]:
    """Return where the outputs of TFLite_Detection_PostProcess stand among those of the graph."""
    for operator in graph.operators:
        made = [int(i) for i in operator.outputs]
        if graph.custom_name(operator) == POST_PROCESS and set(made) <= set(graph.outputs):
            return tuple(graph.outputs.index(i) for i in made)
    return ()


def read_classes(file: str | Path, meaning: Meaning, outputs: Sequence[TensorSpec],
                 graph: Callable[[], Graph]) -> tuple[str, ...]:
    """Return the labels in a file, by class number.

    A detector's classes do not count the background that it has scores for. Labels files often
    begin with it, or with a placeholder; those of classifiers may leave it out.

    :param graph: gives the network, which is asked for of a detector only.
    :raises ModelError: if the file does not fit.
    """
    classes = classes_of(meaning, outputs)
    labels = read_labels(file, None)
    if meaning.kind == DETECTION:
        return labels[1:] if len(labels) == _scored_classes(graph()) else labels
    if meaning.kind == CLASSIFICATION and classes is not None:
        if len(labels) == classes - 1:
            return ('background', *labels)
        return read_labels(file, classes)
    return labels


def _scored_classes(graph: Graph) -> int | None:
    """Return how many classes, background included, the detector has scores for."""
    for operator in graph.operators:
        if graph.custom_name(operator) == POST_PROCESS and len(operator.inputs) > 1:
            return graph.shape(int(operator.inputs[1]))[-1]
    return None
