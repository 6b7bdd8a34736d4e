"""The stream of every encoded tensor: a small header and a checksum over all of it.

Little-endian; 16 to 20 bytes for a tensor of three dimensions, and one for each parameter:

    0  u8   magic 'O'         3  u8   dtype number (2 bits), wide scale (1),
    1  u8   version                   parameters (2), dimensions (3)
    2  u8   codec number      4  u32  CRC-32 of all else
    8  u8   each parameter, then the scale (float32, or float64 if it needs it), the zero point
            above the lowest number of the type (zigzag), each dimension; the last as LEB128

The CRC finds transmission errors; it is no signature. Nothing is allocated before the
size in the header, which may be forged, was compared with the caller's bound.
"""

import struct
import zlib
from dataclasses import dataclass
from math import isfinite

import numpy as np

from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

Buffer = bytes | bytearray | memoryview | np.ndarray
MAGIC, VERSION, MAX_DIMENSIONS = ord('O'), 2, 7
DTYPES = {'int8': -128, 'uint8': 0, 'float32': 0}  # and the lowest number of the quantised ones
_NAMES = tuple(DTYPES)
_HEAD, _LONGEST = struct.Struct('<BBBBI'), 5


@dataclass(frozen=True)
class Stream:
    """What a stream holds: the tensor's description, the codec that made the payload, and it."""

    spec: TensorSpec
    codec: int
    parameters: tuple[int, ...]
    payload: memoryview


def view_of(data: Buffer) -> memoryview:
    """Return the bytes of `data`, which is contiguous, without a copy."""
    return (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast('B')


def pack(spec: TensorSpec, codec: int, parameters: tuple[int, ...],
         parts: list[Buffer]) -> memoryview:
    """Return header and payload `parts` as one contiguous read-write buffer."""
    if len(spec.shape) > MAX_DIMENSIONS or max(spec.shape, default=0) > 0xFFFF:
        raise ConfigError(f'a tensor of shape {spec.shape} cannot be encoded: at most '
                          f'{MAX_DIMENSIONS} dimensions, up to 65535 each')
    scale = struct.pack('<f', spec.scale)
    wide = struct.unpack('<f', scale)[0] != spec.scale
    zero = spec.zero_point - DTYPES[spec.dtype]
    details = b''.join((
        bytes(parameters), struct.pack('<d', spec.scale) if wide else scale,
        _varint(2 * zero if zero >= 0 else -2 * zero - 1), *map(_varint, spec.shape)))
    views = [memoryview(details), *map(view_of, parts)]
    out = np.empty(_HEAD.size + sum(view.nbytes for view in views), np.uint8).data
    kind = _NAMES.index(spec.dtype) | wide << 2 | len(parameters) << 3 | len(spec.shape) << 5
    _HEAD.pack_into(out, 0, MAGIC, VERSION, codec, kind, 0)
    at = _HEAD.size
    for view in views:
        out[at:at + view.nbytes] = view
        at += view.nbytes
    _HEAD.pack_into(out, 0, MAGIC, VERSION, codec, kind, _crc(out))
    return out


def unpack(data: Buffer, max_bytes: int) -> Stream:
    """Return the frame in `data`; its payload is a view, nothing is copied.

    :raises DecodeError: if `data` is no intact frame, or its tensor exceeds `max_bytes`.
    """
    view = view_of(data)
    if len(view) < _HEAD.size:
        raise DecodeError(f'{len(view)} bytes are shorter than the header of an encoded tensor')
    magic, version, codec, kind, crc = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise DecodeError('not an encoded tensor: the magic byte is missing')
    if version != VERSION:
        raise DecodeError(f'encoded tensor of version {version}, this software reads {VERSION}; '
                          'install the same version on drone and server')
    if crc != _crc(view):
        raise DecodeError('encoded tensor is damaged: its checksum does not match')
    spec, parameters, body = _details(view, kind)
    if spec.nbytes > max_bytes:
        raise DecodeError(f'a tensor of {spec.nbytes} bytes exceeds the bound of {max_bytes}')
    return Stream(spec, codec, parameters, view[body:])


def _details(view: memoryview, kind: int) -> tuple[TensorSpec, tuple[int, ...], int]:
    """Return the tensor, the parameters, and where the payload starts."""
    dtype, wide, count, ndim = kind & 3, kind >> 2 & 1, kind >> 3 & 3, kind >> 5
    at = _HEAD.size + count
    try:
        scale, = struct.unpack_from('<d' if wide else '<f', view, at)
        zero, at = _read_varint(view, at + (8 if wide else 4))
        shape = []
        for _ in range(ndim):
            size, at = _read_varint(view, at)
            shape.append(size)
        lowest = DTYPES[_NAMES[dtype]]
    except (struct.error, IndexError) as e:
        raise DecodeError('encoded tensor has a malformed header') from e
    if not isfinite(scale) or max(shape, default=0) > 0xFFFF:
        raise DecodeError('encoded tensor has a malformed header')
    zero_point = (zero >> 1 ^ -(zero & 1)) + lowest
    return (TensorSpec(tuple(shape), _NAMES[dtype], scale, zero_point),
            tuple(view[_HEAD.size:_HEAD.size + count]), at)


def _varint(number: int) -> bytes:
    """Return a number from zero up as LEB128: 7 bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the number at `at`, and the position after it; IndexError if it does not end."""
    number = 0
    for i in range(_LONGEST):
        number |= (view[at + i] & 127) << 7 * i
        if view[at + i] < 128:
            return number, at + i + 1
    raise IndexError('a number has no end')


def _crc(frame: memoryview) -> int:
    """Return the CRC-32 (ISO-HDLC) of a frame without the field that stores it."""
    return zlib.crc32(frame[_HEAD.size:], zlib.crc32(frame[:_HEAD.size - 4]))
