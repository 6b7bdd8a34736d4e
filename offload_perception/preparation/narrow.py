"""Weights of 7 bits in an int8 network, for processors whose int8 products overflow.

x86 without VNNI adds two products of uint8 and int8 in 16 bits that saturate (the instruction
vpmaddubsw): 2 * 255 * 127 does not fit, 2 * 255 * 64 does. With such weights OpenVINO's fast
kernels are right on any x86; the file runs everywhere else as before.
"""

import numpy as np

from offload_perception.network.operator_graph import Graph

WEIGHT_BITS = (7, 8)
_WEIGHED = {'CONV_2D', 'FULLY_CONNECTED'}


def narrow_weights(model: bytes, what: str = 'the model') -> bytes:
    """Return the int8 `model` with weights in -64..64 at twice the scale, biases likewise.

    Activations keep their scale and zero point.

    :raises ModelError: if the file is not an int8 chain (see `Graph`).
    """
    graph = Graph(model, what)
    for operator in graph.operators:
        if graph.opcode(operator) in _WEIGHED:
            for index in graph.constants(operator):
                _halve(graph, index)
    return graph.segment(0, len(graph.operators))


def _halve(graph: Graph, index: int) -> None:
    """Halve a constant and double its scale: int8 weights, or the int32 bias on their scale."""
    tensor = graph.tensor(index)
    is_bias = len(tensor.shape) == 1
    constant = graph.constant(index)
    assert constant is not None
    stored: np.ndarray = constant.view(np.int32 if is_bias else np.int8)
    values = np.rint(stored / 2).astype('<i4' if is_bias else np.int8)
    graph.model.buffers[tensor.buffer].data = values.view(np.uint8)
    tensor.quantization.scale = np.asarray(tensor.quantization.scale, np.float32) * 2
