"""Lossy: clip, re-quantise to 1 to 7 bits, code like `features`.

After Cohen, Choi and Bajic, "Lightweight compression of intermediate neural network features
for collaborative intelligence" (2021, arXiv 2105.07102): most of an activation's range is
hardly used and a network bears coarse activations, so a clip and a few levels cost little
accuracy. One step serves the whole tensor: equal error in all channels asks for equal steps.
Zero stays exactly zero.
"""

from functools import lru_cache

import cv2
import numpy as np

from offload_perception.codec.container import Buffer
from offload_perception.codec.features import (
    above_lowest,
    is_feature_map,
    planes_shape,
    to_planes,
)
from offload_perception.codec.layout import channels_last, matrix_shape
from offload_perception.codec.rans import decode_planes, encode_planes, tables_for
from offload_perception.tensor import TensorSpec

BITS = range(1, 8)


def is_rectified(spec: TensorSpec) -> bool:
    """Return whether `spec` is a quantised H x W x C tensor after a ReLU: nothing below zero."""
    return is_feature_map(spec) and spec.zero_point == np.iinfo(spec.dtype).min


def encode_lossy(q: np.ndarray, spec: TensorSpec, bits: int, clip: int) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (H, W, C), cut off `clip` steps above zero."""
    levels = cv2.LUT(q.view(np.uint8).reshape(matrix_shape(q.shape)),
                     _level_of_byte(spec.dtype, bits, clip))
    return [encode_planes(to_planes(levels.reshape(q.shape)), tables_for(bits))]


def decode_lossy(payload: memoryview, spec: TensorSpec, bits: int, clip: int) -> np.ndarray:
    """Return a tensor like `spec`, as a new array: each element the middle of its level."""
    planes = decode_planes(payload, planes_shape(spec.shape), tables_for(bits))
    numbers = cv2.LUT(channels_last(planes, matrix_shape(spec.shape)),
                      _byte_of_level(spec.dtype, bits, clip))
    return numbers.reshape(spec.shape).view(spec.dtype)


def level_of_step(bits: int, clip: int) -> np.ndarray:
    """Return the level, uint8, of each of the 256 steps above zero."""
    top, steps = (1 << bits) - 1, np.arange(256)
    return ((2 * np.minimum(steps, clip) * top + clip) // (2 * clip)).astype(np.uint8)


def step_of_level(bits: int, clip: int) -> np.ndarray:
    """Return the step above zero, uint8, that each level stands for; 256 entries."""
    top, levels = (1 << bits) - 1, np.arange(256)
    return ((2 * np.minimum(levels, top) * clip + top) // (2 * top)).astype(np.uint8)


@lru_cache(64)
def _level_of_byte(dtype: str, bits: int, clip: int) -> np.ndarray:
    steps = above_lowest(np.arange(256, dtype=np.uint8).view(dtype))
    levels: np.ndarray = level_of_step(bits, clip)[steps]
    return levels


@lru_cache(64)
def _byte_of_level(dtype: str, bits: int, clip: int) -> np.ndarray:
    return step_of_level(bits, clip) ^ np.uint8(0x80 if dtype == 'int8' else 0)
