"""Dense layers with a scale for each unit, as newer converters make them."""

from typing import Any

import numpy as np

from offload_perception.network.dense import DENSE
from offload_perception.network.operator_graph import Graph


def dense_operators(graph: Graph) -> list[Any]:
    return [o for o in graph.operators if graph.opcode(o) == DENSE]


def per_channel(model: bytes) -> bytes:
    """Return the same network with a scale for each unit: those of odd units are doubled."""
    graph = Graph(model)
    for operator in dense_operators(graph):
        for index in graph.constants(operator):
            _double_odd_units(graph, index)
    return graph.segment(0, len(graph.operators))


def _double_odd_units(graph: Graph, index: int) -> None:
    tensor = graph.tensor(index)
    units = int(tensor.shape[0])
    dtype = np.dtype('<i4' if len(tensor.shape) == 1 else np.int8)
    factor = np.where(np.arange(units) % 2, 2, 1)
    values = graph.constant(index).view(dtype).reshape(units, -1) / factor[:, None]
    graph.model.buffers[tensor.buffer].data = np.rint(values).astype(dtype).reshape(-1).view(
        np.uint8)
    tensor.quantization.scale = tensor.quantization.scale[0] * factor.astype(np.float32)
    tensor.quantization.zeroPoint = np.zeros(units, np.int64)
