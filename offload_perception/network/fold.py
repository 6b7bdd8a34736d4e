"""Operators that compute shapes, replaced by their results: with one image, shapes are fixed.

Converters put them into networks of an open batch, before a reshape. At a cut they would send
shapes along, and the operators that use them would allocate memory at every run.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.network.flatbuffer import schema, tensor_dtype

if TYPE_CHECKING:
    from offload_perception.network.operator_graph import Graph


def fold_shapes(graph: 'Graph') -> None:
    """Make the outputs of operators on shapes constants of `graph`, and drop the operators."""
    kept = []
    for operator in graph.subgraph.operators or ():
        value = _value(graph, operator)
        if value is None:
            kept.append(operator)
        else:
            _make_constant(graph, int(operator.outputs[0]), value)
    graph.subgraph.operators = kept


def _value(graph: 'Graph', operator: Any) -> np.ndarray | None:
    name, options = graph.opcode(operator), operator.builtinOptions
    if name == 'SHAPE':
        return _shape(graph, int(operator.inputs[0]), int(operator.outputs[0]))
    if name not in ('STRIDED_SLICE', 'PACK', 'CONCATENATION') or options is None:
        return None
    values = [_integers(graph, int(i)) for i in operator.inputs]
    known = [v for v in values if v is not None]
    if len(known) < len(values) or not known:
        return None
    if name == 'STRIDED_SLICE':
        return _slice(options, *known)
    return (np.stack(known, options.axis) if name == 'PACK'
            else np.concatenate(known, options.axis))


def _shape(graph: 'Graph', index: int, output: int) -> np.ndarray | None:
    """Return the shape of a tensor; one of an open batch has a batch of 1."""
    signature, dtype = graph.tensor(index).shapeSignature, _integer_dtype(graph, output)
    if dtype is None or not all(d > 0 for d in graph.shape(index)):
        return None
    if signature is not None and (any(d < 0 for d in signature[1:])
                                  or (signature[0] < 0 and not _has_open_batch(graph))):
        return None
    return np.array(graph.shape(index), dtype)


def _has_open_batch(graph: 'Graph') -> bool:
    signatures = [graph.tensor(int(i)).shapeSignature for i in graph.subgraph.inputs]
    return any(s is not None and len(s) and s[0] < 0 for s in signatures)


def _slice(options: Any, x: np.ndarray, begin: np.ndarray, end: np.ndarray,
           strides: np.ndarray) -> np.ndarray | None:
    if x.ndim != 1 or len(begin) != 1 or options.ellipsisMask or options.newAxisMask:
        return None
    if options.shrinkAxisMask:
        return np.asarray(x[int(begin[0])])
    return x[slice(None if options.beginMask else int(begin[0]),
                   None if options.endMask else int(end[0]), int(strides[0]))]


def _integers(graph: 'Graph', index: int) -> np.ndarray | None:
    """Return a small constant of integers, None for anything else."""
    dtype = _integer_dtype(graph, index) if index >= 0 else None
    data = graph.constant(index) if dtype else None
    if data is None or len(data) > 64:
        return None
    return np.frombuffer(bytes(data), dtype).reshape(graph.shape(index))


def _integer_dtype(graph: 'Graph', index: int) -> str | None:
    dtype = tensor_dtype(graph.tensor(index))
    return dtype if dtype in ('int32', 'int64') else None


def _make_constant(graph: 'Graph', index: int, value: np.ndarray) -> None:
    tensor, buffer = graph.tensor(index), schema().BufferT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    tensor.shape, tensor.shapeSignature = np.array(value.shape, np.int32), None
    tensor.buffer = len(graph.model.buffers)
    graph.model.buffers.append(buffer)
