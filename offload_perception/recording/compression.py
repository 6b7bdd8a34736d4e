"""Decompression of parts of a bag, within a limit: a forged size takes no memory."""

from typing import Any, BinaryIO

from offload_perception.errors import BagError
from offload_perception.recording.library import load_lz4, load_zstandard

LARGEST = 256 << 20
"""Most bytes of one message, or of one chunk of messages."""
_ZSTD = b'\x28\xb5\x2f\xfd'  # begins every frame; a message in CDR begins with a zero


def message_bytes(data: bytes, topic: str) -> bytes:
    """Return a message in CDR; rosbag2's compression mode `message` made each a zstd frame.

    :raises BagError: if it is neither.
    """
    if not isinstance(data, bytes):  # a damaged sqlite3 file may hold any value
        raise BagError(f'{topic}: a message is neither CDR nor compressed with zstd')
    if data.startswith(_ZSTD):
        data = unzstd(data)
    if len(data) < 4 or data[0] != 0:
        raise BagError(f'{topic}: a message is neither CDR nor compressed with zstd')
    return data


def chunk_bytes(data: bytes, kind: str, size: int) -> bytes:
    """Return the records of an MCAP chunk of `size` bytes.

    :raises BagError: if it is larger than any can be, damaged, or compressed in another way.
    """
    if size > LARGEST:
        raise BagError(f'a chunk of {size} bytes')
    found = {'': lambda: data, 'zstd': lambda: unzstd(data), 'lz4': lambda: _unlz4(data)}
    if kind not in found:
        raise BagError(f"a chunk is compressed with '{kind}', which is not known")
    plain = found[kind]()
    if len(plain) != size:
        raise BagError(f'a chunk of {len(plain)} bytes, not {size}')
    return plain


def unzstd(data: bytes) -> bytes:
    """Return the content of a zstd frame.

    :raises BagError: if it is damaged, or larger than `LARGEST`.
    """
    zstandard = load_zstandard()
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if LARGEST < size < zstandard.CONTENTSIZE_UNKNOWN:
            raise BagError(f'{size} bytes are compressed in one piece')
        plain: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=LARGEST)
        return plain
    except zstandard.ZstdError as e:
        raise BagError(f'compressed data are damaged: {e}') from e


def _unlz4(data: bytes) -> bytes:
    decompressor = load_lz4().LZ4FrameDecompressor()
    try:
        plain: bytes = decompressor.decompress(data, max_length=LARGEST)
    except RuntimeError as e:
        raise BagError(f'compressed data are damaged: {e}') from e
    if not decompressor.eof:
        raise BagError('compressed data are cut off, or too large')
    return plain


def open_plain(stream: BinaryIO, compressed: bool) -> Any:
    """Return a stream of the content of a file, which rosbag2's mode `file` compressed whole."""
    if not compressed:
        return stream
    return load_zstandard().ZstdDecompressor().stream_reader(stream, read_across_frames=True)
