"""Order of elements: channel by channel packs better, the network wants channels last."""

from math import prod

import cv2
import numpy as np


def channels_first(q: np.ndarray) -> np.ndarray:
    """Return the elements of `q`, shape (..., C), as a new matrix (C, positions)."""
    return _transpose(q.reshape(matrix_shape(q.shape)))


def channels_last(planes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the new tensor of `shape` whose elements `channels_first` had put in order."""
    positions, channels = matrix_shape(shape)
    return _transpose(planes.reshape(channels, positions)).reshape(shape)


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (positions, channels) of a tensor whose last dimension is the channel."""
    return prod(shape[:-1]), shape[-1] if shape else 1


def _transpose(matrix: np.ndarray) -> np.ndarray:
    """Return the transpose as a new array; OpenCV's is several times faster than numpy's."""
    if 0 in matrix.shape:
        return np.empty(matrix.shape[::-1], matrix.dtype)
    return cv2.transpose(matrix)
