"""Lossless: a quantised tensor through the entropy coder in `adaptive.c`, which learns as it goes.

It knows nothing of the tensor beforehand but its zero point, and takes activations of either sign.
It makes smaller streams than `rans` and takes six times as long.
"""

from functools import cache

import numpy as np

from offload_perception.codec.container import Buffer
from offload_perception.codec.features import (
    above_lowest,
    from_lowest,
    planes_shape,
    to_planes,
)
from offload_perception.codec.layout import channels_last
from offload_perception.codec.native import at, library, scratch
from offload_perception.errors import DecodeError
from offload_perception.tensor import TensorSpec

_CURVE_STEPS, _EXP_STEP = 353, 0.96923323447634407  # exp(-1/32)
_WIDTH_CLASSES, _MEAN_BY_WIDTH = 104, 1.3862943611198906  # 2 ln 2: mean absolute value by scale
_RECIPROCALS, _ROWS, _SPARE_BYTES = 256, 4, 16


def encode_adaptive(q: np.ndarray, spec: TensorSpec) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (..., C)."""
    return [encode_planes(to_planes(above_lowest(q)), zero_of(spec))]


def decode_adaptive(payload: memoryview, spec: TensorSpec) -> np.ndarray:
    """Return the tensor of the payload as a new array."""
    planes = decode_planes(payload, planes_shape(spec.shape), zero_of(spec))
    return from_lowest(channels_last(planes, spec.shape), spec.dtype)


def zero_of(spec: TensorSpec) -> int:
    """Return the step that stands for zero, 0 to 255."""
    return min(max(spec.zero_point - int(np.iinfo(spec.dtype).min), 0), 255)


def encode_planes(planes: np.ndarray, zero: int, symbols: int = 256) -> np.ndarray:
    """Return the stream of `planes`, contiguous uint8 (C, H, W) of values below `symbols`."""
    work_bytes = 4 * (planes.size + _learned(planes.shape))
    memory = scratch(work_bytes + 2 * planes.size + _SPARE_BYTES)
    work, out = memory[:work_bytes], memory[work_bytes:]
    unused = library().offload_adaptive_encode(
        at(planes), *planes.shape, symbols, zero, *map(at, _tables()), at(work), at(out))
    return out[unused:].copy()


def decode_planes(stream: memoryview, shape: tuple[int, int, int], zero: int,
                  symbols: int = 256) -> np.ndarray:
    """Return the planes of `shape` that `encode_planes` was given, as a new array.

    :raises DecodeError: for a broken stream.
    """
    planes, data = np.empty(shape, np.uint8), np.frombuffer(stream, np.uint8)
    work = scratch(4 * _learned(shape))
    if library().offload_adaptive_decode(
            at(data), data.size, at(planes), *shape, symbols, zero, *map(at, _tables()),
            at(work)):
        raise DecodeError(f'the {data.size} bytes of entropy code end at the wrong place')
    return planes


def _learned(shape: tuple[int, ...]) -> int:
    """Return how many numbers the coder keeps by row and by place."""
    return (_ROWS + shape[1]) * shape[2]


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logistic curve, its steepness for each class of widths, and reciprocals.

    Only operations that IEEE 754 rounds in one way are used: every machine gets the same.
    """
    right, power = [], 1.0
    for _ in range(_CURVE_STEPS + 1):
        right.append(1.0 / (1.0 + power))
        power *= _EXP_STEP
    whole = [*(1.0 - r for r in right[:0:-1]), *right]
    curve = np.array([int(r * 32768 + 0.5) for r in whole], np.uint16)
    widths = [(8 + i % 8 + 0.5) * 2.0 ** (1 + i // 8) for i in range(_WIDTH_CLASSES)]
    steepness = np.array([int(32 * _MEAN_BY_WIDTH * 65536 / w + 0.5) for w in widths], np.uint32)
    reciprocal = np.array([0, *(65536 // n for n in range(1, _RECIPROCALS))], np.uint32)
    return curve, steepness, reciprocal
