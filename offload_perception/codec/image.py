"""The image itself on the link: JPEG and WebP of an RGB tensor, through OpenCV."""

import struct

import cv2
import numpy as np

from offload_perception.codec.container import Buffer
from offload_perception.errors import DecodeError
from offload_perception.tensor import TensorSpec

_READ = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOFn of ITU-T T.81, table B.1


def is_rgb(spec: TensorSpec) -> bool:
    """Tell whether `spec` is an image: uint8, H x W x 3."""
    return spec.dtype == 'uint8' and len(spec.shape) == 3 and spec.shape[2] == 3 and spec.size > 0


def encode_jpeg(q: np.ndarray, spec: TensorSpec, quality: int) -> list[Buffer]:
    """Return `q`, RGB, as a JPEG file."""
    return [_encode('.jpg', q, cv2.IMWRITE_JPEG_QUALITY, quality)]


def encode_webp(q: np.ndarray, spec: TensorSpec, quality: int) -> list[Buffer]:
    """Return `q`, RGB, as a lossy WebP file."""
    return [_encode('.webp', q, cv2.IMWRITE_WEBP_QUALITY, quality)]


def decode_jpeg(payload: memoryview, spec: TensorSpec, _: int) -> np.ndarray:
    """Return the RGB image of a JPEG file, uint8 (H, W, 3)."""
    return _decode(payload, spec, _jpeg_size)


def decode_webp(payload: memoryview, spec: TensorSpec, _: int) -> np.ndarray:
    """Return the RGB image of a WebP file, uint8 (H, W, 3)."""
    return _decode(payload, spec, _webp_size)


def _encode(suffix: str, rgb: np.ndarray, key: int, quality: int) -> np.ndarray:
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [key, quality])[1]


def _decode(payload: memoryview, spec: TensorSpec, size_of) -> np.ndarray:
    """Decode after the file's own size was checked: a file may claim gigapixels."""
    try:
        size = size_of(payload)
        bgr = (cv2.imdecode(np.frombuffer(payload, np.uint8), _READ)
               if size == spec.shape[:2] else None)
    except (struct.error, IndexError, cv2.error) as e:
        raise DecodeError(f'broken image: {e}') from e
    if bgr is None or bgr.shape != spec.shape:
        raise DecodeError(f'image of {size} (height, width) is broken or not {spec.shape[:2]}')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)


def _jpeg_size(file: memoryview) -> tuple[int, int]:
    """Return (height, width) from the frame header, found by walking the marker segments."""
    at = 2
    while file[at] == 0xFF and file[at + 1] not in _FRAME_HEADERS:
        at += 2 + struct.unpack_from('>H', file, at + 2)[0]
    return struct.unpack_from('>HH', file, at + 5)


def _webp_size(file: memoryview) -> tuple[int, int]:
    """Return (height, width) of a simple lossy WebP file (RFC 9649, section 2.5)."""
    if file[12:16] != b'VP8 ':
        raise DecodeError('only simple lossy WebP files are read')
    width, height = struct.unpack_from('<HH', file, 26)
    return height & 0x3FFF, width & 0x3FFF
