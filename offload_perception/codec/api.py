"""Encode and decode a tensor: what the rest of the package uses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offload_perception.codec.container import DTYPES, Buffer, codec_number, pack, unpack
from offload_perception.codec.registry import (
    AUTO,
    Learned,
    check_name,
    numbered,
    parse,
    setting_of,
)
from offload_perception.errors import ConfigError
from offload_perception.tensor import Tensors, TensorSpec


@dataclass(frozen=True)
class Decoded:
    """A tensor that came over the link, and the codec setting that it came with."""

    array: np.ndarray
    codec: str


def encode(q: np.ndarray, spec: TensorSpec, codec: str = AUTO, *,
           learned: Learned | None = None) -> memoryview:
    """Return `q`, an array like `spec`, as a byte string that `decode` reads.

    :param codec: `auto`, a name of `codecs()`, or a name with numbers (`zstd:3`, `jpeg:90`,
        `lossy:3:96` for 3 bits and a clip at 96; `Calibration.setting` knows the clip).
    :param learned: what was learned for the cut, which codecs `transform` and `latent` need.
    :raises ConfigError: for a codec that is unknown or cannot take this tensor, or for a `q`
        of another shape or type than `spec` says.
    """
    if spec.dtype not in DTYPES:
        return encode(as_bytes(q), bytes_of(spec), _codec_of_bytes(codec))
    setting = parse(codec, spec)
    if q.shape != spec.shape or q.dtype != spec.dtype:
        raise ConfigError(f'tensor of {q.dtype} {q.shape}, but the cut has {spec.dtype} '
                          f'{spec.shape}; leave the batch dimension out')
    extra = (learned,) if setting.codec.learned else ()
    parts = setting.codec.encode(np.ascontiguousarray(q), spec, *setting.parameters, *extra)
    return pack(spec, setting.codec.number, setting.parameters, parts)


def encode_tensors(xs: Tensors, specs: Sequence[TensorSpec], codec: str = AUTO, *,
                   learned: Learned | None = None) -> list[memoryview]:
    """Return each of the tensors that cross a cut as a byte string.

    Parameters as for `encode`; see `setting_of_each` for what cannot take `codec`.

    :raises ConfigError: if none of them can.
    """
    return [encode(x, spec, name, learned=learned)
            for x, spec, name in zip(xs, specs, setting_of_each(codec, specs), strict=True)]


def setting_of_each(codec: str, specs: Sequence[TensorSpec]) -> list[str]:
    """Return the codec of each tensor at a cut: `codec`, or `auto` if it cannot take that one.

    Codecs that are calibrated take the tensor of a cut with a single one alone.

    :raises ConfigError: if it can take none of them.
    """
    if len(specs) == 1:
        if specs[0].dtype in DTYPES:
            parse(codec, specs[0])
        return [codec]
    check_name(codec)
    taken = [_can_take(codec, spec) for spec in specs]
    if not any(taken):
        raise ConfigError(f"codec '{codec}' can take none of the {len(specs)} tensors at this "
                          f'cut; use {AUTO}')
    return [codec if can else AUTO for can in taken]


def _can_take(codec: str, spec: TensorSpec) -> bool:
    if spec.dtype not in DTYPES:
        return codec == _codec_of_bytes(codec)
    try:
        return parse(codec, spec).codec.learned is None
    except ConfigError:
        return False


def bytes_of(spec: TensorSpec) -> TensorSpec:
    """Return how a tensor of a type that the stream has no number for is sent: as its bytes."""
    return TensorSpec((spec.nbytes,), 'uint8')


def as_bytes(x: np.ndarray) -> np.ndarray:
    """Return the bytes of a tensor."""
    return np.ascontiguousarray(x).reshape(-1).view(np.uint8)


def _codec_of_bytes(codec: str) -> str:
    return codec if codec.partition(':')[0] in ('raw', 'zstd') else 'zstd'


def decode(data: Buffer, spec: TensorSpec, *, learned: Learned | None = None) -> Decoded:
    """Return the tensor in `data`, which has to be one like `spec`.

    The array may be a view on `data` (codec `raw`): treat it as read-only, and keep it no longer
    than `data` stays unchanged. Nothing larger than `spec` says is allocated for it.

    :param learned: as in `encode`.
    :raises DecodeError: if the data are damaged or hold another tensor.
    """
    if spec.dtype not in DTYPES:
        found = decode(data, bytes_of(spec))
        return Decoded(np.ascontiguousarray(found.array).view(spec.dtype).reshape(spec.shape),
                       found.codec)
    codec = numbered(codec_number(data))
    stream = unpack(data, spec, len(codec.parameters))
    setting = setting_of(codec, stream.parameters, spec)
    extra = (learned,) if codec.learned else ()
    array = codec.decode(stream.payload, spec, *setting.parameters, *extra)
    return Decoded(array, str(setting))
