"""JPEG, PNG and WebP: what a sensor_msgs/CompressedImage holds, and the way back."""

from typing import Any

import cv2
import numpy as np

from offload_perception.errors import ImageError
from offload_perception.imaging.headers import check_complete, parse_header

_QUALITY = {'jpeg': cv2.IMWRITE_JPEG_QUALITY, 'webp': cv2.IMWRITE_WEBP_QUALITY, 'png': None}
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
            8: cv2.IMREAD_REDUCED_COLOR_8}


def decode_image(data: Any, *, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """Return a JPEG, PNG or WebP file in memory as RGB, (H, W, 3) uint8.

    The kind is told by the first bytes. With `at_least` (height, width) a JPEG may come back
    at 1/2, 1/4 or 1/8 of its size, but not below that size: much cheaper where it is shrunk
    anyway. Raises ImageError for data that is empty, of another kind, truncated, broken, or
    declares too many pixels; the last before anything is decoded.
    """
    rgb = _decode(data, at_least)
    return cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB, dst=rgb)


def compressed_to_rgb(data: Any, format: str = '', *,
                      at_least: tuple[int, int] | None = None) -> np.ndarray:
    """Return the picture of a sensor_msgs/CompressedImage as RGB, (H, W, 3) uint8.

    `format` is the field of the message, such as 'jpeg' or 'rgb8; jpeg compressed bgr8'. The
    kind is told by the data; `format` matters only where it says that the pixels were put
    into the file in the order RGB, so that red and blue are swapped in it. Raises ImageError
    as `decode_image` does.
    """
    try:
        pixels = _decode(data, at_least)
    except ImageError as e:
        raise ImageError(f'compressed image with format {format!r}: {e}') from e
    if format.partition('compressed')[2].strip().startswith('rgb'):
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


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


def _decode(data: Any, at_least: tuple[int, int] | None) -> np.ndarray:
    """Return checked data decoded in the order that the file calls BGR."""
    header = parse_header(data)
    check_complete(data, header)
    flag = _reduction(header.height, header.width, at_least) if header.kind == 'jpeg' else None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag or cv2.IMREAD_COLOR)
    except cv2.error as e:
        raise ImageError(f'broken {header.kind} data of {header.size} bytes: {e}') from e
    if pixels is None:
        raise ImageError(f'broken {header.kind} data of {header.size} bytes')
    return pixels


def _reduction(height: int, width: int, at_least: tuple[int, int] | None) -> int | None:
    """Return the flag for the smallest JPEG scale that is not below `at_least`."""
    # A rotation in the Exif data may exchange the sides, so both must hold either way.
    side, wanted = min(height, width), max(at_least or (height, width))
    fitting = [factor for factor in _REDUCED if side // factor >= wanted]
    return _REDUCED[fitting[-1]] if fitting else None
