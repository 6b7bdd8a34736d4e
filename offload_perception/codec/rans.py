"""The entropy coder in `rans.c`, and its tables.

`tables.npz` has frequencies for planes of 1 to 8 bits (8: activations as they are), learned
from activations after ReLUs by `cli/train_tables.py`: a row for each context, which the
coder takes from the neighbours to the left and above, and from the mean of the channel so far.
They know nothing of a model, so that a stream needs nothing beside it.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from offload_perception.codec.native import at, library
from offload_perception.errors import DecodeError

FILE = Path(__file__).with_name('tables.npz')
TOTAL, RATIOS = 1 << 15, 6  # as in rans.c
CLASSES = np.array([  # upper ends of the magnitude classes, in steps
    .1, .4, .8, 1.2, 1.7, 2.3, 3, 4, 5, 6.5, 8, 10, 12.5, 15.5, 19, 23, 28, 34, 41, 50, 60, 72,
    86, 103, 125, 150])
ROWS = (len(CLASSES) + 1) * RATIOS
_CLASS_OF_EIGHTHS = np.searchsorted(CLASSES, np.arange(2048) / 8).astype(np.uint8)
_SPARE_BYTES = 16


@dataclass(frozen=True)
class Tables:
    """Frequencies as the coder takes them: `start` uint16 (rows, 257), `bucket` uint8 (rows, 256).

    A row of `start` is cumulative, from 0 to 2**15, and no symbol in it is impossible.
    """

    start: np.ndarray
    bucket: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray) -> 'Tables':
        """Return the tables for `weights`, integers (rows, 256) from zero up.

        :raises ValueError: if the largest of a row cannot give what the others need.
        """
        whole = weights.sum(1, dtype=np.int64)[:, None]
        frequency = 1 + weights * (TOTAL - 256) // np.maximum(whole, 1)
        rows = np.arange(len(frequency))
        frequency[rows, frequency.argmax(1)] += TOTAL - frequency.sum(1)
        start = np.zeros((len(frequency), 257), np.uint16)
        start[:, 1:] = frequency.cumsum(1)
        edges = np.arange(0, TOTAL, TOTAL // 256)
        bucket = np.stack([row.searchsorted(edges, 'right') - 1 for row in start])
        return cls(start, bucket.astype(np.uint8))


@lru_cache(8)
def tables_for(bits: int) -> Tables:
    """Return the tables for planes whose elements have `bits` bits."""
    with np.load(FILE) as file:
        narrow = file[f'bits{bits}']
    weights = np.zeros((len(narrow), 256), np.int64)
    weights[:, :narrow.shape[1]] = narrow
    return Tables.of(weights)


def contexts(planes: np.ndarray) -> np.ndarray:
    """Return the row of the tables for each element of `planes`, uint8 (C, H, W)."""
    rows = np.empty(planes.shape, np.uint8)
    library().offload_contexts(
        at(planes), *planes.shape, at(_CLASS_OF_EIGHTHS), at(rows))
    return rows


def encode_planes(planes: np.ndarray, tables: Tables,
                  rows: np.ndarray | None = None) -> np.ndarray:
    """Return the stream of `planes`, contiguous uint8 (C, H, W).

    :param rows: the row of each channel, uint8 (C,), or of each element, (C, H, W); without it
        the neighbours choose.
    """
    chosen = contexts(planes) if rows is None else rows
    out = np.empty(2 * planes.size + _SPARE_BYTES, np.uint8)
    channels, height, width = planes.shape
    unused = library().offload_encode(
        at(planes), channels, height * width, at(chosen), chosen.ndim == 1,
        at(tables.start), at(out))
    return out[unused:]


def decode_planes(stream: memoryview, shape: tuple[int, int, int], tables: Tables,
                  rows: np.ndarray | None = None) -> np.ndarray:
    """Return the planes of `shape` that `encode_planes` was given, as a new array.

    :raises DecodeError: for a broken stream.
    """
    planes, data = np.empty(shape, np.uint8), np.frombuffer(stream, np.uint8)
    if library().offload_decode(
            at(data), data.size, at(planes), *shape, None if rows is None else at(rows),
            at(tables.start), at(tables.bucket), at(_CLASS_OF_EIGHTHS)):
        raise DecodeError(f'the {data.size} bytes of entropy code end at the wrong place')
    return planes
