"""The operators of a .tflite file as a graph, which can be cut between any two of them.

After k operators, the tensors that cross are those made before and used, or given out, after.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from math import inf
from mmap import mmap
from typing import Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.flatbuffer import (
    BROKEN,
    operator_names,
    operator_number,
    pack,
    reading,
    schema,
    tensor_dtype,
    text_of,
    unpack,
)
from offload_perception.network.fold import fold_shapes
from offload_perception.tensor import TensorSpec

EDGE_TPU_OPERATOR = 'edgetpu-custom-op'


class Graph:
    """A .tflite file with one graph of operators.

    `what` names the file in error messages. Constant data stay views of `model`. `operators`
    leaves out those that compute shapes (see `fold`), those whose results nobody uses, and those
    that work on constants alone, such as the dequantising of float16 weights: each part gets
    those that it needs. Tensors are named by their number in the file.

    :raises ModelError: if the file is broken, has several graphs, data outside the flatbuffer, or
        operators in an order in which they cannot run.
    """

    def __init__(self, model: bytes | mmap, what: str = 'the model') -> None:
        self.what = what
        with reading(what):
            self.model = unpack(model, what)
            self._check_whole()
            self.subgraph = self.model.subgraphs[0]
            self._check_indices()
            self.inputs = tuple(map(int, self.subgraph.inputs))
            self.outputs = tuple(map(int, self.subgraph.outputs))
            self._check_made_once()
            fold_shapes(self)
            self._fixed: set[int] = set()  # tensors that depend on constants alone
            self._fixing: list[Any] = []  # the operators that make them, in their order
            self.operators = self._used([o for o in self.subgraph.operators or ()
                                         if not self._fix(o)], self.outputs)
            self._check_order()

    # -- operators and tensors --------------------------------------------------------------

    def opcode(self, operator: Any) -> str:
        """Return the schema's name of the operator, as `CONV_2D`."""
        return operator_names()[operator_number(self._code(operator))]

    def custom_name(self, operator: Any) -> str:
        """Return the name of a custom operator, '' for a built-in one."""
        if self.opcode(operator) != 'CUSTOM':
            return ''
        return text_of(self._code(operator).customCode)

    def tensor(self, index: int) -> Any:
        """Return the schema object of tensor `index`."""
        return self.subgraph.tensors[index]

    def name(self, index: int) -> str:
        """Return the name of tensor `index`."""
        return text_of(self.tensor(index).name)

    def constant(self, index: int) -> np.ndarray | None:
        """Return the bytes of a constant tensor, None if the tensor is computed."""
        data = self.model.buffers[self.tensor(index).buffer].data
        return data if data is not None and len(data) else None

    def constants(self, operator: Any) -> list[int]:
        """Return the operator's inputs that hold data."""
        return [i for i in operator.inputs if i >= 0 and self.constant(i) is not None]

    def computed(self, operator: Any) -> list[int]:
        """Return the operator's inputs that depend on the input of the graph."""
        return [i for i in map(int, operator.inputs)
                if i >= 0 and self.constant(i) is None and i not in self._fixed]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the tensor's shape with its batch dimension."""
        return tuple(map(int, self.tensor(index).shape))

    def spec(self, index: int) -> TensorSpec:
        """Return shape and number format of a tensor, without a batch dimension of one.

        :raises ModelError: for elements that cannot be sent, such as strings.
        """
        tensor = self.tensor(index)
        dtype = tensor_dtype(tensor)
        if dtype is None:
            raise ModelError(f'{self.what}: tensor {self.name(index)} has elements that cannot '
                             'cross a cut; use a network of int8, uint8 or float tensors')
        shape = self.shape(index)
        if shape[:1] == (1,):
            shape = shape[1:]
        scale, zero_point = _quantisation(tensor.quantization)
        plain = TensorSpec(shape, dtype)
        if not plain.quantised or scale == 0.0:
            return plain
        limits = np.iinfo(dtype)
        self._refuse(not (0.0 < scale < inf and limits.min <= zero_point <= limits.max),
                     f'tensor {self.name(index)} has scale {scale:g} and zero point {zero_point}')
        return replace(plain, scale=scale, zero_point=zero_point)

    # -- cuts -------------------------------------------------------------------------------

    def ends(self, first: int, stop: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the tensors that operators `first` up to, without, `stop` take and give.

        In the order in which they are made.
        """
        used = {i for o in self.operators[first:stop] for i in self.computed(o)}
        return (tuple(i for i, at in self._made.items() if at <= first and i in used),
                tuple(i for i in self.boundary(stop) if self._made[i] > first))

    def boundary(self, stop: int) -> tuple[int, ...]:
        """Return the tensors that cross after `stop` operators, in the order they are made."""
        return tuple(i for i, at in self._made.items() if at <= stop <= self._needed.get(i, -1))

    @cached_property
    def _made(self) -> dict[int, int]:
        """Return, for every computed tensor in the order of making, the first cut after it."""
        return dict.fromkeys(self.inputs, 0) | {
            int(i): k for k, o in enumerate(self.operators, 1) for i in o.outputs}

    @cached_property
    def _needed(self) -> dict[int, int]:
        """Return the last cut at which a tensor is still to be used."""
        return {i: k for k, o in enumerate(self.operators) for i in self.computed(o)} | (
            dict.fromkeys(self.outputs, len(self.operators)))

    # -- parts ------------------------------------------------------------------------------

    def segment(self, first: int, stop: int) -> bytes:
        """Return a file of its own that holds operators `first` up to, without, `stop`.

        Its ends, in the order of `ends`, keep scale and zero point, so that segments chain
        without rounding.
        """
        with reading(self.what):
            return self._part(self.operators[first:stop], *self.ends(first, stop))

    def _part(self, operators: list[Any], takes: Iterable[int], gives: Iterable[int]) -> bytes:
        s = schema()
        part, subgraph, tensors = s.ModelT(), s.SubGraphT(), _Numbering()
        part.buffers, part.operatorCodes, codes = [s.BufferT()], [], _Numbering()
        fixing = self._used(self._fixing, (int(i) for o in operators for i in o.inputs))
        subgraph.operators = [self._copy(o, tensors, codes) for o in (*fixing, *operators)]
        subgraph.inputs = [tensors[i] for i in takes]
        subgraph.outputs = [tensors[i] for i in gives]
        subgraph.tensors = [self._place(i, part.buffers) for i in tensors]
        part.version, part.subgraphs = self.model.version, [subgraph]
        part.operatorCodes = [self.model.operatorCodes[i] for i in codes]
        return pack(part)

    @staticmethod
    def _used(operators: list[Any], wanted: Iterable[int]) -> list[Any]:
        """Return those of `operators` on which the tensors `wanted` depend, in their order."""
        needed, kept = {*wanted}, list[Any]()
        for operator in reversed(operators):
            if not needed.isdisjoint(map(int, operator.outputs)):
                needed.update(map(int, operator.inputs))
                kept.append(operator)
        return kept[::-1]

    def _copy(self, operator: Any, tensors: '_Numbering', codes: '_Numbering') -> Any:
        copy = type(operator)()
        vars(copy).update(vars(operator))
        copy.inputs = [i if i < 0 else tensors[int(i)] for i in operator.inputs]
        copy.outputs = [tensors[int(i)] for i in operator.outputs]
        copy.opcodeIndex = codes[operator.opcodeIndex]
        return copy

    def _place(self, index: int, buffers: list[Any]) -> Any:
        copy = type(self.tensor(index))()
        vars(copy).update(vars(self.tensor(index)))
        copy.buffer = 0  # the empty one, as computed tensors have
        if self.constant(index) is not None:
            copy.buffer = len(buffers)
            buffers.append(self.model.buffers[self.tensor(index).buffer])
        return copy

    # -- checks -----------------------------------------------------------------------------

    def _code(self, operator: Any) -> Any:
        return self.model.operatorCodes[operator.opcodeIndex]

    def _fix(self, operator: Any) -> bool:
        """Note an operator on constants alone; return whether it is one."""
        fixed = bool(len(operator.inputs)) and not self.computed(operator)
        if fixed:
            self._fixed.update(map(int, operator.outputs))
            self._fixing.append(operator)
        return fixed

    def _check_whole(self) -> None:
        if len(self.model.subgraphs or ()) != 1:
            raise ModelError(f'{self.what} has {len(self.model.subgraphs or ())} subgraphs (loops '
                             'or branches that are decided at run time); only one graph of '
                             'operators can be cut')
        if any(b.offset > 1 or b.size > 1 for b in self.model.buffers):
            raise ModelError(f'{self.what} keeps its weights outside the flatbuffer (over 2 GB '
                             'or external buffers); use a smaller, int8 network')

    def _check_indices(self) -> None:
        """Check that every operator refers to existing tensors, and every tensor to a buffer."""
        graph, buffers = self.subgraph, self.model.buffers
        for tensor in graph.tensors:
            if tensor.shape is None:  # a scalar, or a shape that is known at run time
                tensor.shape = np.empty(0, np.int32)
            self._refuse(not 0 <= tensor.buffer < len(buffers), 'a tensor without data')
            (tensor.name or b'').decode()  # interpreters refuse others
        for operator in graph.operators or ():
            if operator.inputs is None:  # it makes something of nothing, such as a variable
                operator.inputs = np.empty(0, np.int32)
            self.opcode(operator)  # one that the schema has
            self._refuse(not self._exist(operator.inputs, -1) or not self._exist(operator.outputs),
                         'an operator without its tensor')
        if graph.inputs is None or graph.outputs is None or not len(graph.outputs):
            raise ModelError(f'{self.what} has no input or no output')
        self._refuse(not self._exist([*graph.inputs, *graph.outputs]), 'an end without its tensor')

    def _exist(self, indices: Iterable[int], lowest: int = 0) -> bool:
        return all(lowest <= i < len(self.subgraph.tensors) for i in indices)

    def _check_made_once(self) -> None:
        made = [*self.inputs, *(int(i) for o in self.subgraph.operators or () for i in o.outputs)]
        self._refuse(len({*made}) < len(made) or any(self.constant(i) is not None for i in made),
                     'a tensor is made twice')
        if not {*self.inputs}.isdisjoint(self.outputs):
            raise ModelError(f'{self.what} gives out its own input; export it without that output')

    def _refuse(self, broken: bool, why: str) -> None:
        if broken:
            raise ModelError(BROKEN.format(what=self.what, why=why))

    def _check_order(self) -> None:
        made = {*self.inputs}
        for operator in self.operators:
            self._refuse(not made.issuperset(self.computed(operator)),
                         f'{self.opcode(operator)} comes before what it needs')
            made |= {int(i) for i in operator.outputs}
        if not self.operators or not made.issuperset(self.outputs):
            raise ModelError(f'{self.what} gives out what no operator makes of its input')


def _quantisation(q: Any) -> tuple[float, int]:
    """Return scale and zero point of a tensor; scale 0 if it has none, or one for each channel."""
    if q is None or q.scale is None or len(q.scale) != 1:
        return 0.0, 0
    has_zero = q.zeroPoint is not None and len(q.zeroPoint) == 1
    return float(q.scale[0]), int(q.zeroPoint[0]) if has_zero else 0


class _Numbering(dict[int, int]):
    """Numbers things 0, 1, 2... in the order in which they are first asked for."""

    def __missing__(self, key: int) -> int:
        self[key] = len(self)
        return self[key]
