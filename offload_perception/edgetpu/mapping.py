"""How each segment runs on an Edge TPU: a report, and an estimate without the compiler.

Two things go wrong unnoticed on this accelerator: an operator that is not mapped runs on the
CPU while the accelerator burns power, and parameters beyond its memory are streamed over USB at
every inference. The report shows both, layer by layer.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from offload_perception.errors import IncomingError, ModelError
from offload_perception.incoming import identifier, number, text
from offload_perception.network.artefact import Artefact
from offload_perception.network.dense import is_portable
from offload_perception.network.operator_graph import Graph
from offload_perception.tensor import total_bytes

REPORT = 'edgetpu.json'
MIB = 1024**2
# About 8 MiB of SRAM hold parameters and working activations; compiler logs show 7.67 MiB of
# parameters cached where activations are small (google-coral/edgetpu issues 427 and 572).
PARAMETER_CACHE_BYTES = int(7.67 * MIB)
SUPPORTED = frozenset({
    'ADD', 'AVERAGE_POOL_2D', 'CONCATENATION', 'CONV_2D', 'DEPTHWISE_CONV_2D', 'EXPAND_DIMS',
    'FULLY_CONNECTED', 'L2_NORMALIZATION', 'LOGISTIC', 'MAXIMUM', 'MAX_POOL_2D', 'MEAN',
    'MINIMUM', 'MUL', 'PACK', 'PAD', 'PRELU', 'QUANTIZE', 'RELU', 'RELU6', 'RELU_N1_TO_1',
    'RESHAPE', 'RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR', 'SLICE', 'SOFTMAX', 'SQUEEZE',
    'STRIDED_SLICE', 'SUB', 'TANH', 'TRANSPOSE_CONV'})
LIMITED_ELEMENTS = {'SOFTMAX': 16000}


@dataclass(frozen=True)
class LayerReport:
    """One segment: operators on and off the accelerator, and where its parameters lie.

    Bytes: `on_chip_bytes` are cached, `off_chip_bytes` are streamed at every inference;
    `activation_bytes` are input and output. None if the compiler does not say.
    """

    name: str
    mapped: int | None
    unmapped: int | None
    on_chip_bytes: int | None
    off_chip_bytes: int | None
    activation_bytes: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompileReport:
    """A report on all segments of the model `digest`; `estimate` is True without a compiler."""

    digest: str
    estimate: bool
    compiler: str | None
    layers: tuple[LayerReport, ...] = ()

    @property
    def last_cached_cut(self) -> int:
        """Return the last cut up to which a head's parameters all fit on the chip."""
        return next((i for i, layer in enumerate(self.layers) if layer.off_chip_bytes),
                    len(self.layers))

    @property
    def first_unmapped_cut(self) -> int | None:
        """Return the cut after the first layer with operators on the CPU, None if all map."""
        return next((i for i, layer in enumerate(self.layers, 1) if layer.unmapped), None)

    def streamed_bytes(self, cut: int) -> int:
        """Return the parameter bytes that a head up to `cut` streams at every inference."""
        return sum(layer.off_chip_bytes or 0 for layer in self.layers[:cut])

    def save(self, folder: Path) -> None:
        """Write the report beside the model.

        :raises ModelError: if that folder cannot be written.
        """
        try:
            (folder / REPORT).write_text(json.dumps(asdict(self), indent=1) + '\n')
        except OSError as e:
            raise ModelError(f'{folder / REPORT} cannot be written ({e.strerror}); copy the model '
                             'to a folder that you may write, and name that') from e

    @classmethod
    def load(cls, folder: Path) -> 'CompileReport':
        """Read the report that `save` wrote.

        :raises ModelError: if there is none, or it cannot be read.
        """
        try:
            d = json.loads((folder / REPORT).read_text())
            return cls(**{**d, 'digest': identifier('digest', d['digest']),
                          'compiler': d['compiler'] and text(d['compiler']),
                          'layers': tuple(map(_layer, d['layers']))})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
                IncomingError) as e:
            raise ModelError(f'{folder / REPORT} is no Edge TPU report ({e}); '
                             'make it with prepare_model --edgetpu') from e


def _layer(d: dict[str, Any]) -> LayerReport:
    """Return a layer of a report in a file; raises IncomingError for impossible numbers."""
    layer = LayerReport(**{**d, 'name': text(d['name']),
                           'problems': tuple(text(p, 1000) for p in d['problems'])})
    known = (layer.mapped, layer.unmapped, layer.on_chip_bytes, layer.off_chip_bytes)
    for count in (layer.activation_bytes, *(n for n in known if n is not None)):
        number('count', count, 0, 2**63)
    return layer


def estimate(artefact: Artefact, cache_bytes: int = PARAMETER_CACHE_BYTES) -> CompileReport:
    """Return what the compiler would probably report, from sizes and operator rules alone.

    Parameters are cached in the order of the layers until `cache_bytes` are full, as the
    compiler does for models on one command line. Larger activations leave less space.
    """
    room, layers = cache_bytes, []
    for layer in artefact.layers:
        graph = Graph(artefact.segment_file(layer.index).read_bytes(), layer.segment)
        problems = tuple(_problems(graph))
        cached = min(room, layer.weight_bytes)
        room -= cached
        layers.append(LayerReport(
            layer.name, len(graph.operators) - len(problems), len(problems), cached,
            layer.weight_bytes - cached, activations(artefact, layer.index), problems))
    return CompileReport(artefact.digest, True, None, tuple(layers))


def _problems(graph: Graph) -> list[str]:
    found = []
    for operator in graph.operators:
        name, elements = graph.opcode(operator), graph.spec(operator.outputs[0]).size
        if name not in SUPPORTED:
            found.append(f'{name}: Operation not supported')
        elif _is_float(graph, operator):
            found.append(f'{name}: float tensors; only int8 and uint8 are mapped')
        elif not is_portable(graph, operator):
            found.append(f'{name}: a scale for each unit is misread; prepare the model again')
        elif elements > LIMITED_ELEMENTS.get(name, elements):
            found.append(f'{name}: {elements} elements are too many')
    return found


def _is_float(graph: Graph, operator: Any) -> bool:
    ends = (*graph.computed(operator), *map(int, operator.outputs))
    return any(graph.spec(i).dtype.startswith('float') for i in ends)


def activations(artefact: Artefact, index: int) -> int:
    """Return the bytes of input and output of layer `index` (1 to N)."""
    return sum(map(total_bytes, artefact.end_specs(index, index)))
