"""The image itself on the link: JPEG and WebP of an RGB tensor."""

import cv2
import numpy as np

from offload_perception.codec.container import Buffer
from offload_perception.errors import DecodeError, ImageError
from offload_perception.pictures import Bound, decode
from offload_perception.tensor import TensorSpec


def is_rgb(spec: TensorSpec) -> bool:
    """Return whether `spec` is an image: uint8, H x W x 3."""
    return spec.dtype == 'uint8' and len(spec.shape) == 3 and spec.shape[2] == 3 and spec.size > 0


def encode_jpeg(q: np.ndarray, spec: TensorSpec, quality: int) -> list[Buffer]:
    """Return `q`, RGB, as a JPEG file."""
    return [_encode('.jpg', q, cv2.IMWRITE_JPEG_QUALITY, quality)]


def encode_webp(q: np.ndarray, spec: TensorSpec, quality: int) -> list[Buffer]:
    """Return `q`, RGB, as a lossy WebP file."""
    return [_encode('.webp', q, cv2.IMWRITE_WEBP_QUALITY, quality)]


def decode_jpeg(payload: memoryview, spec: TensorSpec, _: int) -> np.ndarray:
    """Return the RGB image of a JPEG file, uint8 (H, W, 3)."""
    return _decode(payload, spec, 'jpeg')


def decode_webp(payload: memoryview, spec: TensorSpec, _: int) -> np.ndarray:
    """Return the RGB image of a WebP file, uint8 (H, W, 3)."""
    return _decode(payload, spec, 'webp')


def _encode(suffix: str, rgb: np.ndarray, key: int, quality: int) -> np.ndarray:
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [key, quality])[1]


def _decode(payload: memoryview, spec: TensorSpec, kind: str) -> np.ndarray:
    """Decode a file of this kind and of the tensor's own size, and nothing else."""
    height, width, _ = spec.shape
    try:
        return decode(payload, Bound((kind,), spec.size, (height, width), turned=False))
    except ImageError as e:
        raise DecodeError(f'encoded image: {e}') from e
