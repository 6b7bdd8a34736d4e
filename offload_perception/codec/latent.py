"""Lossy: a learned bottleneck, rounded to coarse steps, with tables that were learned for it.

The network was trained with its latent rounded to steps of any width in a range (see
`training.bottleneck`), so that the step is its quality: the drone changes it from frame to frame
and loads nothing. A level is coded with a table that its channel and a prediction from its
neighbours to the left and above choose. Both ends need the same calibration of the model; the
first byte of the payload shows whether they have.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeGuard

import cv2
import numpy as np

from offload_perception.codec.adaptive import zero_of
from offload_perception.codec.container import Buffer, check_byte
from offload_perception.codec.features import above_lowest, is_feature_map, map_shape
from offload_perception.codec.layout import matrix_shape
from offload_perception.codec.rans import Prediction, Tables, decode_map, encode_map
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

STEPS = (8, 11, 16, 22, 32, 45, 64, 90)
MOST_CHANNELS, MOST_ROWS, MOST_WEIGHT = 64, 256, 1 << 15


@dataclass(frozen=True)
class LatentTables:
    """What was learned for one bottleneck of C channels.

    `weights`, int32 (C, 2), are those of the neighbours to the left and above, in 1/256. For each
    of `STEPS`: `rows`, uint8 (steps, C, 256), is the table for each eighth of a predicted level
    from 16 below zero to 16 above; `frequencies`, uint16 (steps, R, 256), are the tables.
    """

    weights: np.ndarray
    rows: np.ndarray
    frequencies: np.ndarray

    def __post_init__(self) -> None:
        channels, count = len(self.weights), self.frequencies.shape[1:2]
        shapes = (self.weights.shape, self.rows.shape, self.frequencies.shape)
        if (shapes != ((channels, 2), (len(STEPS), channels, 256), (len(STEPS), *count, 256))
                or self.weights.dtype != np.int32 or self.rows.dtype != np.uint8
                or self.frequencies.dtype != np.uint16 or not 0 < channels <= MOST_CHANNELS
                or self.weights.min() < -MOST_WEIGHT or self.weights.max() > MOST_WEIGHT
                or self.rows.max() >= self.frequencies.shape[1]):
            raise ValueError(f'tables of a bottleneck have the wrong shapes: {shapes}')

    @cached_property
    def check(self) -> int:
        """Return a byte that another calibration would hardly have."""
        return check_byte(self.weights, self.rows, self.frequencies)

    @cached_property
    def _tables(self) -> dict[int, Tables]:
        return {}

    def tables(self, step: int) -> Tables:
        """Return the tables for levels of a step."""
        if step not in self._tables:
            self._tables[step] = Tables.of(self.frequencies[STEPS.index(step)].astype(np.int64))
        return self._tables[step]

    def prediction(self, step: int, zero: int) -> Prediction:
        """Return what chooses the table of levels of a step, of which `zero` is that of zero."""
        return Prediction(self.weights, self.rows[STEPS.index(step)], zero)


@dataclass(frozen=True)
class Rounding:
    """The levels of a tensor whose zero is `zero` above the lowest number, in steps of `step`."""

    zero: int
    step: int

    @property
    def middle(self) -> int:
        """Return the level of zero, which is the number of levels below it."""
        return (2 * self.zero + self.step) // (2 * self.step)

    @cached_property
    def of_numbers(self) -> np.ndarray:
        """Return the level, uint8, of each of the 256 numbers above the lowest."""
        off = np.arange(256) - self.zero
        size = (2 * abs(off) + self.step) // (2 * self.step)
        levels: np.ndarray = (self.middle + np.sign(off) * size).astype(np.uint8)
        return levels

    @cached_property
    def numbers(self) -> np.ndarray:
        """Return the number above the lowest, uint8, that each level stands for; 256 entries."""
        return np.clip(self.zero + (np.arange(256) - self.middle) * self.step, 0, 255).astype(
            np.uint8)


rounding_for = lru_cache(64)(Rounding)


def is_latent(spec: TensorSpec) -> bool:
    """Return whether `spec` may be a bottleneck: a quantised H x W x C tensor of few channels."""
    return is_feature_map(spec) and spec.shape[-1] <= MOST_CHANNELS


def levels_of(q: np.ndarray, spec: TensorSpec, step: int) -> np.ndarray:
    """Return the levels of `q`, int8 or uint8 (H, W, C), as uint8 (H, W, C)."""
    rounding = rounding_for(zero_of(spec), step)
    of_bytes = rounding.of_numbers[above_lowest(np.arange(256, dtype=np.uint8).view(spec.dtype))]
    found = cv2.LUT(q.view(np.uint8).reshape(matrix_shape(q.shape)), of_bytes)
    return found.reshape(q.shape)


def encode_latent(q: np.ndarray, spec: TensorSpec, step: int,
                  tables: object) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (H, W, C)."""
    if not _fits(tables, spec, step):
        raise ConfigError(
            f'codec latent:{step} needs one of the steps {", ".join(map(str, STEPS))} and the cut '
            'of a learned bottleneck, which train_bottleneck makes')
    prediction = tables.prediction(step, rounding_for(zero_of(spec), step).middle)
    return [bytes((tables.check,)),
            encode_map(levels_of(q, spec, step), tables.tables(step), prediction)]


def decode_latent(payload: memoryview, spec: TensorSpec, step: int, tables: object) -> np.ndarray:
    """Return a tensor like `spec`, as a new array: each element a multiple of the step."""
    if not _fits(tables, spec, step) or not payload or payload[0] != tables.check:
        raise DecodeError(f'latent:{step} of a {spec.shape} tensor was encoded with another '
                          'calibration of the model; use one prepared model folder on drone and '
                          'server')
    rounding = rounding_for(zero_of(spec), step)
    levels = decode_map(payload[1:], map_shape(spec.shape), tables.tables(step),
                        tables.prediction(step, rounding.middle))
    bytes_of = rounding.numbers ^ np.uint8(0x80 if spec.dtype == 'int8' else 0)
    numbers = cv2.LUT(levels.reshape(matrix_shape(spec.shape)), bytes_of)
    return numbers.reshape(spec.shape).view(spec.dtype)


def _fits(tables: object, spec: TensorSpec, step: int) -> TypeGuard[LatentTables]:
    return (isinstance(tables, LatentTables) and len(tables.weights) == spec.shape[-1]
            and step in STEPS)
