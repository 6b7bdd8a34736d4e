"""Lossy: a calibrated linear transform of blocks, coarse steps, one table for each component.

The tensor is cut into blocks of positions with all their channels. Their components, uncorrelated
and scaled by how much the class depends on them (`fit`), are rounded to multiples of one step,
more often to zero than nearest would, and coded by tables for the spread of each. Both ends need
the same calibration of the model; the first byte of the payload shows whether they have.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from offload_perception.codec.container import Buffer, check_byte
from offload_perception.codec.features import above_lowest, from_lowest
from offload_perception.codec.rans import Tables, decode_map, encode_map
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

STEPS = (8, 11, 16, 22, 32, 45, 64, 90)
NEVER = 255  # the row of digits that are always zero, and are left out
_ROUND_UP, _SHIFT = 0.4, 0.1  # from 0.6 of a step on a level is used, and stands for 0.1 more
_SYMBOLS = 256
# The tables: each share of levels other than zero, with each mean of such levels' size.
SHARES = tuple(0.002 * 1.8 ** i for i in range(20))  # as odds
SIZES = (1.03, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 9.0, 17.0, 40.0)


@dataclass(frozen=True)
class Basis:
    """The transform of one cut; a block has d = side * side * C elements and k components.

    `mean` float32 (d,), `forward` (d, k), `inverse` (k, d); for each of `STEPS` the mean that
    makes what is decoded right on average, `offsets` (steps, d), and the table of each digit,
    `rows` uint8 (steps, 2 k): the low digits of all components, then the high ones.
    """

    side: int
    mean: np.ndarray
    forward: np.ndarray
    inverse: np.ndarray
    offsets: np.ndarray
    rows: np.ndarray

    def __post_init__(self) -> None:
        d, k = self.mean.size, len(self.inverse)
        numbers = self.mean, self.forward, self.inverse, self.offsets
        shapes = tuple(a.shape for a in (*numbers, self.rows))
        if (shapes != ((d,), (d, k), (k, d), (len(STEPS), d), (len(STEPS), 2 * k))
                or any(a.dtype != np.float32 for a in numbers) or self.rows.dtype != np.uint8
                or self.side < 1 or not d or d % self.side ** 2
                or not all(np.isfinite(a).all() for a in numbers)
                or self.rows[self.rows != NEVER].max(initial=0) >= len(SHARES) * len(SIZES)):
            raise ValueError(f'a transform has the wrong shapes or numbers: {shapes}')

    @cached_property
    def check(self) -> int:
        """Return a byte that another calibration would hardly have."""
        return check_byte(self.mean, self.forward, self.inverse, self.offsets, self.rows)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether this is a basis for tensors of `shape`."""
        height, width, channels = shape
        return (not height % self.side and not width % self.side
                and self.side ** 2 * channels == len(self.mean))


def encode_transform(q: np.ndarray, spec: TensorSpec, step: int,
                     basis: object) -> list[Buffer]:
    """Return the payload of `q`, int8 or uint8 (H, W, C)."""
    if not isinstance(basis, Basis) or not basis.fits(spec.shape) or step not in STEPS:
        raise ConfigError(
            f'codec transform:{step} needs one of the steps {", ".join(map(str, STEPS))} and a '
            'cut that measure_codecs calibrated: one after a pooling layer')
    rows = basis.rows[STEPS.index(step)]
    components = (blocks(above_lowest(q), basis.side) - basis.mean) @ basis.forward
    used = rows != NEVER
    found = digits(levels_of(components, step), used[len(basis.inverse):])[:, used]
    symbols = (found << 1 ^ found >> 15).astype(np.uint8)  # zigzag: 0, -1, 1, -2, ...
    return [bytes((basis.check,)),
            encode_map(np.ascontiguousarray(symbols[None]), tables(), rows[used])]


def decode_transform(payload: memoryview, spec: TensorSpec, step: int,
                     basis: object) -> np.ndarray:
    """Return a tensor like `spec`, as a new array."""
    if (not isinstance(basis, Basis) or not basis.fits(spec.shape) or step not in STEPS
            or not payload or payload[0] != basis.check):
        raise DecodeError(f'transform:{step} of a {spec.shape} tensor was encoded with another '
                          'calibration of the model; use one prepared model folder on drone and '
                          'server')
    row = STEPS.index(step)
    used = basis.rows[row] != NEVER
    count = spec.size // len(basis.mean)
    shape = (1, count, int(used.sum()))
    symbols = decode_map(payload[1:], shape, tables(), basis.rows[row][used])[0]
    found = np.zeros((count, len(used)), np.int16)
    found[:, used] = (symbols >> 1).astype(np.int16) ^ -(symbols & 1).astype(np.int16)
    low, high = np.hsplit(found, 2)
    steps = restored(low + 256 * high, step) @ basis.inverse + basis.offsets[row]
    return from_lowest(unblocked(to_steps(steps), spec.shape, basis.side), spec.dtype)


def levels_of(components: np.ndarray, step: float) -> np.ndarray:
    """Return the levels, int16, of components."""
    sizes = np.minimum(np.floor(np.abs(components) / step + _ROUND_UP), 32_000)
    levels: np.ndarray = (np.sign(components) * sizes).astype(np.int16)
    return levels


def digits(levels: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return `levels`, int16 (n, k), as (n, 2 k): low digits, -128 to 127, and those of 256.

    If `high` is False, (k,), there is no high digit, and larger levels are clipped.
    """
    levels = np.where(high, levels, levels.clip(-128, 127))
    upper = levels + 128 >> 8
    return np.hstack((levels - 256 * upper, upper)).astype(np.int16)


def restored(levels: np.ndarray, step: float) -> np.ndarray:
    """Return the components, float32, that levels stand for."""
    components: np.ndarray = (levels + np.float32(_SHIFT) * np.sign(levels)) * np.float32(step)
    return components


def to_steps(values: np.ndarray) -> np.ndarray:
    """Return values rounded and clipped to uint8."""
    steps: np.ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return steps


def blocks(steps: np.ndarray, side: int) -> np.ndarray:
    """Return the blocks of `steps`, uint8 (H, W, C), as (blocks, side * side * C) float32."""
    height, width, channels = steps.shape
    grid = steps.reshape(height // side, side, width // side, side, channels)
    return grid.swapaxes(1, 2).reshape(-1, side * side * channels).astype(np.float32)


def unblocked(rows: np.ndarray, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Return the tensor of `shape` whose blocks are `rows`."""
    height, width, channels = shape
    grid = rows.reshape(height // side, width // side, side, side, channels)
    return np.ascontiguousarray(grid.swapaxes(1, 2)).reshape(shape)


@cache
def tables() -> Tables:
    """Return a table for each of `SHARES` and `SIZES`, the latter counting faster.

    Only operations that IEEE 754 rounds in one way are used: every machine gets the same.
    """
    weights = np.zeros((len(SHARES) * len(SIZES), _SYMBOLS), np.int64)
    odds, row = 0.002, 0
    for _ in SHARES:
        share = odds / (1.0 + odds)
        for size in SIZES:
            weights[row, 0] = int((1.0 - share) * 2**31)
            of_level = share / size / 2.0 * 2**31  # sizes are geometric: mean 1 / (1 - ratio)
            for level in range(1, _SYMBOLS // 2):
                weights[row, [2 * level - 1, 2 * level]] = int(of_level)
                of_level *= 1.0 - 1.0 / size
            row += 1
        odds *= 1.8
    return Tables.of(weights)
