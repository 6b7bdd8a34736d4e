"""JPEG, PNG and WebP of a sensor_msgs/CompressedImage: decode and encode."""

from typing import Any

import cv2
import numpy as np

from offload_perception.errors import ImageError
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.incoming import text
from offload_perception.pictures import Bound, decode

_QUALITY = {'jpeg': cv2.IMWRITE_JPEG_QUALITY, 'webp': cv2.IMWRITE_WEBP_QUALITY, 'png': None}


def decode_image(data: Any, *, at_least: tuple[int, int] | None = None,
                 bound: Bound | None = None, values: ValueRange = FULL_RANGE) -> np.ndarray:
    """Return a picture file in memory as RGB, (H, W, 3) uint8, turned as its Exif data says.

    The first bytes have to be those of JPEG, PNG or WebP, or of a kind that `bound` names.
    With `at_least` (height, width) a JPEG may come back at 1/2, 1/4 or 1/8 of its size, but not
    below that size: much cheaper if it is shrunk anyway. One channel of more than 8 bits is
    scaled from `values`. Raises ImageError for data that is empty, of another kind, truncated,
    broken, or declares too many pixels; the last before anything is decoded.
    """
    pixels = decode(data, bound or Bound(at_least=at_least))
    if pixels.ndim == 3:
        return pixels
    return cv2.cvtColor(values.to_8bit(pixels), cv2.COLOR_GRAY2RGB)


def compressed_to_rgb(data: Any, format: str = '', *, at_least: tuple[int, int] | None = None,
                      values: ValueRange = FULL_RANGE) -> np.ndarray:
    """Return the picture of a sensor_msgs/CompressedImage as RGB, (H, W, 3) uint8.

    `format` is the field of the message, such as 'jpeg' or 'rgb8; jpeg compressed bgr8'. The
    kind is recognised by the data; `format` matters only if it says that the pixels were put
    into the file in the order RGB, so that red and blue are swapped in it. Raises ImageError
    as `decode_image` does.
    """
    try:
        rgb = decode_image(data, at_least=at_least, values=values)
    except ImageError as e:
        raise ImageError(f"compressed image with format '{text(format)}': {e}") from e
    if format.partition('compressed')[2].strip().startswith('rgb'):
        return cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB)
    return rgb


def encode_image(rgb: np.ndarray, format: str = 'jpeg', quality: int = 90) -> np.ndarray:
    """Return an RGB picture, (H, W, 3) uint8, as a file in memory: (N,) uint8.

    `format` is jpeg, webp or png; `quality` is 1..100, and png, being lossless, ignores it.
    Raises ImageError for another format, quality or kind of array.
    """
    if format not in _QUALITY:
        raise ImageError(f'unknown format {format!r}; use one of: {", ".join(_QUALITY)}')
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise ImageError(f'cannot encode {rgb.dtype} {rgb.shape}; give uint8 (H, W, 3)')
    if not 1 <= quality <= 100:
        raise ImageError(f'quality {quality} is outside 1..100')
    flag = _QUALITY[format]
    options = [] if flag is None else [flag, int(quality)]
    try:
        done, data = cv2.imencode(f'.{format}', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    except cv2.error as e:
        raise ImageError(f'cannot encode as {format}: {e}') from e
    if not done:
        raise ImageError(f'cannot encode {rgb.shape} as {format}')
    return data.reshape(-1)
