"""Lossy: clip, re-quantise to 1 to 7 bits, code like `rans` or, below zero too, like `adaptive`.

After Cohen, Choi and Bajic, "Lightweight compression of intermediate neural network features
for collaborative intelligence" (2021, arXiv 2105.07102): most of an activation's range is
hardly used and a network bears coarse activations, so a clip and a few levels cost little
accuracy. One step serves the whole tensor: equal error in all channels asks for equal steps.
Zero stays exactly zero.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from offload_perception.codec import adaptive, rans
from offload_perception.codec.adaptive import zero_of
from offload_perception.codec.container import Buffer
from offload_perception.codec.features import (
    above_lowest,
    is_feature_map,
    map_shape,
    planes_shape,
    to_planes,
)
from offload_perception.codec.layout import channels_last, matrix_shape
from offload_perception.tensor import TensorSpec

BITS = range(1, 8)


def is_rectified(spec: TensorSpec) -> bool:
    """Return whether `spec` is a quantised H x W x C tensor after a ReLU: nothing below zero."""
    return is_feature_map(spec) and zero_of(spec) == 0


@dataclass(frozen=True)
class Levels:
    """The levels of a tensor whose zero is `zero` steps above the lowest, 0 to 255.

    There are 2**bits of them from zero up to `clip` steps above it; if there are steps below
    zero, too, as many on each side of it, and one less in all (but three for one bit).
    """

    zero: int
    bits: int
    clip: int

    @property
    def top(self) -> int:
        """Return the number of levels above zero."""
        return max((1 << self.bits - (self.zero > 0)) - 1, 1)

    @property
    def middle(self) -> int:
        """Return the level of zero, which is the number of levels below it."""
        return self.top if self.zero else 0

    @cached_property
    def of_steps(self) -> np.ndarray:
        """Return the level, uint8, of each of the 256 steps above the lowest."""
        off = np.arange(256) - self.zero
        size = (2 * np.minimum(abs(off), self.clip) * self.top + self.clip) // (2 * self.clip)
        levels: np.ndarray = (self.middle + np.sign(off) * size).astype(np.uint8)
        return levels

    @cached_property
    def steps(self) -> np.ndarray:
        """Return the step above the lowest, uint8, that each level stands for; 256 entries."""
        off = np.clip(np.arange(256) - self.middle, -self.top, self.top)
        size = (2 * abs(off) * self.clip + self.top) // (2 * self.top)
        return np.clip(self.zero + np.sign(off) * size, 0, 255).astype(np.uint8)

    def encode(self, levels: np.ndarray) -> np.ndarray:
        """Return the stream of levels, uint8 (H, W, C)."""
        if self.zero:
            return adaptive.encode_planes(to_planes(levels), self.middle, 2 * self.top + 1)
        return rans.encode_map(levels, rans.tables_for(self.bits))

    def decode(self, stream: memoryview, shape: tuple[int, ...]) -> np.ndarray:
        """Return the levels in a stream, uint8 `shape`, (H, W, C); raises DecodeError."""
        if self.zero:
            planes = adaptive.decode_planes(stream, planes_shape(shape), self.middle,
                                            2 * self.top + 1)
            return channels_last(planes, shape)
        return rans.decode_map(stream, map_shape(shape), rans.tables_for(self.bits))


levels_for = lru_cache(64)(Levels)


def encode_lossy(q: np.ndarray, spec: TensorSpec, bits: int, clip: int) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (H, W, C), cut off `clip` steps from zero."""
    levels = levels_for(zero_of(spec), bits, clip)
    of_bytes = levels.of_steps[above_lowest(np.arange(256, dtype=np.uint8).view(spec.dtype))]
    found = cv2.LUT(q.view(np.uint8).reshape(matrix_shape(q.shape)), of_bytes)
    return [levels.encode(found.reshape(q.shape))]


def decode_lossy(payload: memoryview, spec: TensorSpec, bits: int, clip: int) -> np.ndarray:
    """Return a tensor like `spec`, as a new array: each element the middle of its level."""
    levels = levels_for(zero_of(spec), bits, clip)
    found = levels.decode(payload, spec.shape)
    bytes_of = levels.steps ^ np.uint8(0x80 if spec.dtype == 'int8' else 0)
    numbers = cv2.LUT(found.reshape(matrix_shape(spec.shape)), bytes_of)
    return numbers.reshape(spec.shape).view(spec.dtype)
