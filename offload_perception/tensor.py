"""What a tensor looks like from outside: shape, element type and quantisation."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

DTYPES = ('float32', 'float16', 'int8', 'uint8', 'int16', 'int32', 'int64', 'bool')
"""The numpy names of elements that can be sent."""

Tensors = tuple[np.ndarray, ...]
"""The tensors that cross a cut, in the order in which the network makes them; mostly one."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape and number format of a tensor at a cut.

    `shape` leaves the batch dimension out: `(H, W, C)` or `(C,)`. `dtype` is a numpy name, as
    `int8`, `uint8` or `float32`. A quantised element `q` stands for the real number
    `scale * (q - zero_point)`; tensors that are not quantised have scale 1 and zero point 0.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float = 1.0
    zero_point: int = 0

    @cached_property
    def size(self) -> int:
        """Return the number of elements."""
        return prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        """Return the size of the uncompressed tensor in bytes."""
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def quantised(self) -> bool:
        """Return whether `dequantise` changes the numbers."""
        return self.dtype in ('int8', 'uint8', 'int16')

    def dequantise(self, q: np.ndarray) -> np.ndarray:
        """Return `q` as float32 real numbers; what is not quantised stays as it is."""
        if not self.quantised:
            return q
        return (q.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {**asdict(self), 'shape': list(self.shape)}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> 'TensorSpec':
        """Return the spec that `to_dict` described."""
        return cls(**{**d, 'shape': tuple(d['shape'])})


def total_bytes(specs: Iterable[TensorSpec]) -> int:
    """Return the size of several uncompressed tensors in bytes."""
    return sum(spec.nbytes for spec in specs)
