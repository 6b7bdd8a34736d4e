"""What `coder.c` reads: the tables of the entropy coders, and streams to begin with.

    python test/fuzz/coder.py FILE FOLDER    writes the tables into FILE, the streams into FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offload_perception.codec import adaptive, rans

SHAPES = ((1, 1, 1), (3, 1, 1), (1, 2, 3), (4, 3, 2), (5, 2, 3), (33, 1, 1), (32, 1, 2),
          (40, 2, 1), (7, 1, 4), (2, 5, 1), (131, 8, 8), (32, 16, 16))
"""(C, H, W), as in coder.c; the last two, which have several states, without libFuzzer alone."""
_MOST_CHANNELS = 131
_ADAPTIVE, _ENCODES = 2, 1
_RNG = np.random.default_rng(20)
_WEIGHT = _RNG.integers(-1 << 15, (1 << 15) + 1, (_MOST_CHANNELS, 2), dtype=np.int32)
_PREDICTED = _RNG.integers(0, rans.ROWS, (_MOST_CHANNELS, 256), dtype=np.uint8)
_OF_CHANNEL = _RNG.integers(0, rans.ROWS, _MOST_CHANNELS, dtype=np.uint8)


def tables() -> bytes:
    """Return the tables, in the order and with the padding that coder.c expects."""
    curve, steepness, reciprocal = adaptive._tables()
    of_bits = [rans.tables_for(bits) for bits in range(1, 9)]
    data = b''.join(a.tobytes() for a in (
        steepness, reciprocal, _WEIGHT, *(t.start for t in of_bits), curve,
        *(t.bucket for t in of_bits), rans._FIRST_ROW_OF_EIGHTHS, _PREDICTED, _OF_CHANNEL))
    return data + bytes(-len(data) % 4)


def inputs() -> Iterator[bytes]:
    """Yield whole streams of every coder, and elements for it, of every shape."""
    for k, (channels, height, width) in enumerate(SHAPES):
        rng = np.random.default_rng(k)
        levels = np.maximum(rng.normal(0, 30, (height, width, channels)), 0).astype(np.uint8)
        for chooser, chosen in enumerate((None, _OF_CHANNEL[:channels], rans.Prediction(
                _WEIGHT[:channels], _PREDICTED[:channels], 7))):
            head = bytes((4 * chooser, k, 7))
            yield head + rans.encode_map(levels, rans.tables_for(8), chosen).tobytes()
            yield bytes((head[0] | _ENCODES, k, 7)) + levels.tobytes()
        planes = np.ascontiguousarray(levels.transpose(2, 0, 1))
        for most in (1, 30, 255):
            few = np.minimum(planes, most)
            head = bytes((_ADAPTIVE, k, most))
            yield head + adaptive.encode_planes(few, most // 2, most + 1).tobytes()
            yield bytes((_ADAPTIVE | _ENCODES, k, most)) + few.tobytes()


def main() -> None:
    Path(sys.argv[1]).write_bytes(tables())
    for k, data in enumerate(inputs()):
        Path(sys.argv[2], f'seed{k}').write_bytes(data)


if __name__ == '__main__':
    main()
