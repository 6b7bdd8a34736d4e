"""Small forged files that cost a careless decoder gigabytes."""

import io
import struct
import zlib

from PIL import Image

SIDE = 224  # of the tensor that the files pose as
_LARGE = 20000


def bmp_as_jpeg() -> bytes:
    """Return a bitmap whose header holds what a walk over JPEG segments takes for a size."""
    head = b'BM\xff\xc0' + struct.pack('>HBHH', 17, 8, SIDE, SIDE) + bytes(3)
    info = struct.pack('<IiiHHIIiiII', 40, _LARGE, _LARGE, 1, 8, 1, 0, 0, 0, 1, 1)
    return (head + info + bytes(4)).ljust(SIDE, b'\0') + b'\0\1'


def _sof(marker: int, side: int) -> bytes:
    parts = bytes((1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    return bytes((0xFF, marker)) + struct.pack('>HBHHB', 17, 8, side, side, 3) + parts


def jpeg_of_two_sizes() -> bytes:
    """Return a progressive JPEG with a small frame header before its large one."""
    file = io.BytesIO()
    Image.new('RGB', (SIDE, SIDE)).save(file, 'JPEG', progressive=True)
    data = file.getvalue()
    at = data.index(b'\xff\xc2')
    return data[:at] + _sof(0xC2, SIDE) + _sof(0xC2, _LARGE) + data[at + 19:]


def jpeg_with_fill_bytes() -> bytes:
    """Return a JPEG whose large frame header follows a fill byte, and a small one later.

    A reader that does not know fill bytes takes FF for a marker, what follows for its length,
    and jumps over the true header to the false one, which stands within a comment.
    """
    file = io.BytesIO()
    Image.new('RGB', (SIDE, SIDE)).save(file, 'JPEG', progressive=True)
    data = file.getvalue()
    at = data.index(b'\xff\xc2')
    large = b'\xff' + _sof(0xC2, _LARGE)
    jump = at + 2 + struct.unpack('>H', large[2:4])[0]
    start = at + len(large)
    comment = bytes(jump - start - 4) + _sof(0xC0, SIDE)
    filled = b'\xff\xfe' + struct.pack('>H', 2 + len(comment)) + comment
    return data[:at] + large + filled + data[at + 19:]


def _chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    return struct.pack('>I', len(data) if length is None else length) + kind + data + struct.pack(
        '>I', zlib.crc32(kind + data))


def _png(*chunks: bytes, side: int = 8) -> bytes:
    head = _chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + head + b''.join(chunks) + _chunk(b'IEND', b'')


def png_with_a_damaged_length() -> bytes:
    """Return a PNG one of whose chunks claims four gigabytes."""
    return _png(_chunk(b'IDAT', zlib.compress(bytes(8 * 25)), 0xFFFFFFF0))


def png_with_swollen_text() -> bytes:
    """Return a PNG with texts and a colour profile that are a thousand times as long unpacked."""
    bomb = zlib.compress(bytes(50_000_000), 9)
    return _png(*[_chunk(b'zTXt', b'Comment\0\0' + bomb)] * 3,
                _chunk(b'iCCP', b'icc\0\0' + bomb), _chunk(b'IDAT', zlib.compress(bytes(8 * 25))))


def tiff_as_webp() -> bytes:
    """Return a grey TIFF of 144 megapixels whose free bytes hold the marks of a WebP file."""
    side, pixels = 12000, zlib.compress(bytes(12000 * 12000))
    marks = b'WEBPVP8 ' + bytes(7) + b'\x9d\x01\x2a' + struct.pack('<HH', SIDE, SIDE)
    head = b'II*\0' + struct.pack('<I', 30) + marks
    tags = ((256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8), (262, 3, 1),
            (273, 4, 144), (277, 3, 1), (278, 4, side), (279, 4, len(pixels)))
    return (head + struct.pack('<H', len(tags)) + b''.join(
        struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
    ).ljust(144, b'\0') + pixels


def webp_of_a_large_canvas() -> bytes:
    """Return a WebP file whose canvas is far larger than the picture in it."""
    file = io.BytesIO()
    Image.new('RGB', (SIDE, SIDE)).save(file, 'WEBP')
    canvas = b'VP8X' + struct.pack('<I', 10) + bytes(4) + 2 * (16382).to_bytes(3, 'little')
    body = b'WEBP' + canvas + file.getvalue()[12:]
    return b'RIFF' + struct.pack('<I', len(body)) + body


ATTACKS = {f.__name__: f for f in (
    bmp_as_jpeg, jpeg_of_two_sizes, jpeg_with_fill_bytes, png_with_a_damaged_length,
    png_with_swollen_text, tiff_as_webp, webp_of_a_large_canvas)}
