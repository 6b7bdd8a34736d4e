"""What a sensor_msgs/Image holds, as an RGB picture.

Own code, because `rosbags-image` reads rows without their padding (it ignores `step`), cannot
read NV12 and NV21, and checks no sizes: the byte layout is here and OpenCV converts the colours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided

from offload_perception.errors import ConfigError, ImageError
from offload_perception.incoming import text
from offload_perception.pictures import MAX_PIXELS


@dataclass(frozen=True)
class ValueRange:
    """The stored values that are shown as black and as white, of images deeper than 8 bits.

    A thermal or depth camera fills a small part of its 16 bits: the user has to say which range
    matters to the network. The default is the full range of 16 bits.

    :raises ConfigError: if white is not above black.
    """

    black: float = 0.0
    white: float = 65535.0

    def __post_init__(self) -> None:
        if not self.black < self.white:
            raise ConfigError(f'the value of white, {self.white:g}, has to be above that of '
                              f'black, {self.black:g}')

    def to_8bit(self, pixels: np.ndarray) -> np.ndarray:
        """Return uint16 (of either byte order) or float32 pixels as uint8, rounded.

        NaN is black. uint8 pixels come back as they are.
        """
        if pixels.dtype == np.uint8:
            return pixels
        # OpenCV assumes that arrays are aligned; with an odd `step` they are not.
        if pixels.dtype.kind == 'u' and self == FULL_RANGE:
            return cv2.convertScaleAbs(np.require(pixels, np.uint16, 'A'), alpha=1 / 257)
        # Bounded first: infinity times a scale is no number to OpenCV.
        known = np.fmax(np.require(pixels, np.float32, 'A'), np.float32(self.black))
        above = np.minimum(known, np.float32(self.white)) - np.float32(self.black)
        shown: np.ndarray = cv2.convertScaleAbs(above, alpha=255 / (self.white - self.black))
        return shown


FULL_RANGE = ValueRange()


@dataclass(frozen=True)
class Encoding:
    """How one encoding stores its pixels, and how they become RGB.

    `colour` is an OpenCV conversion code, a function of the stored pixels, or None for what is
    RGB already. `planes` is the size of the data in units of `step * height`, as a fraction.
    `even` says which of (height, width) must be even. `per_pixel`: each RGB pixel depends on
    one stored pixel only, so that the picture may be resized before its colours are converted.
    """

    channels: int
    depth: int
    colour: int | Callable[[np.ndarray], np.ndarray] | None
    planes: tuple[int, int] = (1, 1)
    even: tuple[bool, bool] = (False, False)
    per_pixel: bool = False

    def to_rgb(self, pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return stored 8-bit `pixels` as RGB, (H, W, 3) uint8, in `out` if that is given."""
        if callable(self.colour):
            return self.colour(pixels)
        return pixels if self.colour is None else cv2.cvtColor(pixels, self.colour, dst=out)


# ITU-R BT.601 with the video range 16..235, as OpenCV has it for the other YUV encodings.
_BT601 = np.array([[1.164, 0.0, 1.596], [1.164, -0.391, -0.813], [1.164, 2.018, 0.0]])
_BT601 = np.hstack([_BT601, _BT601 @ [[-16.0], [-128.0], [-128.0]]]).astype(np.float32)


def _nv24_to_rgb(planes: np.ndarray) -> np.ndarray:
    """Return RGB for a plane of Y over one of interleaved U and V at full resolution."""
    height, width, step = planes.shape[0] // 3, planes.shape[1], planes.strides[0]
    uv = as_strided(planes[height:], (height, width, 2), (2 * step, 2, 1))
    u, v = cv2.split(uv)
    y = np.maximum(planes[:height], 16)
    return cv2.transform(cv2.merge((y, u, v)), _BT601)


def _table() -> dict[str, Encoding]:
    """Return all known encodings; names as in sensor_msgs/image_encodings.hpp, and nv12."""
    colours = {
        ('mono{}', '{}UC1'): (1, cv2.COLOR_GRAY2RGB),
        ('rgb{}',): (3, None),
        ('bgr{}', '{}UC3'): (3, cv2.COLOR_BGR2RGB),
        ('rgba{}',): (4, cv2.COLOR_RGBA2RGB),
        ('bgra{}', '{}UC4'): (4, cv2.COLOR_BGRA2RGB),
    }
    table = {
        name.format(8 * depth): Encoding(channels, depth, code, per_pixel=True)
        for names, (channels, code) in colours.items() for name in names for depth in (1, 2)
    }
    # The ROS name is the first 2x2 square read row by row. OpenCV's two-letter names start one
    # pixel further down and right, its four-letter names mean the same as those of ROS.
    for mosaic in ('RGGB', 'BGGR', 'GBRG', 'GRBG'):
        code = getattr(cv2, f'COLOR_Bayer{mosaic}2RGB')
        for depth in (1, 2):
            table[f'bayer_{mosaic.lower()}{8 * depth}'] = Encoding(1, depth, code)
    uyvy = Encoding(2, 1, cv2.COLOR_YUV2RGB_UYVY, even=(False, True))
    yuyv = Encoding(2, 1, cv2.COLOR_YUV2RGB_YUY2, even=(False, True))
    table |= {'yuv422': uyvy, 'uyvy': uyvy, 'yuv422_yuy2': yuyv, 'yuyv': yuyv}
    table['32FC1'] = Encoding(1, 4, cv2.COLOR_GRAY2RGB, per_pixel=True)
    for name in ('nv12', 'nv21'):
        code = getattr(cv2, f'COLOR_YUV2RGB_{name.upper()}')
        table[name] = Encoding(1, 1, code, planes=(3, 2), even=(True, True))
    table['nv24'] = Encoding(1, 1, _nv24_to_rgb, planes=(3, 1))
    return table


