"""The stream of every encoded tensor: a header of 6 to 8 bytes, and the payload.

    0  u8   format: 0xA5, another one if the layout changes
    1  u8   number of the codec
    2  u32  CRC-32 of the tensor's description and of all other bytes, little-endian
    6  u8   each parameter of the codec, none to two

The description (type, shape, scale, zero point) does not travel here: both ends know it, from the
model and the cut, and a recorded message lists it beside. The CRC finds transmission errors and
tensors that are not the expected ones; it is no signature.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

Buffer = bytes | bytearray | memoryview | np.ndarray
FORMAT, MAX_DIMENSIONS = 0xA5, 7
DTYPES = ('int8', 'uint8', 'float32')
_HEAD = struct.Struct('<BBI')
_BEFORE_CRC = 2


@dataclass(frozen=True)
class Stream:
    """What a stream holds: the number of the codec, its parameters, the payload."""

    codec: int
    parameters: tuple[int, ...]
    payload: memoryview


def view_of(data: Buffer) -> memoryview:
    """Return the bytes of `data`, which is contiguous, without a copy."""
    return (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast('B')


def check_byte(*arrays: np.ndarray) -> int:
    """Return a byte, 0 to 255, that other arrays would hardly have."""
    return sum(zlib.crc32(np.ascontiguousarray(a).data) for a in arrays) & 0xFF


def pack(spec: TensorSpec, codec: int, parameters: tuple[int, ...],
         parts: list[Buffer]) -> memoryview:
    """Return header and payload `parts` as one contiguous read-write buffer."""
    if len(spec.shape) > MAX_DIMENSIONS or max(spec.shape, default=0) > 0xFFFF:
        raise ConfigError(f'a tensor of shape {spec.shape} cannot be encoded: at most '
                          f'{MAX_DIMENSIONS} dimensions, up to 65535 each')
    views = [memoryview(bytes(parameters)), *map(view_of, parts)]
    out = np.empty(_HEAD.size + sum(view.nbytes for view in views), np.uint8).data
    _HEAD.pack_into(out, 0, FORMAT, codec, 0)
    at = _HEAD.size
    for view in views:
        out[at:at + view.nbytes] = view
        at += view.nbytes
    _HEAD.pack_into(out, 0, FORMAT, codec, _crc(out, spec))
    return out


def codec_number(data: Buffer) -> int:
    """Return the number of the codec of a stream.

    :raises DecodeError: if `data` is none of this format.
    """
    view = view_of(data)
    if len(view) < _HEAD.size:
        raise DecodeError(f'{len(view)} bytes are shorter than the header of an encoded tensor')
    if view[0] != FORMAT:
        raise DecodeError(f'not an encoded tensor of format {FORMAT:#x} but of {view[0]:#x}; '
                          'install the same version on drone and server')
    return view[1]


def unpack(data: Buffer, spec: TensorSpec, parameters: int) -> Stream:
    """Return the stream in `data` of a tensor like `spec`, whose codec has `parameters` of them.

    The payload is a view, nothing is copied.

    :raises DecodeError: if `data` is no intact stream of such a tensor.
    """
    view, number = view_of(data), codec_number(data)
    _, _, crc = _HEAD.unpack_from(view)
    if crc != _crc(view, spec):
        raise DecodeError(f'the checksum does not match: the data are damaged, or hold no '
                          f'{spec.dtype} {spec.shape} of scale {spec.scale:g}, zero point '
                          f'{spec.zero_point}')
    end = _HEAD.size + parameters
    if len(view) < end:
        raise DecodeError(f'{len(view)} bytes are shorter than a header of {end}')
    return Stream(number, tuple(view[_HEAD.size:end]), view[end:])


def _crc(stream: memoryview, spec: TensorSpec) -> int:
    """Return the CRC-32 (ISO-HDLC) of a stream without the field that stores it."""
    described = zlib.crc32(struct.pack(
        f'<Bfq{len(spec.shape)}q', DTYPES.index(spec.dtype), spec.scale, spec.zero_point,
        *spec.shape))
    return zlib.crc32(stream[_HEAD.size:], zlib.crc32(stream[:_BEFORE_CRC], described))
