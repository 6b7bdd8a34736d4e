"""The frame around every encoded tensor: a small header and a checksum over all of it.

Little-endian, 22 bytes and 2 for each dimension:

     0  2s  magic 'OT'          5  2u8  codec parameters      10  f64  scale
     2  u8  version             7  u8   dtype number (low 4   18  u32  CRC-32 of all else
     3  u8  codec number                bits) and dimensions  22  u16  dimensions, one each
     4  u8  zero                8  i16  zero point                 ... then the payload

The CRC finds transmission errors; it is no signature. Whatever a forged header claims, nothing
is allocated before the claim was held against the caller's bound.
"""

import struct
import zlib
from dataclasses import dataclass
from math import isfinite

import numpy as np

from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

Buffer = bytes | bytearray | memoryview | np.ndarray
MAGIC, VERSION, MAX_DIMENSIONS = b'OT', 1, 8
DTYPES = ('int8', 'uint8', 'float32')
PARAMETERS = 2
_HEAD = struct.Struct('<2sBBBBBBhdI')


@dataclass(frozen=True)
class Frame:
    """What a frame holds: the tensor's description, the codec that made the payload, and it."""

    spec: TensorSpec
    codec: int
    parameters: tuple[int, ...]
    payload: memoryview


def pack(spec: TensorSpec, codec: int, parameters: tuple[int, ...],
         parts: list[Buffer]) -> memoryview:
    """Return header and payload `parts` as one contiguous read-write buffer."""
    views = [_dimensions(spec), *(memoryview(part).cast('B') for part in parts)]
    out = np.empty(_HEAD.size + sum(view.nbytes for view in views), np.uint8).data
    padded = (*parameters, 0, 0)[:PARAMETERS]
    kind = DTYPES.index(spec.dtype) | len(spec.shape) << 4
    fields = MAGIC, VERSION, codec, 0, *padded, kind, spec.zero_point, spec.scale
    _HEAD.pack_into(out, 0, *fields, 0)
    at = _HEAD.size
    for view in views:
        out[at:at + view.nbytes] = view
        at += view.nbytes
    _HEAD.pack_into(out, 0, *fields, _crc(out))
    return out


def unpack(data: Buffer, max_bytes: int) -> Frame:
    """Return the frame in `data`; its payload is a view, nothing is copied.

    :raises DecodeError: if `data` is no intact frame, or its tensor exceeds `max_bytes`.
    """
    view = memoryview(data).cast('B')
    if len(view) < _HEAD.size:
        raise DecodeError(f'{len(view)} bytes are shorter than the header of an encoded tensor')
    magic, version, codec, zero, *parameters, kind, zero_point, scale, crc = (
        _HEAD.unpack_from(view))
    if magic != MAGIC:
        raise DecodeError('not an encoded tensor: the magic bytes are missing')
    if version != VERSION:
        raise DecodeError(f'encoded tensor of version {version}, this software reads {VERSION}; '
                          'install the same version on drone and server')
    if crc != _crc(view):
        raise DecodeError('encoded tensor is damaged: its checksum does not match')
    dtype, ndim = kind & 15, kind >> 4
    body = _HEAD.size + 2 * ndim
    if (zero or dtype >= len(DTYPES) or ndim > MAX_DIMENSIONS or not isfinite(scale)
            or len(view) < body):
        raise DecodeError('encoded tensor has a malformed header')
    shape = struct.unpack_from(f'<{ndim}H', view, _HEAD.size)
    spec = TensorSpec(shape, DTYPES[dtype], scale, zero_point)
    if spec.nbytes > max_bytes:
        raise DecodeError(f'a tensor of {spec.nbytes} bytes exceeds the bound of {max_bytes}')
    return Frame(spec, codec, tuple(parameters), view[body:])


def _dimensions(spec: TensorSpec) -> memoryview:
    if len(spec.shape) > MAX_DIMENSIONS or max(spec.shape, default=0) > 0xFFFF:
        raise ConfigError(f'a tensor of shape {spec.shape} cannot be encoded: at most '
                          f'{MAX_DIMENSIONS} dimensions, up to 65535 each')
    return memoryview(struct.pack(f'<{len(spec.shape)}H', *spec.shape))


def _crc(frame: memoryview) -> int:
    """Return the CRC-32 (ISO-HDLC) of a frame without the field that stores it."""
    return zlib.crc32(frame[_HEAD.size:], zlib.crc32(frame[:_HEAD.size - 4]))
