"""Read a .tflite file as a chain of int8 operators, and write parts of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from mmap import mmap
from typing import Any

import flatbuffers
import numpy as np

from offload_perception.errors import ModelError, OffloadError
from offload_perception.tensor import TensorSpec

IDENTIFIER = b'TFL3'
BUFFER_ALIGNMENT = 16  # force_align of Buffer.data in the schema; the Python writer ignores it
_BROKEN = '{what} is a broken .tflite file ({why}); copy it again or prepare the model again'
DTYPES = {'INT8': 'int8', 'UINT8': 'uint8', 'FLOAT32': 'float32'}


@lru_cache(maxsize=1)
def schema() -> Any:
    """Return the generated classes of the TFLite schema.

    :raises ModelError: if neither LiteRT nor TensorFlow is installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        try:
            from tensorflow.lite.python import schema_py_generated
        except ImportError as e:
            raise ModelError(f'cutting a model needs the TFLite schema ({e}); '
                             'pip install ai-edge-litert') from e
    return schema_py_generated


class Graph:
    """A .tflite file whose operators form one chain, each fed by the one before.

    `what` names the file in error messages. Constant data stay views of `model`.

    :raises ModelError: if the file is broken, is float-only, is compiled for an Edge TPU,
        branches, or has several subgraphs, open dimensions or data outside the flatbuffer.
    """

    def __init__(self, model: bytes | mmap, what: str = 'the model') -> None:
        self.what = what
        with reading(what):
            self.model = _unpack(model, what)
            self._check_whole()
            self.subgraph = self.model.subgraphs[0]
            self.operators = self.subgraph.operators
            self._check_indices()
            self._check_chain()
            self._check_tensors()

    @cached_property
    def input(self) -> TensorSpec:
        """Return the tensor that the first operator takes."""
        return self.spec(self.subgraph.inputs[0])

    def opcode(self, operator: Any) -> str:
        """Return the schema's name of the operator, as `CONV_2D`."""
        return _operator_names()[_code(self.model.operatorCodes[operator.opcodeIndex])]

    def tensor(self, index: int) -> Any:
        """Return the schema object of tensor `index`."""
        return self.subgraph.tensors[index]

    def constant(self, index: int) -> np.ndarray | None:
        """Return the bytes of a constant tensor, None if the tensor is computed."""
        data = self.model.buffers[self.tensor(index).buffer].data
        return data if data is not None and len(data) else None

    def constants(self, operator: Any) -> list[int]:
        """Return the indices of the operator's constant inputs."""
        return [i for i in operator.inputs if i >= 0 and self.constant(i) is not None]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the tensor's shape with its batch dimension."""
        return tuple(map(int, self.tensor(index).shape))

    def spec(self, index: int) -> TensorSpec:
        """Return shape and number format of a computed tensor."""
        tensor, q = self.tensor(index), self.tensor(index).quantization
        dtype = _tensor_dtype(tensor)
        if dtype not in ('int8', 'uint8') or q is None or q.scale is None or len(q.scale) != 1:
            raise ModelError(
                f'{self.what}: tensor {_text(tensor.name)} is {dtype or "of another type"}, not '
                'int8; use a fully integer-quantised file (prepare_model makes one)')
        return TensorSpec(self.shape(index)[1:], dtype, float(q.scale[0]), int(q.zeroPoint[0]))

    def _check_whole(self) -> None:
        if len(self.model.subgraphs or ()) != 1:
            raise ModelError(f'{self.what} has {len(self.model.subgraphs or ())} subgraphs; '
                             'only a single sequential graph can be cut')
        if any(b.offset > 1 or b.size > 1 for b in self.model.buffers):
            raise ModelError(f'{self.what} keeps its weights outside the flatbuffer (over 2 GB '
                             'or external buffers); use a smaller, int8 network')

    def _check_indices(self) -> None:
        """Check that every operator refers to existing tensors, and every tensor to a buffer."""
        tensors, buffers = self.subgraph.tensors, self.model.buffers
        if any(not 0 <= t.buffer < len(buffers) or t.shape is None for t in tensors):
            raise ModelError(_BROKEN.format(what=self.what, why='a tensor without data or shape'))
        used = [i for o in self.operators or () for i in (*o.inputs, *o.outputs)]
        if any(not -1 <= i < len(tensors) for i in used):
            raise ModelError(_BROKEN.format(what=self.what, why='an operator without its tensor'))

    def _check_chain(self) -> None:
        ends = self.subgraph.inputs, self.subgraph.outputs
        if any(end is None or len(end) != 1 for end in ends) or not self.operators:
            raise ModelError(f'{self.what} must have one input, one output and operators between')
        fed = self.subgraph.inputs[0]
        for operator in self.operators:
            name = self.opcode(operator)
            if name == 'CUSTOM':
                raise ModelError(f'{self.what} holds custom operators, as a file compiled for '
                                 'the Edge TPU does; cut the uncompiled int8 file')
            computed = [i for i in operator.inputs if i >= 0 and self.constant(i) is None]
            if computed != [fed] or len(operator.outputs) != 1:
                raise ModelError(f'{self.what} branches at {name}: only a sequential network, '
                                 'each layer fed by the one before, can be cut')
            fed = operator.outputs[0]
        if fed != self.subgraph.outputs[0]:
            raise ModelError(f'{self.what} branches: its output is not its last operator')

    def _check_tensors(self) -> None:
        for index in (self.subgraph.inputs[0], *(o.outputs[0] for o in self.operators)):
            signature = self.tensor(index).shapeSignature
            shape = self.shape(index) if signature is None else (*signature, *self.shape(index))
            if not shape or any(d < 1 for d in shape):
                raise ModelError(f'{self.what}: tensor {_text(self.tensor(index).name)} has open '
                                 'dimensions; convert with a fixed input size and batch 1')
            self.spec(index)

    def segment(self, first: int, stop: int) -> bytes:
        """Return a file of its own that holds operators `first` up to, without, `stop`.

        Both its ends keep scale and zero point, so that segments chain without rounding.
        """
        with reading(self.what):
            return self._part(self.operators[first:stop])

    def _part(self, operators: list[Any]) -> bytes:
        s = schema()
        part, subgraph, tensors = s.ModelT(), s.SubGraphT(), _Numbering()
        part.buffers, part.operatorCodes, codes = [s.BufferT()], [], _Numbering()
        subgraph.operators = [self._copy(o, tensors, codes) for o in operators]
        subgraph.tensors = [self._place(i, part.buffers) for i in tensors]
        subgraph.inputs = [tensors[operators[0].inputs[0]]]
        subgraph.outputs = [tensors[operators[-1].outputs[0]]]
        part.version, part.subgraphs = self.model.version, [subgraph]
        part.operatorCodes = [self.model.operatorCodes[i] for i in codes]
        return _pack(part)

    def _copy(self, operator: Any, tensors: '_Numbering', codes: '_Numbering') -> Any:
        copy = type(operator)()
        vars(copy).update(vars(operator))
        copy.inputs = [i if i < 0 else tensors[i] for i in operator.inputs]
        copy.outputs = [tensors[i] for i in operator.outputs]
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


