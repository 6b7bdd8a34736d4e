"""Cut an int8 VGG between its operators, so that head and tail equal the whole bit for bit.

Quantising once and cutting the file keeps the scale and zero point of the tensor at every cut;
heads and tails converted one by one would each choose their own.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from offload_perception.errors import ModelError
from offload_perception.network.flatbuffer import Graph, reading
from offload_perception.tensor import TensorSpec

# The operators of a VGG: those that begin a layer, and those that belong to the layer before or
# after them.
KINDS = {'CONV_2D': 'conv', 'MAX_POOL_2D': 'pool', 'AVERAGE_POOL_2D': 'pool',
         'FULLY_CONNECTED': 'fc'}
JOINS_PREVIOUS = {'QUANTIZE', 'RELU', 'RELU6', 'SOFTMAX', 'LOGISTIC', 'MEAN', 'ADD', 'SUB',
                  'MUL'}
JOINS_NEXT = {'RESHAPE', 'SQUEEZE', 'PAD', 'PADV2'}
PREPROCESS = 'preprocess'


@dataclass(frozen=True)
class CutPoint:
    """A layer: operators `first` up to, without, `stop`, and the tensor after them.

    `weight_bytes` counts int8 weights with int32 biases, `macs` multiply-adds for one image.
    """

    name: str
    kind: str
    first: int
    stop: int
    output: TensorSpec
    weight_bytes: int
    macs: int


def cut_points(graph: Graph, names: list[str]) -> tuple[CutPoint, ...]:
    """Return the layers of `graph`, each begun by a convolution, pooling or dense operator.

    `names` are those of the layers in order. What comes before the first layer, and a layer
    named `preprocess`, goes to the first; a reshape goes to the layer after it; all else to
    the layer before it.

    :raises ModelError: if the graph is not VGG-like, or has not as many layers as names.
    """
    with reading(graph.what):
        return _points(graph, names)


def _points(graph: Graph, names: list[str]) -> tuple[CutPoint, ...]:
    starts = _layer_starts(graph)
    if len(starts) != len(names):
        raise ModelError(f'{graph.what} has {len(starts)} convolutions, poolings and dense '
                         f'layers, but {len(names)} names were given: {", ".join(names)}')
    if names[0] == PREPROCESS:
        starts, names = starts[1:], names[1:]
    firsts = [0, *(_with_reshapes(graph, start) for start in starts[1:])]
    stops = [*firsts[1:], len(graph.operators)]
    return tuple(_point(graph, name, start, first, stop)
                 for name, start, first, stop in zip(names, starts, firsts, stops, strict=True))


def cut(graph: Graph, points: tuple[CutPoint, ...], first: int, last: int) -> bytes:
    """Return a .tflite file of the layers `first` to `last`, both counted from 1 and included."""
    if not 1 <= first <= last <= len(points):
        raise ModelError(f'no layers {first} to {last} in {graph.what}; it has 1 to {len(points)}')
    return graph.segment(points[first - 1].first, points[last - 1].stop)


def _layer_starts(graph: Graph) -> list[int]:
    for operator in graph.operators:
        name = graph.opcode(operator)
        if name not in KINDS and name not in JOINS_PREVIOUS | JOINS_NEXT:
            raise ModelError(f'{graph.what} is not like VGG: it has the operator {name}; only '
                             'convolutions, poolings and dense layers in sequence can be cut')
    starts = [i for i, o in enumerate(graph.operators) if graph.opcode(o) in KINDS]
    if not starts:
        raise ModelError(f'{graph.what} has no convolution, pooling or dense layer to cut at')
    return starts


def _with_reshapes(graph: Graph, start: int) -> int:
    while graph.opcode(graph.operators[start - 1]) in JOINS_NEXT:
        start -= 1
    return start


def _point(graph: Graph, name: str, start: int, first: int, stop: int) -> CutPoint:
    operators = graph.operators[first:stop]
    weights = [graph.constant(i) for o in operators if graph.opcode(o) in KINDS
               for i in graph.constants(o)]
    return CutPoint(
        name=name, kind=KINDS[graph.opcode(graph.operators[start])], first=first, stop=stop,
        output=graph.spec(operators[-1].outputs[0]),
        weight_bytes=sum(array.nbytes for array in weights if array is not None),
        macs=sum(_macs(graph, o) for o in operators))


def _macs(graph: Graph, operator: Any) -> int:
    if graph.opcode(operator) not in ('CONV_2D', 'FULLY_CONNECTED'):
        return 0
    outputs, kernel = graph.shape(operator.outputs[0]), graph.shape(operator.inputs[1])
    return prod(outputs[1:]) * prod(kernel[1:])
