"""Decode a picture file whose kind was declared, within a bound on its pixels.

Pillow decodes, and no other of its formats than the one that the file's first bytes name is ever
tried. The size is checked before a pixel is allocated.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError, features
from PIL.TiffImagePlugin import TiffImageFile

from offload_perception.errors import ImageError
from offload_perception.pictures.jpeg import read_jpeg
from offload_perception.pictures.kind import HEAD, kind_of

MAX_PIXELS = 160_000_000
"""Of the files of a user: the largest aerial cameras have 150 megapixels."""
STREAMED_PIXELS = 25_000_000
"""Of compressed messages, where few bytes may claim many pixels."""
_WORK = 1_000_000_000  # pixels times scans of a progressive JPEG
_DEEP = {'I;16', 'I;16L', 'I;16B', 'I'}
_DECODED = {'jpeg': 'JPEG', 'png': 'PNG', 'webp': 'WEBP', 'tiff': 'TIFF', 'bmp': 'BMP',
            'jpeg2000': 'JPEG2000', 'avif': 'AVIF'}
_OPTIONAL = {'webp': 'webp', 'jpeg2000': 'jpg_2000', 'avif': 'avif'}  # may be left out of Pillow
_ORIENTATION, _SUBFILE, _TILE_WIDTH, _TILE_LENGTH, _DNG = 274, 254, 322, 323, 50706  # TIFF tags
_TURNS = {  # what makes a picture of an Exif orientation upright
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p[::-1].swapaxes(0, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p.swapaxes(0, 1)[::-1],
}
DECODERS = tuple(_DECODED)
STREAMED = ('jpeg', 'png', 'webp')
"""The kinds that are taken from messages."""


@dataclass(frozen=True)
class Bound:
    """What a picture may be: one of `kinds`; of `size` (height, width) if that is known.

    The defaults are those of messages.

    `at_least` (height, width) lets a JPEG come back at 1/2, 1/4 or 1/8 of its size, but not
    below that size. `turned`: turn it as its Exif data says.
    """

    kinds: tuple[str, ...] = STREAMED
    max_pixels: int = STREAMED_PIXELS
    size: tuple[int, int] | None = None
    at_least: tuple[int, int] | None = None
    turned: bool = True

    @classmethod
    def of_files(cls, at_least: tuple[int, int] | None = None) -> 'Bound':
        """Return the bound of files that the user named."""
        return cls(DECODERS, MAX_PIXELS, at_least=at_least)

    def check(self, kind: str, height: int, width: int, scans: int = 1) -> None:
        """Raise ImageError for a picture outside the bound."""
        if height < 1 or width < 1:
            raise ImageError(f'{kind} picture of {width} x {height} pixels is empty')
        if self.size and (height, width) != self.size:
            raise ImageError(f'{kind} picture of {(height, width)} (height, width); {self.size} '
                             'is expected')
        if height * width > self.max_pixels:
            raise ImageError(f'{kind} picture of {width} x {height} pixels is above the limit of '
                             f'{self.max_pixels} pixels; send a smaller one')
        if height * width * scans > _WORK:
            raise ImageError(f'{kind} picture of {width} x {height} pixels in {scans} scans is '
                             'above the limit of work; save it without progression')


def decode(data: bytes | bytearray | memoryview | np.ndarray, bound: Bound) -> np.ndarray:
    """Return a picture file in memory as RGB, (H, W, 3) uint8.

    One channel of more than 8 bits comes back as it is: (H, W), uint16 or float32.

    :raises ImageError: for data of another kind, truncated, broken, or outside the bound; for
        the last before anything is decoded.
    """
    raw = _as_bytes(data)
    kind = kind_of(bytes(raw[:HEAD]))
    if kind not in bound.kinds:
        raise ImageError(f'{len(raw)} bytes of {kind or "unknown"} data are neither '
                         f'{" nor ".join(bound.kinds)}')
    try:
        with Image.open(io.BytesIO(_prepared(kind, raw, bound)), formats=[_DECODED[kind]]) as file:
            bound.check(kind, file.height, file.width)
            if isinstance(file, TiffImageFile):
                _check_tiff(file, bound)
            return _pixels(file, bound)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(_unidentified(kind, len(raw))) from None
    except Exception as e:  # a decoder may raise anything on data from outside
        raise ImageError(f'broken or truncated {kind} data of {len(raw)} bytes: {e}') from e


def _unidentified(kind: str, size: int) -> str:
    feature = _OPTIONAL.get(kind)
    if feature and not features.check(feature):
        return f'this Pillow cannot read {kind}: run `pip install --upgrade pillow`'
    return f'broken or truncated {kind} data of {size} bytes: its header makes no sense'


def _prepared(kind: str, raw: memoryview, bound: Bound) -> bytes | memoryview:
    """Return the opened picture, after checks that Pillow would make too late or not at all."""
    if kind == 'jpeg':
        jpeg = read_jpeg(raw)
        bound.check(kind, jpeg.height, jpeg.width, jpeg.scans)
        return jpeg.data
    if kind == 'png':  # Pillow has a limit of its own, and does not report the size
        bound.check(kind, int.from_bytes(raw[20:24], 'big'), int.from_bytes(raw[16:20], 'big'))
    if kind == 'webp':
        bound.check(kind, *_webp_size(raw))  # its decoder allocates as it opens a file
    return raw


def _webp_size(raw: memoryview) -> tuple[int, int]:
    """Return height and width of the first chunk, as RFC 9649 places them."""
    if len(raw) < 30 or 8 + _little(raw, 4, 4) > len(raw):
        raise ImageError(f'truncated webp data: {len(raw)} bytes')
    chunk = bytes(raw[12:16])
    if chunk == b'VP8X':
        return 1 + _little(raw, 27, 3), 1 + _little(raw, 24, 3)
    if chunk == b'VP8L':
        bits = _little(raw, 21, 4)
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    if chunk == b'VP8 ':
        return _little(raw, 28, 2) & 0x3FFF, _little(raw, 26, 2) & 0x3FFF
    raise ImageError('broken webp data: its first chunk is no picture')


def _check_tiff(file: TiffImageFile, bound: Bound) -> None:
    """Raise ImageError for tiles above the bound, and for the preview of a raw camera file."""
    tags = file.tag_v2
    if _DNG in tags or int(tags.get(_SUBFILE, 0)) & 1:
        raise ImageError('a raw camera file (DNG or the like), of which only a preview could be '
                         'shown; convert it to tiff or jpeg')
    if int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0)) > bound.max_pixels:
        raise ImageError(f'tiff tiles above the limit of {bound.max_pixels} pixels')


def _pixels(file: Image.Image, bound: Bound) -> np.ndarray:
    """Decode: RGB, or one deep channel as it is."""
    if bound.at_least:
        side = max(bound.at_least)  # a turn may exchange the sides
        file.draft(file.mode, (side, side))
    if file.mode in _DEEP:
        pixels = np.asarray(file).clip(0, 65535).astype(np.uint16)
    elif file.mode == 'F':
        pixels = np.asarray(file)
    else:
        pixels = np.asarray(file if file.mode == 'RGB' else file.convert('RGB'))
    return _turned(pixels, file) if bound.turned else pixels


def _turned(pixels: np.ndarray, file: Image.Image) -> np.ndarray:
    """Return the picture upright, as its Exif data says that it was taken."""
    try:
        orientation = file.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken Exif data are ignored
        orientation = 1
    return np.ascontiguousarray(_TURNS.get(orientation, lambda p: p)(pixels))


def _as_bytes(data: bytes | bytearray | memoryview | np.ndarray) -> memoryview:
    """Return a flat view of bytes-like data."""
    try:
        return (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast('B')
    except (TypeError, ValueError) as e:
        raise ImageError(f'compressed image of type {type(data).__name__} is not contiguous '
                         f'bytes: {e}') from e


def _little(raw: memoryview, at: int, size: int) -> int:
    return int.from_bytes(raw[at:at + size], 'little')
