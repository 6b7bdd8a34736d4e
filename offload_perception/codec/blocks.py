"""Bytes grouped by what is known of them, as one zstd frame with a block for each group.

zstd writes what it finds no match for with a Huffman code made for the block. Where a block
holds bytes of one distribution, that comes close to the conditional entropy, at zstd's speed.
Data that fills one block only goes through deflate: less overhead, and its time is short then.
"""

import zlib
from collections.abc import Iterable

import numpy as np
import zstandard

from offload_perception.codec.container import Buffer
from offload_perception.codec.plain import unzstd
from offload_perception.errors import DecodeError

MAX_BLOCKS, BLOCK_BYTES = 16, 6144  # a block pays about 80 bytes for its Huffman table
ZSTD_LEVEL, DEFLATE_LEVEL, RAW_DEFLATE = 1, 9, -15


def block_count(nbytes: int) -> int:
    """Return into how many blocks `nbytes` of sorted data are best cut (1 to 16)."""
    return min(max(nbytes // BLOCK_BYTES, 1), MAX_BLOCKS)


def shares(rows: np.ndarray) -> list[np.ndarray]:
    """Return views on about equal numbers of `rows`, (n, ...) uint8, one for each block."""
    return np.array_split(rows, min(block_count(rows.size), max(len(rows), 1)))


def compress(runs: Iterable[np.ndarray], nbytes: int) -> list[bytes]:
    """Return the pieces of one stream of the `runs`, contiguous uint8, `nbytes` in all."""
    if block_count(nbytes) == 1:
        coder, end_of_block = zlib.compressobj(DEFLATE_LEVEL, wbits=RAW_DEFLATE), None
    else:
        coder = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(size=nbytes)
        end_of_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    pieces = []
    for run in runs:
        pieces.append(coder.compress(run.data))
        if end_of_block is not None:
            pieces.append(coder.flush(end_of_block))
    return [*pieces, coder.flush()]


def decompress(stream: Buffer, nbytes: int) -> np.ndarray:
    """Return the `nbytes` bytes that went into `compress`, uint8, read-only.

    :raises DecodeError: for a broken stream, or one of another size.
    """
    content = _inflate(stream, nbytes) if block_count(nbytes) == 1 else unzstd(stream, nbytes)
    return np.frombuffer(content, np.uint8)


def _inflate(stream: Buffer, nbytes: int) -> bytes:
    coder = zlib.decompressobj(RAW_DEFLATE)
    try:
        content = coder.decompress(stream, nbytes + 1)
    except zlib.error as e:
        raise DecodeError(f'deflate: {e}') from e
    if len(content) != nbytes or not coder.eof or coder.unused_data:
        raise DecodeError(f'deflate stream does not end after the {nbytes} bytes that are due')
    return content
