"""Lossy: clip, re-quantise to 1 to 7 bits, pack neighbours into bytes, code like `planes`.

After Cohen, Choi and Bajic, "Lightweight compression of intermediate neural network features
for collaborative intelligence" (2021, arXiv 2105.07102): most of an activation's range is
hardly used and a network bears coarse activations, so a clip and a few levels cost little
accuracy. One step serves the whole tensor: equal error in all channels asks for equal steps.
Zero stays exactly zero.

Payload: the group of each channel (4 bits each), then the packed planes, compressed. With
several elements in a byte, a Huffman code spends less than a bit on one and sees its neighbours.
"""

from functools import lru_cache

import cv2
import numpy as np

from offload_perception.codec.blocks import block_count, compress, decompress, shares
from offload_perception.codec.container import Buffer
from offload_perception.codec.layout import channels_first, channels_last, matrix_shape
from offload_perception.codec.planes import (
    above_lowest,
    channel_groups,
    channel_order,
    is_feature_map,
    pack_groups,
    unpack_groups,
)
from offload_perception.tensor import TensorSpec

BITS = range(1, 8)
_SLOT_BITS = {1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8}  # room for one element in a packed byte


def is_rectified(spec: TensorSpec) -> bool:
    """Tell whether `spec` is a quantised H x W x C tensor behind a ReLU: nothing below zero."""
    return is_feature_map(spec) and spec.zero_point == np.iinfo(spec.dtype).min


def encode_lossy(q: np.ndarray, spec: TensorSpec, bits: int, clip: int) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (H, W, C), cut off `clip` steps above zero."""
    levels = cv2.LUT(q.view(np.uint8).reshape(matrix_shape(q.shape)),
                     _level_of_byte(spec.dtype, bits, clip))
    planes = channels_first(levels)
    nbytes = _packed_bytes(q.size, bits)
    groups = channel_groups(planes, block_count(nbytes))
    packed = _pack(planes[channel_order(groups)].reshape(-1), _SLOT_BITS[bits])
    return [pack_groups(groups, block_count(nbytes)), *compress(shares(packed), nbytes)]


def decode_lossy(payload: memoryview, spec: TensorSpec, bits: int, clip: int) -> np.ndarray:
    """Return a tensor like `spec`, as a new array: each element the middle of its level."""
    positions, channels = matrix_shape(spec.shape)
    nbytes = _packed_bytes(spec.size, bits)
    groups, stream = unpack_groups(payload, channels, block_count(nbytes))
    ordered = _unpack(decompress(stream, nbytes), _SLOT_BITS[bits], spec.size)
    planes = np.empty((channels, positions), np.uint8)
    planes[channel_order(groups)] = ordered.reshape(planes.shape)
    numbers = cv2.LUT(channels_last(planes, (positions, channels)),
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
    return level_of_step(bits, clip)[above_lowest(np.arange(256, dtype=np.uint8).view(dtype))]


@lru_cache(64)
def _byte_of_level(dtype: str, bits: int, clip: int) -> np.ndarray:
    return step_of_level(bits, clip) ^ np.uint8(0x80 if dtype == 'int8' else 0)


def _packed_bytes(size: int, bits: int) -> int:
    return -(-size * _SLOT_BITS[bits] // 8)


def _pack(levels: np.ndarray, slot_bits: int) -> np.ndarray:
    """Return `levels`, uint8 (n,), with as many in a byte as have room, the first lowest."""
    slots = 8 // slot_bits
    if slots == 1:
        return levels
    padded = np.append(levels, np.zeros(-levels.size % slots, np.uint8))
    packed = padded[::slots].copy()
    for i in range(1, slots):
        packed |= padded[i::slots] << np.uint8(i * slot_bits)
    return packed


def _unpack(packed: np.ndarray, slot_bits: int, size: int) -> np.ndarray:
    """Return the `size` levels that `_pack` put into bytes."""
    slots = 8 // slot_bits
    levels = np.empty((packed.size, slots), np.uint8)
    for i in range(slots):
        np.bitwise_and(packed >> np.uint8(i * slot_bits), (1 << slot_bits) - 1, out=levels[:, i])
    return levels.reshape(-1)[:size]
