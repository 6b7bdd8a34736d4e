"""Dense layers that every TFLite reads: one scale for all weights of a layer.

TFLite before 2.10, and so edgetpu_compiler 16 and pycoral 2.0, reads the first scale of a
FULLY_CONNECTED operator and ignores the others, without an error: each dense layer then gives
one constant. Convolutions have a scale for each channel in all of them.
"""

from collections.abc import Iterator
from typing import Any

from offload_perception.errors import ModelError
from offload_perception.network.operator_graph import Graph

DENSE = 'FULLY_CONNECTED'


def check_dense(graph: Graph) -> None:
    """Refuse a network whose dense weights have a scale for each unit.

    :raises ModelError: with the number of such layers and the remedy.
    """
    wrong = [o for o in graph.operators if not is_portable(graph, o)]
    if wrong:
        raise ModelError(
            f'{graph.what} has {len(wrong)} dense layers with a scale for each unit, which TFLite '
            'before 2.10 and the Edge TPU compiler misread without a word; prepare the '
            'model from its .keras or .h5 file (prepare_model), or convert it '
            'with converter._experimental_disable_per_channel_quantization_for_dense_layers = '
            'True')


def dense_doubt(graph: Graph) -> str:
    """Return the message of `check_dense`, '' for a network that every TFLite reads."""
    try:
        check_dense(graph)
    except ModelError as e:
        return f'WARNING: {e}'
    return ''


def is_portable(graph: Graph, operator: Any) -> bool:
    """Return False for a dense operator whose weights have more than one scale."""
    return graph.opcode(operator) != DENSE or all(n <= 1 for n in _scale_counts(graph, operator))


def _scale_counts(graph: Graph, operator: Any) -> Iterator[int]:
    for index in graph.constants(operator):
        quantization = graph.tensor(index).quantization
        scales = None if quantization is None else quantization.scale
        yield 0 if scales is None else len(scales)
