"""Centre-crop a picture to the shape that a network wants, and resize it."""

from typing import Any

import cv2
import numpy as np

from offload_perception.imaging.encodings import find_encoding, stored_pixels, to_8bit


def centre_crop(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the largest centred view of `picture` with the aspect of height x width."""
    rows, cols = picture.shape[:2]
    crop_rows = max(1, min(rows, round(cols * height / width)))
    crop_cols = max(1, min(cols, round(rows * width / height)))
    return _centre(picture, crop_rows, crop_cols)


def fit(picture: np.ndarray, height: int, width: int,
        out: np.ndarray | None = None) -> np.ndarray:
    """Return `picture` cropped to the aspect and resized to (height, width[, C]) uint8.

    Takes any uint8 picture with rows, columns and perhaps up to 4 channels, also a view.
    The result is written straight into `out` if that is given (its channels contiguous), and
    never shares memory with `picture`. Shrinking takes the mean over whole blocks first and
    interpolates the rest, below a factor of two, linearly: for 480 -> 224 about six times as
    fast as the mean over fractional blocks, and it keeps fine patterns from aliasing.
    """
    if out is not None:
        _check_out(out, (height, width, *picture.shape[2:]))
    return _resize(centre_crop(picture, height, width), height, width, out)


def fit_message(data: Any, size: tuple[int, int], *, height: int, width: int, step: int,
                encoding: str, is_bigendian: bool = False,
                out: np.ndarray | None = None) -> np.ndarray:
    """Return a sensor_msgs/Image as RGB of `size` (height, width): uint8, (*size, 3).

    As `fit(to_rgb(...), *size, out)`, but colours are converted after the resizing where that
    gives the same picture (up to the rounding). Raises ImageError as `to_rgb` does.
    """
    if out is not None:
        _check_out(out, (*size, 3))
    layout = find_encoding(encoding)
    pixels = stored_pixels(data, height=height, width=width, step=step, encoding=encoding,
                           is_bigendian=is_bigendian)
    if not layout.per_pixel:
        return fit(layout.to_rgb(to_8bit(pixels)), *size, out)
    crop = to_8bit(centre_crop(pixels, *size))
    if layout.colour is None:
        return _resize(crop, *size, out)
    return layout.to_rgb(_resize(crop, *size), out)


def _resize(picture: np.ndarray, height: int, width: int,
            out: np.ndarray | None = None) -> np.ndarray:
    """Return all of `picture` resized, in `out` or in memory of its own."""
    return cv2.resize(_shrink_whole(picture, height, width), (width, height), dst=out,
                      interpolation=cv2.INTER_LINEAR)


def _shrink_whole(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `picture` shrunk by the largest whole factor that stays above the wanted size."""
    rows, cols = picture.shape[:2]
    factor = min(rows // height, cols // width)
    if factor < 2:
        return picture
    rows, cols = rows // factor, cols // factor
    blocks = _centre(picture, rows * factor, cols * factor)
    return cv2.resize(blocks, (cols, rows), interpolation=cv2.INTER_AREA)


def _centre(picture: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Return the centred view of `rows` x `cols` pixels."""
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - cols) // 2
    return picture[top:top + rows, left:left + cols]


def _check_out(out: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError for an `out` that OpenCV would silently replace by another array."""
    if out.shape != shape or out.dtype != np.uint8:
        raise ValueError(f'out must be uint8 {shape}, not {out.dtype} {out.shape}')
