"""Fit a picture to the shape of a network's input."""

from typing import Any

import cv2
import numpy as np

from offload_perception.fitting import check_fit
from offload_perception.imaging.encodings import (
    FULL_RANGE,
    ValueRange,
    find_encoding,
    stored_pixels,
)


def centre_crop(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the largest centred view of `picture` with the aspect of height x width."""
    rows, cols = picture.shape[:2]
    crop_rows = max(1, min(rows, round(cols * height / width)))
    crop_cols = max(1, min(cols, round(rows * width / height)))
    return _centre(picture, crop_rows, crop_cols)


def fit(picture: np.ndarray, height: int, width: int, out: np.ndarray | None = None, *,
        how: str = 'crop') -> np.ndarray:
    """Return `picture` resized to (height, width[, C]) uint8, in one of three ways.

    `crop` takes the largest centred part of the wanted aspect, `letterbox` the whole picture
    with black beside it, `stretch` the whole picture with its aspect changed. This is what the
    drone does with every image; training, calibration and measurement have to do the same.

    Takes any uint8 picture with rows, columns and perhaps up to 4 channels, also a view.
    The result is written straight into `out` if that is given (its channels contiguous), and
    never shares memory with `picture`. Shrinking takes the mean over whole blocks first and
    interpolates the rest, below a factor of two, linearly: for 480 -> 224 about six times as
    fast as the mean over fractional blocks, and it keeps fine patterns from aliasing.

    :raises ConfigError: for another way.
    """
    if out is not None:
        _check_out(out, (height, width, *picture.shape[2:]))
    seen, place = _placed(picture, height, width, how)
    return _resize_into(seen, height, width, place, out)


def fit_message(data: Any, size: tuple[int, int], *, height: int, width: int, step: int,
                encoding: str, is_bigendian: bool = False, out: np.ndarray | None = None,
                how: str = 'crop', values: ValueRange = FULL_RANGE) -> np.ndarray:
    """Return a sensor_msgs/Image as RGB of `size` (height, width): uint8, (*size, 3).

    As `fit(to_rgb(...), *size, out)`, but colours are converted after the resizing if that
    gives the same picture (up to the rounding). Raises ImageError as `to_rgb` does.
    """
    if out is not None:
        _check_out(out, (*size, 3))
    layout = find_encoding(encoding)
    pixels = stored_pixels(data, height=height, width=width, step=step, encoding=encoding,
                           is_bigendian=is_bigendian)
    if not layout.per_pixel:
        return fit(layout.to_rgb(values.to_8bit(pixels)), *size, out, how=how)
    seen, place = _placed(pixels, *size, how)
    seen = values.to_8bit(seen)
    if layout.colour is None:
        return _resize_into(seen, *size, place, out)
    return layout.to_rgb(_resize_into(seen, *size, place), out)


def boxes_in_picture(boxes: np.ndarray, picture: tuple[int, int], wanted: tuple[int, int],
                     how: str) -> np.ndarray:
    """Return boxes in the pixels of a picture that was fitted as `fit` does, and cut at its edges.

    :param boxes: (n, 4) as ymin, xmin, ymax, xmax in 0..1 of the fitted picture.
    :param picture, wanted: (height, width) of the picture and of what it was fitted to.
    :returns: float32 (n, 4) as xmin, ymin, xmax, ymax [pixels].
    """
    (rows, cols), (height, width) = picture, wanted
    seen, place = _placed(np.empty((rows, cols, 0), np.uint8), height, width, how)
    origin = np.array([(cols - seen.shape[1]) // 2, (rows - seen.shape[0]) // 2], float)
    border = np.array([(width - place[1]) // 2, (height - place[0]) // 2], float)
    scale = np.array([seen.shape[1] / place[1], seen.shape[0] / place[0]])
    corners = boxes.reshape(-1, 2, 2)[:, :, ::-1] * (width, height)  # x before y
    corners = (corners - border) * scale + origin
    clipped: np.ndarray = np.clip(corners, 0, (cols, rows)).reshape(-1, 4).astype(np.float32)
    return clipped


def _placed(picture: np.ndarray, height: int, width: int,
            how: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the view of `picture` that is shown, and the (rows, columns) that it fills."""
    if how == 'crop':
        return centre_crop(picture, height, width), (height, width)
    if how == 'stretch':
        return picture, (height, width)
    check_fit(how)
    scale = min(height / picture.shape[0], width / picture.shape[1])
    return picture, (max(1, round(picture.shape[0] * scale)),
                     max(1, round(picture.shape[1] * scale)))


def _resize_into(picture: np.ndarray, height: int, width: int, place: tuple[int, int],
                 out: np.ndarray | None = None) -> np.ndarray:
    """Return all of `picture` resized to `place`, in the middle of black if that is smaller."""
    if place == (height, width):
        return _resize(picture, height, width, out)
    out = np.empty((height, width, *picture.shape[2:]), np.uint8) if out is None else out
    out[:] = 0
    _centre(out, *place)[:] = _resize(picture, *place)
    return out


def _resize(picture: np.ndarray, height: int, width: int,
            out: np.ndarray | None = None) -> np.ndarray:
    """Return all of `picture` resized, in `out` or in memory of its own.

    EXACT gives the same picture on every processor: drone and tests see what a server sees.
    """
    return cv2.resize(_shrink_whole(picture, height, width), (width, height), dst=out,
                      interpolation=cv2.INTER_LINEAR_EXACT)


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
