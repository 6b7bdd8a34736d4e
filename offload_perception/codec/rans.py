"""The entropy coder in `rans.c`, and its tables.

`tables.npz` has frequencies for elements of 1 to 8 bits (8: activations as they are), learned
from activations after ReLUs by `cli/train_tables.py`: a row for each context, which the
coder takes from the neighbours to the left and above, and from the mean of the channel so far.
They know nothing of a model, so that a stream needs nothing beside it.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np

from offload_perception.codec.native import at, library, scratch
from offload_perception.errors import DecodeError

FILE = Path(__file__).with_name('tables.npz')
TOTAL, RATIOS, GROUP = 1 << 15, 6, 32  # as in rans.c
CLASSES = np.array([  # upper ends of the magnitude classes, in steps
    .1, .4, .8, 1.2, 1.7, 2.3, 3, 4, 5, 6.5, 8, 10, 12.5, 15.5, 19, 23, 28, 34, 41, 50, 60, 72,
    86, 103, 125, 150])
ROWS = (len(CLASSES) + 1) * RATIOS
_FIRST_ROW_OF_EIGHTHS = (RATIOS * np.searchsorted(CLASSES, np.arange(2048) / 8)).astype(np.uint8)
_SPARE_BYTES = 4 * GROUP


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
    """Return the tables for elements of `bits` bits."""
    with np.load(FILE) as file:
        narrow = file[f'bits{bits}']
    weights = np.zeros((len(narrow), 256), np.int64)
    weights[:, :narrow.shape[1]] = narrow
    return Tables.of(weights)


@dataclass(frozen=True)
class Prediction:
    """How neighbours choose the row of an element in channel c.

    `weights`, int32 (C, 2) of at most 2**15, are those of the elements to the left and above, in
    1/256; `rows`, uint8 (C, 256), has the row for each eighth of the predicted level from 16
    below the level `zero` to 16 above it.
    """

    weights: np.ndarray
    rows: np.ndarray
    zero: int


Chosen = np.ndarray | Prediction | None
"""What chooses rows: uint8 (C,), one for each channel; a prediction; None for the neighbours."""


def contexts(elements: np.ndarray) -> np.ndarray:
    """Return the row that neighbours choose for each of `elements`, uint8 (H, W, C)."""
    rows = np.empty(elements.shape, np.uint8)
    work = scratch(_work_bytes(elements.shape))
    library().offload_tables(at(elements), *_size(elements.shape), at(_FIRST_ROW_OF_EIGHTHS),
                             at(work), at(rows))
    return rows


def encode_map(elements: np.ndarray, tables: Tables, chosen: Chosen = None) -> np.ndarray:
    """Return the stream of `elements`, contiguous uint8 (H, W, C).

    It is never longer than they are: if it were, they are returned as they are.
    """
    work_bytes, room = _work_bytes(elements.shape), elements.size + _SPARE_BYTES
    memory = scratch(work_bytes + room)
    out = memory[work_bytes:work_bytes + room]
    unused = library().offload_encode(
        at(elements), *_size(elements.shape), *_chooser(chosen), at(tables.start), at(memory),
        at(out), room)
    if room - unused < elements.size and unused < room:
        return out[unused:].copy()
    return elements.reshape(-1)


def decode_map(stream: memoryview, shape: tuple[int, int, int], tables: Tables,
               chosen: Chosen = None) -> np.ndarray:
    """Return the elements of `shape` that `encode_map` was given, as a new array.

    :raises DecodeError: for a broken stream.
    """
    data = np.frombuffer(stream, np.uint8)
    if data.size == prod(shape):
        return data.reshape(shape).copy()
    elements = np.empty(shape, np.uint8)
    if library().offload_decode(
            at(data), data.size, at(elements), *_size(shape), *_chooser(chosen),
            at(tables.start), at(tables.bucket)):
        raise DecodeError(f'the {data.size} bytes of entropy code end at the wrong place')
    return elements


def _size(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width."""
    height, width, channels = shape
    return channels, height, width


def _work_bytes(shape: tuple[int, ...]) -> int:
    """Return what the coder needs beside a map: see `offload_encode`."""
    height, width, channels = shape
    return 2 * -(-channels // GROUP) + GROUP * height * width


def _chooser(chosen: Chosen) -> tuple[int | None, int | None, int | None, int | None, int]:
    """Return the coder's arguments for what chooses rows."""
    if chosen is None:
        return None, at(_FIRST_ROW_OF_EIGHTHS), None, None, 0
    if isinstance(chosen, Prediction):
        return None, None, at(chosen.weights), at(chosen.rows), chosen.zero
    return at(chosen), None, None, None, 0
