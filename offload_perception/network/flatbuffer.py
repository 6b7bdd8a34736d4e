"""Read and write .tflite files through the object API of their schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from mmap import mmap
from typing import Any

import flatbuffers

from offload_perception.errors import ModelError, OffloadError
from offload_perception.tensor import DTYPES

IDENTIFIER = b'TFL3'
BUFFER_ALIGNMENT = 16  # force_align of Buffer.data in the schema; the Python writer ignores it
BROKEN = '{what} is a broken .tflite file ({why}); copy it again or prepare the model again'
# Of well-known networks: EfficientDet-Lite4 has about a thousand operators.
MOST = {'subgraphs': 256, 'buffers': 1 << 16, 'operator codes': 1 << 10,
        'records of metadata': 256, 'signatures': 256, 'inputs of a signature': 256,
        'operators': 1 << 12, 'tensors': 1 << 14, 'tensors of an operator': 1 << 10,
        'characters in a name': 1 << 12, 'dimensions': 32, 'external buffers': 1 << 10}
_NAMES_IN_OPTIONS = (('BuiltinOptions', 'VarHandleOptions', ('Container', 'SharedName')),
                     ('BuiltinOptions2', 'StablehloCustomCallOptions',
                      ('CallTargetName', 'BackendConfig')),
                     ('BuiltinOptions2', 'StableHLOCompositeOptions', ('Name',)))
# By the schema's name of the type; a tensor of strings, complex or 4-bit numbers cannot be sent.
_DTYPES = {name.upper(): name for name in DTYPES}


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


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # the library has no types
    """A builder that aligns byte vectors, which hold the tensor data."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        aligned = BUFFER_ALIGNMENT if elemSize == 1 else alignment
        start: int = super().StartVector(elemSize, numElems, aligned)
        return start


def pack(model: Any) -> bytes:
    """Return the file of a model object."""
    data = sum(len(b.data) for b in model.buffers if b.data is not None)
    builder = _AlignedBuilder(data + 65536)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def unpack(model: bytes | mmap, what: str) -> Any:
    """Return the model object of a file, whose data stay views of it.

    :raises ModelError: if it is no .tflite file, or has more parts than any network.
    """
    if model[4:8] != IDENTIFIER:
        raise ModelError(f'{what} is not a .tflite file; prepare or export it again')
    root = schema().Model.GetRootAs(model)
    for part, count in _counts(root):
        if count > MOST[part]:
            raise ModelError(f'{what} has {count} {part}, more than {MOST[part]}; is it a network '
                             'of images?')
    return schema().ModelT.InitFromObj(root)


def _counts(root: Any) -> Iterator[tuple[str, int]]:
    """Yield how many there are of all that becomes objects: parts of a file may overlap."""
    yield 'subgraphs', root.SubgraphsLength()
    yield 'buffers', root.BuffersLength()
    yield 'external buffers', sum(getattr(root, f'External{part}Length', int)()  # newer schemas
                                  for part in ('BufferGroups', 'Buffers'))
    yield 'operator codes', root.OperatorCodesLength()
    yield 'records of metadata', root.MetadataLength()
    yield 'signatures', root.SignatureDefsLength()
    for signature in _each(root, 'SignatureDefs'):
        yield 'inputs of a signature', signature.InputsLength() + signature.OutputsLength()
    graphs = [*_each(root, 'Subgraphs')]
    yield 'operators', sum(graph.OperatorsLength() for graph in graphs)
    yield 'tensors', sum(graph.TensorsLength() for graph in graphs)
    for graph in graphs:
        for operator in _each(graph, 'Operators'):
            yield 'tensors of an operator', operator.InputsLength() + operator.OutputsLength()
        for tensor in _each(graph, 'Tensors'):
            yield 'dimensions', tensor.ShapeLength() + tensor.VariantTensorsLength()
            if (sparsity := tensor.Sparsity()) is not None:
                yield 'dimensions', sparsity.DimMetadataLength()
    for name in _names(root, graphs):
        yield 'characters in a name', len(name or b'')


def _names(root: Any, graphs: list[Any]) -> Iterator[bytes | None]:
    """Yield all strings of a file but its one description."""
    yield from (code.CustomCode() for code in _each(root, 'OperatorCodes'))
    yield from (record.Name() for record in _each(root, 'Metadata'))
    if hasattr(root, 'ExternalBufferGroups'):
        yield from (group.Name() for group in _each(root, 'ExternalBufferGroups'))
    for signature in _each(root, 'SignatureDefs'):
        yield signature.SignatureKey()
        yield from (end.Name() for ends in ('Inputs', 'Outputs') for end in _each(signature, ends))
    for graph in graphs:
        yield graph.Name()
        yield from (tensor.Name() for tensor in _each(graph, 'Tensors'))
        for operator in _each(graph, 'Operators'):
            yield from _names_in_options(operator)


def _names_in_options(operator: Any) -> Iterator[bytes | None]:
    for union, kind, fields in _NAMES_IN_OPTIONS:
        number = getattr(getattr(schema(), union), kind, None)
        if getattr(operator, f'{union}Type')() == number:
            table, options = getattr(operator, union)(), getattr(schema(), kind)()
            options.Init(table.Bytes, table.Pos)
            yield from (getattr(options, field)() for field in fields)


def _each(table: Any, field: str) -> Iterator[Any]:
    """Yield the elements of a vector of tables."""
    return map(getattr(table, field), range(getattr(table, f'{field}Length')()))


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn errors from broken bytes, here or in the generated reader, into a ModelError."""
    try:
        yield
    except OffloadError:
        raise
    except Exception as e:
        raise ModelError(BROKEN.format(what=what, why=f'{type(e).__name__}: {e}')) from e


def tensor_dtype(tensor: Any) -> str | None:
    """Return the numpy name of a tensor's elements, None for a type that cannot be sent."""
    types = schema().TensorType
    return next((dtype for name, dtype in _DTYPES.items() if getattr(types, name) == tensor.type),
                None)


@lru_cache(maxsize=1)
def operator_names() -> dict[int, str]:
    """Return the schema's names of the operators by their numbers."""
    return {v: k for k, v in vars(schema().BuiltinOperator).items() if isinstance(v, int)}


def operator_number(operator_code: Any) -> int:
    """Return the number of an operator; small ones are in a field of their own as well."""
    code: int = max(operator_code.builtinCode, operator_code.deprecatedBuiltinCode)
    return code


def text_of(name: bytes | str | None) -> str:
    """Return a name of the schema as text."""
    return name.decode(errors='replace') if isinstance(name, bytes) else str(name)
