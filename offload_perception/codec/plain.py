"""General codecs: the bytes as they are, and zstd."""

import numpy as np

from offload_perception.codec.container import Buffer
from offload_perception.codec.layout import channels_first, channels_last
from offload_perception.errors import DecodeError
from offload_perception.tensor import TensorSpec


def encode_raw(q: np.ndarray, spec: TensorSpec) -> list[Buffer]:
    """Return the elements in memory order."""
    return [q.reshape(-1).view(np.uint8)]


def decode_raw(payload: memoryview, spec: TensorSpec) -> np.ndarray:
    """Return a view on `payload`; it can be written to only if the payload can."""
    if len(payload) != spec.nbytes:
        raise DecodeError(f'raw tensor of {len(payload)} bytes, its shape needs {spec.nbytes}')
    return np.frombuffer(payload, spec.dtype).reshape(spec.shape)


def encode_zstd(q: np.ndarray, spec: TensorSpec, level: int) -> list[Buffer]:
    """Return the elements in channel order, so that neighbours are similar, through zstd."""
    return [zstd(channels_first(q), level)]


def decode_zstd(payload: memoryview, spec: TensorSpec, _: int) -> np.ndarray:
    """Return a new array; never more than the tensor's own size is decompressed."""
    planes = np.frombuffer(unzstd(payload, spec.nbytes), spec.dtype)
    return channels_last(planes, spec.shape)


def zstd(data: np.ndarray, level: int = 1) -> bytes:
    """Return `data` as one zstd frame that states its content size."""
    import zstandard

    return zstandard.ZstdCompressor(level=level).compress(data.data)


def unzstd(data: memoryview, size: int) -> bytes:
    """Return the `size` bytes in the zstd frame `data`.

    :raises DecodeError: for a broken frame, or one of another size; then nothing is allocated.
    """
    import zstandard

    try:
        claimed = zstandard.frame_content_size(data)
        if claimed != size:
            raise DecodeError(f'zstd frame of {claimed} bytes; {size} are expected')
        content = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as e:
        raise DecodeError(f'zstd: {e}') from e
    if len(content) != size:
        raise DecodeError(f'zstd frame gave {len(content)} bytes; {size} are expected')
    return content
