"""Camera images as small JPEGs for a viewer, and class maps as small PNGs to lay over them."""

from base64 import b64encode
from typing import Any

import cv2
import numpy as np

from offload_perception.errors import ImageError
from offload_perception.imaging.compressed import compressed_to_rgb, encode_image
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange, stored_pixels
from offload_perception.imaging.resize import fit_message
from offload_perception.incoming import text
from offload_perception.telemetry.colours import rgb_of

QUALITY = 75
_OPAQUE = 140  # of 255; class 0, the background, is clear
_PALETTE = np.array([(*rgb_of(k)[::-1], _OPAQUE if k else 0) for k in range(256)], np.uint8)


def jpeg_of_raw(m: Any, width: int, values: ValueRange = FULL_RANGE) -> bytes:
    """Return a sensor_msgs/Image as JPEG, at most `width` pixels wide.

    :raises ImageError: if it is broken or its encoding unknown.
    """
    rows, cols = _shrunk(m.height, m.width, width)
    return _jpeg(fit_message(m.data, (rows, cols), height=m.height, width=m.width, step=m.step,
                             encoding=m.encoding, is_bigendian=bool(m.is_bigendian),
                             values=values))


def jpeg_of_compressed(m: Any, width: int, values: ValueRange = FULL_RANGE) -> bytes:
    """Return a sensor_msgs/CompressedImage as JPEG, at most `width` pixels wide.

    :raises ImageError: if it is broken.
    """
    rgb = compressed_to_rgb(m.data, m.format, at_least=(width, width), values=values)
    height, full_width = rgb.shape[:2]
    rows, cols = _shrunk(height, full_width, width)
    return _jpeg(cv2.resize(rgb, (cols, rows), interpolation=cv2.INTER_AREA))


def png_of_classes(m: Any, width: int) -> str:
    """Return a class map (sensor_msgs/Image, mono8) as a translucent PNG, in base64.

    It is at most `width` pixels wide, and each class has its colour of `colours`.

    :raises ImageError: if it is broken.
    """
    if m.encoding != 'mono8':
        raise ImageError(f"a class map in '{text(m.encoding)}'; it has to be mono8")
    classes = stored_pixels(m.data, height=m.height, width=m.width, step=m.step,
                            encoding=m.encoding)
    rows, cols = _shrunk(m.height, m.width, width)
    classes = cv2.resize(classes, (cols, rows), interpolation=cv2.INTER_NEAREST)
    _, png = cv2.imencode('.png', _PALETTE[classes])
    return b64encode(png.tobytes()).decode()


def _shrunk(rows: int, cols: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a picture that is at most `width` wide."""
    factor = min(1.0, width / max(1, cols))
    return max(1, round(rows * factor)), max(1, round(cols * factor))


def _jpeg(rgb: np.ndarray) -> bytes:
    return encode_image(rgb, 'jpeg', QUALITY).tobytes()
