"""Make a network take several images at once, where its operators allow that."""

from typing import TYPE_CHECKING

import numpy as np

from offload_perception.network.flatbuffer import reading

if TYPE_CHECKING:
    from offload_perception.network.operator_graph import Graph


def open_batch(graph: 'Graph') -> None:
    """Have reshapes to a batch of one keep any batch.

    Other operators take the batch of their input. Whether all of them do is seen by running
    them: one that mixes images gives other results.
    """
    with reading(graph.what):
        for operator in graph.operators:
            if graph.opcode(operator) == 'RESHAPE' and len(operator.inputs) == 2:
                _open(graph, int(operator.inputs[1]))


def _open(graph: 'Graph', target: int) -> None:
    data = graph.constant(target)
    if data is None:
        return
    shape = np.array(data, np.uint8).view(np.int32)
    if len(shape) > 1 and shape[0] == 1 and (shape > 0).all():
        shape[0] = -1
        graph.model.buffers[graph.tensor(target).buffer].data = shape.view(np.uint8)
