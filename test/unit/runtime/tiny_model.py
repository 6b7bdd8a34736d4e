"""A tiny VGG-like int8 network with random weights, written through the TFLite schema."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from offload_perception.network.artefact import Artefact
from offload_perception.network.flatbuffer import schema
from offload_perception.network.layer_cuts import named_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.network.pixels import PixelInput
from offload_perception.preparation.cutting import write_segments

NAMES = ['conv1', 'pool1', 'conv2', 'pool2', 'fc1', 'predictions']
SIZE, CHANNELS, UNITS = 16, (8, 16), (32, 8)
S = schema()
TYPES = {np.dtype(np.uint8): S.TensorType.UINT8, np.dtype(np.int8): S.TensorType.INT8,
         np.dtype(np.int32): S.TensorType.INT32}


class FileBuilder:
    """Collects tensors and operators, each fed by the one before."""

    def __init__(self) -> None:
        self.model, self.graph = S.ModelT(), S.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [S.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, shape: tuple[int, ...], dtype: type[Any] | str,
               scale: np.ndarray | float | None = None, zero_point: int = 0,
               data: np.ndarray | list[int] | None = None) -> int:
        t, t.quantization = S.TensorT(), S.QuantizationParametersT()
        t.shape, t.type = list(shape), TYPES[np.dtype(dtype)]
        t.name = f't{len(self.graph.tensors)}'
        if scale is not None:
            t.quantization.scale = np.atleast_1d(scale).astype(np.float32)
            t.quantization.zeroPoint = np.full(t.quantization.scale.size, zero_point)
        if data is not None:
            t.buffer, buffer = len(self.model.buffers), S.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def operator(self, code: int, inputs: list[int], outputs: list[int], options: Any = None,
                 custom: str | None = None) -> None:
        op, op_code = S.OperatorT(), S.OperatorCodeT()
        op_code.builtinCode, op_code.version, op_code.customCode = code, 1, custom
        op_code.deprecatedBuiltinCode = min(code, 127)
        op.opcodeIndex, op.inputs, op.outputs = len(self.model.operatorCodes), inputs, outputs
        if options is not None:
            name = type(options).__name__.removesuffix('T')
            op.builtinOptionsType = getattr(S.BuiltinOptions, name)
            op.builtinOptions = options
        self.model.operatorCodes.append(op_code)
        self.graph.operators.append(op)

    def bytes(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b'TFL3')
        return bytes(builder.Output())


def build_file(weight_bits: int = 7, seed: int = 0) -> bytes:
    """Return the network; weights fill the given number of bits."""
    f, rng, size = FileBuilder(), np.random.default_rng(seed), SIZE
    limit = 2 ** (weight_bits - 1) - 1
    first = f.tensor((1, size, size, 3), np.uint8, 1.0, 0)
    x, scale, zero = f.tensor((1, size, size, 3), np.int8, 1.0, -128), 1.0, -128
    f.operator(S.BuiltinOperator.QUANTIZE, [first], [x], S.QuantizeOptionsT())
    fan_in = 3

    def weights(shape: Any, gain: Any) -> Any:
        w = f.tensor(shape, np.int8, np.full(shape[0], gain),
                     data=rng.integers(-limit, limit + 1, shape))
        b = f.tensor((shape[0],), np.int32, np.full(shape[0], gain * scale),
                     data=rng.integers(-500, 500, shape[0]))
        return [w, b]

    for channels in CHANNELS:
        gain = 1.5 / (limit * (9 * fan_in) ** 0.5)
        y = f.tensor((1, size, size, channels), np.int8, scale, -128)
        options = S.Conv2DOptionsT()
        options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = S.ActivationFunctionType.RELU
        inputs = [x, *weights((channels, 3, 3, fan_in), gain)]
        f.operator(S.BuiltinOperator.CONV_2D, inputs, [y], options)
        size, fan_in = size // 2, channels
        x = f.tensor((1, size, size, channels), np.int8, scale, -128)
        pool = S.Pool2DOptionsT()
        pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = 2
        f.operator(S.BuiltinOperator.MAX_POOL_2D, [y], [x], pool)
    flat = size * size * fan_in
    y = f.tensor((1, flat), np.int8, scale, zero)
    shape = f.tensor((2,), np.int32, data=[1, flat])
    f.operator(S.BuiltinOperator.RESHAPE, [x, shape], [y], S.ReshapeOptionsT())
    for units in UNITS:
        inputs = [y, *weights((units, flat), 1.5 / (limit * flat ** 0.5))]
        x, y, flat = y, f.tensor((1, units), np.int8, scale, zero), units
        f.operator(S.BuiltinOperator.FULLY_CONNECTED, inputs, [y], S.FullyConnectedOptionsT())
    return f.bytes([first], [y])


def build_artefact(folder: Path, weight_bits: int = 7) -> Artefact:
    """Write the network as a prepared model and return it."""
    model = build_file(weight_bits)
    graph = Graph(model)
    artefact = write_segments(
        graph, named_layers(graph, NAMES), folder, model,
        pixels=PixelInput(graph.spec(graph.inputs[0])), name='tiny', weights='random',
        trained=False, labels=())
    artefact.save_manifest()
    return artefact


def image(seed: int = 1) -> np.ndarray:
    """Return an image of noise for the network."""
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
