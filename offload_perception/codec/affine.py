"""Lossy: a float tensor as 8-bit steps from its least to its largest number, as `adaptive`.

The payload starts with the scale (float32, little-endian) and the step of zero (u8), both chosen
for the very tensor; a step `q` stands for `scale * (q - zero)`, and zero stays exactly zero.
"""

import struct
from math import isfinite

import cv2
import numpy as np

from offload_perception.codec.adaptive import decode_planes, encode_planes
from offload_perception.codec.container import Buffer
from offload_perception.codec.features import planes_shape, to_planes
from offload_perception.codec.layout import channels_last, matrix_shape
from offload_perception.errors import DecodeError
from offload_perception.tensor import TensorSpec

_HEAD, _STEPS, _FLOATS = struct.Struct('<fB'), 255, np.finfo(np.float32)


def is_float(spec: TensorSpec) -> bool:
    """Return whether `spec` is a float32 tensor that is not empty."""
    return spec.dtype == 'float32' and spec.size > 0


def encode_affine(x: np.ndarray, spec: TensorSpec) -> list[Buffer]:
    """Return the payload of `x`, float32 (..., C); what is not finite counts as the nearest."""
    finite = np.nan_to_num(x)
    low, high = min(float(finite.min()), 0.0), max(float(finite.max()), 0.0)
    scale = float(np.float32(max((high - low) / _STEPS, float(_FLOATS.tiny))))
    zero = min(max(round(-low / scale), 0), _STEPS)
    steps = np.clip(np.rint(finite / np.float32(scale)) + zero, 0, _STEPS).astype(np.uint8)
    return [_HEAD.pack(scale, zero), encode_planes(to_planes(steps), zero)]


def decode_affine(payload: memoryview, spec: TensorSpec) -> np.ndarray:
    """Return a tensor like `spec`, as a new array."""
    if len(payload) < _HEAD.size:
        raise DecodeError('affine: the payload ends in its header')
    scale, zero = _HEAD.unpack_from(payload)
    if not isfinite(scale) or scale <= 0:
        raise DecodeError(f'affine: {scale} is no scale')
    planes = decode_planes(payload[_HEAD.size:], planes_shape(spec.shape), zero)
    numbers = ((np.arange(256) - zero) * scale).clip(_FLOATS.min, _FLOATS.max).astype(np.float32)
    return cv2.LUT(channels_last(planes, matrix_shape(spec.shape)), numbers).reshape(spec.shape)