class _Numbering(dict[int, int]):
    """Numbers things 0, 1, 2... in the order in which they are first asked for."""

    def __missing__(self, key: int) -> int:
        self[key] = len(self)
        return self[key]


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # the library has no types
    """A builder that aligns byte vectors, which hold the tensor data."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        aligned = BUFFER_ALIGNMENT if elemSize == 1 else alignment
        start: int = super().StartVector(elemSize, numElems, aligned)
        return start


def _pack(model: Any) -> bytes:
    data = sum(len(b.data) for b in model.buffers if b.data is not None)
    builder = _AlignedBuilder(data + 65536)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _unpack(model: bytes | mmap, what: str) -> Any:
    if model[4:8] != IDENTIFIER:
        raise ModelError(f'{what} is not a .tflite file; prepare or export it again')
    return schema().ModelT.InitFromObj(schema().Model.GetRootAs(model))


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn errors from broken bytes, here or in the generated reader, into a ModelError."""
    try:
        yield
    except OffloadError:
        raise
    except Exception as e:
        raise ModelError(_BROKEN.format(what=what, why=f'{type(e).__name__}: {e}')) from e


def _tensor_dtype(tensor: Any) -> str | None:
    types = schema().TensorType
    return next((dtype for name, dtype in DTYPES.items() if getattr(types, name) == tensor.type),
                None)


@lru_cache(maxsize=1)
def _operator_names() -> dict[int, str]:
    return {v: k for k, v in vars(schema().BuiltinOperator).items() if isinstance(v, int)}


def _code(operator_code: Any) -> int:
    code: int = max(operator_code.builtinCode, operator_code.deprecatedBuiltinCode)
    return code


def _text(name: bytes | str | None) -> str:
    return name.decode(errors='replace') if isinstance(name, bytes) else str(name)
