"""Camera images as small JPEGs for a viewer."""

from typing import Any

import cv2
import numpy as np

from offload_perception.imaging.compressed import compressed_to_rgb, encode_image
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.imaging.resize import fit_message

QUALITY = 75


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


def _shrunk(rows: int, cols: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a picture that is at most `width` wide."""
    factor = min(1.0, width / max(1, cols))
    return max(1, round(rows * factor)), max(1, round(cols * factor))


def _jpeg(rgb: np.ndarray) -> bytes:
    return encode_image(rgb, 'jpeg', QUALITY).tobytes()
