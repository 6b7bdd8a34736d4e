"""Kind and size of a compressed picture from its header, without decoding it.

After ITU-T T.81 (JPEG), the PNG specification section 11.2.2 and RFC 9649 (WebP).
"""

from dataclasses import dataclass
from typing import Any

from offload_perception.errors import ImageError
from offload_perception.imaging.encodings import check_size

_PNG = b'\x89PNG\r\n\x1a\n'
# SOF0..SOF15 carry the size of the picture; DHT, JPG and DAC share their range of codes.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SEGMENTS = 1000  # looked at before giving up, so that no data keeps us busy
_JPEG_LONELY = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a segment


@dataclass(frozen=True)
class Header:
    """What a compressed picture says of itself; `end` is where its size was found."""

    kind: str
    height: int
    width: int
    size: int
    end: int


def parse_header(data: Any) -> Header:
    """Return kind and size of JPEG, PNG or WebP data; raises ImageError for anything else."""
    raw = _as_bytes(data)
    for signature, at, kind, parse in _KINDS:
        if raw[at:at + len(signature)] == signature:
            found = parse(raw)
            if found is None:
                raise ImageError(f'{kind} data of {len(raw)} bytes tells no picture size: '
                                 f'truncated or broken')
            check_size(*found[:2])
            return Header(kind, found[0], found[1], len(raw), found[2])
    raise ImageError(f'{len(raw)} bytes are neither jpeg nor png nor webp data')


def check_complete(data: Any, header: Header) -> None:
    """Raise ImageError if the end is missing, which decoders may paint over in grey."""
    raw = _as_bytes(data)
    if not _COMPLETE[header.kind](raw, header.end):
        raise ImageError(f'truncated {header.kind} data: {header.size} bytes of a picture of '
                         f'{header.width} x {header.height} pixels')


def _jpeg(raw: memoryview) -> tuple[int, int, int] | None:
    """Return height, width and the offset behind them from the first frame header."""
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        if at + 9 > len(raw) or raw[at] != 0xFF:
            return None
        marker = raw[at + 1]
        if marker in _JPEG_FRAMES:
            return _number(raw, at + 5, 2), _number(raw, at + 7, 2), at + 9
        if marker == 0xFF:  # a fill byte
            at += 1
        else:
            at += 2 if marker in _JPEG_LONELY else 2 + _number(raw, at + 2, 2)
    return None


def _png(raw: memoryview) -> tuple[int, int, int] | None:
    """Return height, width and the offset behind them from the IHDR chunk."""
    if len(raw) < 24 or raw[12:16] != b'IHDR':
        return None
    return _number(raw, 20, 4), _number(raw, 16, 4), 24


def _webp(raw: memoryview) -> tuple[int, int, int] | None:
    """Return height, width and the offset behind them from the first chunk."""
    if len(raw) < 30:
        return None
    chunk = bytes(raw[12:16])
    if chunk == b'VP8X':
        return 1 + _little(raw, 27, 3), 1 + _little(raw, 24, 3), 30
    if chunk == b'VP8L' and raw[20] == 0x2F:
        bits = _little(raw, 21, 4)
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF), 25
    if chunk == b'VP8 ' and raw[23:26] == b'\x9d\x01\x2a':
        return _little(raw, 28, 2) & 0x3FFF, _little(raw, 26, 2) & 0x3FFF, 30
    return None


def _jpeg_complete(raw: memoryview, at: int) -> bool:
    # No end marker can occur inside the compressed data, so one behind the size is the end.
    return _occurs(b'\xff\xd9', raw, at)


def _png_complete(raw: memoryview, at: int) -> bool:
    return _occurs(b'IEND', raw, at)


def _webp_complete(raw: memoryview, at: int) -> bool:
    return 8 + _little(raw, 4, 4) <= len(raw)


def _occurs(mark: bytes, raw: memoryview, at: int) -> bool:
    """Tell whether `mark` stands behind `at`; mostly it does at the very end."""
    return mark in bytes(raw[max(at, len(raw) - 16):]) or mark in bytes(raw[at:])


def _as_bytes(data: Any) -> memoryview:
    """Return a flat view of bytes-like data."""
    try:
        return memoryview(data).cast('B')
    except (TypeError, ValueError) as e:
        raise ImageError(f'compressed image of type {type(data).__name__} is not contiguous '
                         f'bytes: {e}') from e


def _number(raw: memoryview, at: int, size: int) -> int:
    return int.from_bytes(raw[at:at + size], 'big')


def _little(raw: memoryview, at: int, size: int) -> int:
    return int.from_bytes(raw[at:at + size], 'little')


_KINDS = (
    (b'\xff\xd8', 0, 'jpeg', _jpeg),
    (_PNG, 0, 'png', _png),
    (b'WEBP', 8, 'webp', _webp),
)
_COMPLETE = {'jpeg': _jpeg_complete, 'png': _png_complete, 'webp': _webp_complete}