ENCODINGS = _table()


_TYPES = {1: 'u1', 2: 'u2', 4: 'f4'}  # by the depth in bytes


def find_encoding(name: str) -> Encoding:
    """Return the layout of the encoding `name`, or raise ImageError with the known names."""
    try:
        return ENCODINGS[name]
    except KeyError:
        known = ', '.join(sorted(ENCODINGS))
        raise ImageError(
            f"unknown image encoding '{text(name)}'; convert to one of: {known}") from None


def stored_pixels(data: Any, *, height: int, width: int, step: int, encoding: str,
                  is_bigendian: bool = False) -> np.ndarray:
    """Return a view of the stored pixels: (H, W) or (H, W, C), uint8, uint16 or float32.

    Planar encodings give all planes, one above the other. Raises ImageError as `to_rgb` does.
    """
    layout = find_encoding(encoding)
    check_size(height, width)
    _check_even(layout, height, width, encoding)
    raw = _as_bytes(data)
    rows, step = _rows_and_step(layout, height, width, step, raw.size)
    _check_bytes(layout, raw.size, rows, width, step, encoding)
    dtype = np.dtype(f'{">" if is_bigendian else "<"}{_TYPES[layout.depth]}')
    pixel_bytes = layout.channels * layout.depth
    shape: tuple[int, ...] = rows, width
    strides: tuple[int, ...] = step, pixel_bytes
    if layout.channels > 1:
        shape, strides = (*shape, layout.channels), (*strides, layout.depth)
    return np.ndarray(shape, dtype, raw, 0, strides)


def to_rgb(data: Any, *, height: int, width: int, step: int, encoding: str,
           is_bigendian: bool = False, values: ValueRange = FULL_RANGE) -> np.ndarray:
    """Return the picture of a sensor_msgs/Image as RGB, (height, width, 3) uint8.

    `data` is any bytes-like object of `step * height` bytes; of more for the planar encodings
    (nv12 and nv21: 3/2, nv24: 3), whose `step` is that of the Y plane as in V4L2, or the width
    times the bytes a pixel, without padding. Values deeper than 8 bits are scaled from
    `values`. The generic encodings are taken as OpenCV writes
    them: one channel is grey, three are BGR, four BGRA. YUV is ITU-R BT.601, video range.
    rgb8 gives a view of `data`, everything else a new array.

    Raises ImageError for an unknown encoding and for sizes that do not fit together.
    """
    pixels = stored_pixels(data, height=height, width=width, step=step, encoding=encoding,
                           is_bigendian=is_bigendian)
    return find_encoding(encoding).to_rgb(values.to_8bit(pixels))


def check_size(height: int, width: int) -> None:
    """Raise ImageError for a picture without pixels or of more than MAX_PIXELS."""
    if height < 1 or width < 1:
        raise ImageError(f'image of {width} x {height} pixels is empty')
    if height * width > MAX_PIXELS:
        raise ImageError(f'image of {width} x {height} pixels is above the limit of '
                         f'{MAX_PIXELS} pixels; send a smaller one')


def _rows_and_step(layout: Encoding, height: int, width: int, step: int,
                   size: int) -> tuple[int, int]:
    """Return the rows of all planes, and the step of each."""
    numerator, denominator = layout.planes
    # Many drivers set `step` to one row of all planes together, without padding.
    if layout.planes != (1, 1) and size == step * height and (
            denominator * step == numerator * width):
        step = width
    return height * numerator // denominator, step


def _check_even(layout: Encoding, height: int, width: int, encoding: str) -> None:
    """Raise ImageError if the chroma samples do not cover the picture evenly."""
    if (layout.even[0] and height % 2) or (layout.even[1] and width % 2):
        raise ImageError(f'{encoding} image of {width} x {height} pixels: its colours are '
                         f'shared by neighbours, so these sizes must be even')


def _check_bytes(layout: Encoding, size: int, rows: int, width: int, step: int,
                 encoding: str) -> None:
    """Raise ImageError unless `rows` of `step` bytes hold the pixels and are all there."""
    row_bytes = width * layout.channels * layout.depth
    if step < row_bytes:
        raise ImageError(f'{encoding} image with step {step}, but a row of {width} pixels '
                         f'takes {row_bytes} bytes')
    if size != rows * step:
        raise ImageError(f'{encoding} image of {size} bytes, but {rows} rows of step {step} '
                         f'are {rows * step} bytes')


def _as_bytes(data: Any) -> np.ndarray:
    """Return a flat uint8 view of a bytes-like object."""
    try:
        return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError) as e:
        raise ImageError(f'image data of type {type(data).__name__} is empty or not '
                         f'contiguous bytes: {e}') from e
