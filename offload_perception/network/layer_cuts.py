"""The layers of a network, between which it is cut, so that head and tail equal the whole.

Quantising once and cutting the file keeps the scale and zero point of every tensor at a cut; heads
and tails converted one by one would each choose their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from offload_perception.errors import ModelError
from offload_perception.incoming import text
from offload_perception.network.flatbuffer import reading
from offload_perception.network.layer_names import operator_layer_names
from offload_perception.network.operator_graph import Graph

KINDS = {'CONV_2D': 'conv', 'DEPTHWISE_CONV_2D': 'depthwise', 'TRANSPOSE_CONV': 'conv',
         'MAX_POOL_2D': 'pool', 'AVERAGE_POOL_2D': 'pool', 'FULLY_CONNECTED': 'fc'}
WEIGHTED = {'CONV_2D', 'DEPTHWISE_CONV_2D', 'TRANSPOSE_CONV', 'FULLY_CONNECTED'}
WITH_LAYER_BEFORE = {'QUANTIZE', 'RELU', 'RELU6', 'SOFTMAX', 'LOGISTIC', 'MEAN', 'ADD', 'SUB',
                     'MUL'}
WITH_LAYER_AFTER = {'RESHAPE', 'SQUEEZE', 'PAD', 'PADV2'}
PREPROCESS = 'preprocess'


@dataclass(frozen=True)
class LayerCut:
    """A layer: operators `first` up to, without, `stop`, which take and give tensors by number.

    `weight_bytes` counts the constants of weighted operators, `macs` multiply-adds for one image.
    """

    name: str
    kind: str
    first: int
    stop: int
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    weight_bytes: int
    macs: int


def operator_layers(graph: Graph) -> tuple[LayerCut, ...]:
    """Return one layer for each operator, named after the tensor that it makes."""
    with reading(graph.what):
        return tuple(
            _layer(graph, name, kind_of(graph, operator), k, k + 1) for k, (name, operator)
            in enumerate(zip(operator_layer_names(graph), graph.operators, strict=True)))


def named_layers(graph: Graph, names: Sequence[str]) -> tuple[LayerCut, ...]:
    """Return the layers of a chain, each begun by a convolution, pooling or dense operator.

    `names` are those of the layers in order. What comes before the first layer, and a layer
    named `preprocess`, goes to the first; a reshape goes to the layer after it; all else to
    the layer before it.

    :raises ModelError: if the graph is no chain, or has not as many layers as names.
    """
    with reading(graph.what):
        return _named(graph, list(names))


def kind_of(graph: Graph, operator: Any) -> str:
    """Return `conv`, `pool`, `fc` and so on, or the operator's own name in small letters."""
    name = graph.opcode(operator)
    return KINDS.get(name) or text(graph.custom_name(operator) or name).lower()


def _named(graph: Graph, names: list[str]) -> tuple[LayerCut, ...]:
    for operator in graph.operators:
        name = graph.opcode(operator)
        if name not in KINDS and name not in WITH_LAYER_BEFORE | WITH_LAYER_AFTER:
            raise ModelError(f'{graph.what} is not like VGG: it has the operator {name}; convert '
                             'it to a .tflite file, which may have any, and name that')
    starts = [i for i, o in enumerate(graph.operators) if graph.opcode(o) in KINDS]
    if not starts:
        raise ModelError(f'{graph.what} has no convolution, pooling or dense layer to cut at')
    if len(starts) != len(names):
        raise ModelError(f'{graph.what} has {len(starts)} convolutions, poolings and dense '
                         f'layers, but {len(names)} names were given: {", ".join(names)}')
    if names[0] == PREPROCESS:
        starts, names = starts[1:], names[1:]
    firsts = [0, *(_with_reshapes(graph, start) for start in starts[1:])]
    stops = [*firsts[1:], len(graph.operators)]
    for name, stop in zip(names, stops, strict=True):
        if len(graph.boundary(stop)) != 1:
            raise ModelError(f'{graph.what} branches at {name}; convert it to a .tflite file, '
                             'which may have branches, and name that')
    return tuple(_layer(graph, name, kind_of(graph, graph.operators[start]), first, stop)
                 for name, start, first, stop in zip(names, starts, firsts, stops, strict=True))


def _with_reshapes(graph: Graph, start: int) -> int:
    while graph.opcode(graph.operators[start - 1]) in WITH_LAYER_AFTER:
        start -= 1
    return start


def _layer(graph: Graph, name: str, kind: str, first: int, stop: int) -> LayerCut:
    operators = graph.operators[first:stop]
    weights = [graph.constant(i) for o in operators if graph.opcode(o) in WEIGHTED
               for i in graph.constants(o)]
    return LayerCut(
        name, kind, first, stop, *graph.ends(first, stop),
        weight_bytes=sum(array.nbytes for array in weights if array is not None),
        macs=sum(multiply_adds(graph, o) for o in operators))


def multiply_adds(graph: Graph, operator: Any) -> int:
    """Return the multiply-adds of an operator with weights, for one image; 0 for others."""
    name = graph.opcode(operator)
    if name not in WEIGHTED:
        return 0
    kernel, made = graph.shape(operator.inputs[1]), graph.shape(operator.outputs[0])
    if name == 'TRANSPOSE_CONV':  # each element of its input, which is its third
        return prod(graph.shape(operator.inputs[2])[1:]) * prod(kernel[:-1])
    if name == 'DEPTHWISE_CONV_2D':
        return prod(made[1:]) * prod(kernel[1:-1])
    return prod(made[1:]) * prod(kernel[1:])
