"""The list of codecs: the one place that knows their names and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from offload_perception.codec import (
    adaptive,
    affine,
    features,
    image,
    latent,
    lossy,
    plain,
    transform,
)
from offload_perception.codec.container import Buffer
from offload_perception.codec.latent import LatentTables
from offload_perception.codec.transform import Basis
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

AUTO = 'auto'
Learned = Basis | LatentTables
"""What a codec may need that was learned for one cut of one model."""


class Parameter(NamedTuple):
    """A number after a colon in a codec's name (`zstd:3`), 0 to 255."""

    name: str
    default: int
    low: int
    high: int

    def __str__(self) -> str:
        """Return the name and the range."""
        return f'{self.name} {self.low}..{self.high}'


@dataclass(frozen=True)
class Codec:
    """One way to write a tensor as bytes.

    `number` is in the header and never changes its meaning. `encode` takes a contiguous
    tensor, its spec and one number for each of `parameters`; `decode` the payload and the
    same. `accepts` says which tensors it can take. One that needs
    something `learned` for its cut, of that class, takes it besides, as the last argument.
    `requires` names a Python package that not every installation has.
    """

    number: int
    name: str
    encode: Callable[..., list[Buffer]]
    decode: Callable[..., np.ndarray]
    parameters: tuple[Parameter, ...] = ()
    lossless: bool = True
    learned: type[Learned] | None = None
    accepts: Callable[[TensorSpec], bool] = lambda spec: True
    requires: str = ''

    @property
    def usage(self) -> str:
        """Return how the codec is written, with the ranges of its parameters."""
        return self.name + ''.join(f'[:{parameter}]' for parameter in self.parameters)


@dataclass(frozen=True)
class Setting:
    """A codec with its parameters; `str` of it is the name that `parse` reads."""

    codec: Codec
    parameters: tuple[int, ...]

    def __str__(self) -> str:
        """Return `name`, `name:number` or `name:number:number`."""
        return ':'.join((self.codec.name, *map(str, self.parameters)))


CODECS = (
    Codec(0, 'raw', plain.encode_raw, plain.decode_raw),
    Codec(1, 'zstd', plain.encode_zstd, plain.decode_zstd, (Parameter('level', 1, 1, 19),),
          requires='zstandard'),
    Codec(2, 'rans', features.encode_features, features.decode_features,
          accepts=features.is_quantised),
    Codec(3, 'transform', transform.encode_transform, transform.decode_transform,
          (Parameter('step', 32, transform.STEPS[0], transform.STEPS[-1]),),
          lossless=False, learned=Basis, accepts=lossy.is_rectified),
    Codec(4, 'lossy', lossy.encode_lossy, lossy.decode_lossy,
          (Parameter('bits', 4, lossy.BITS[0], lossy.BITS[-1]), Parameter('clip', 255, 1, 255)),
          lossless=False, accepts=features.is_feature_map),
    Codec(5, 'jpeg', image.encode_jpeg, image.decode_jpeg, (Parameter('quality', 90, 1, 100),),
          lossless=False, accepts=image.is_rgb),
    Codec(6, 'webp', image.encode_webp, image.decode_webp, (Parameter('quality', 80, 1, 100),),
          lossless=False, accepts=image.is_rgb),
    Codec(7, 'adaptive', adaptive.encode_adaptive, adaptive.decode_adaptive,
          accepts=features.is_quantised),
    Codec(8, 'affine', affine.encode_affine, affine.decode_affine, lossless=False,
          accepts=affine.is_float),
    Codec(9, 'latent', latent.encode_latent, latent.decode_latent,
          (Parameter('step', 16, latent.STEPS[0], latent.STEPS[-1]),),
          lossless=False, learned=LatentTables, accepts=latent.is_latent),
)


def codecs() -> tuple[str, ...]:
    """Return the names that `parse` takes, without their parameters."""
    return (AUTO, *(codec.name for codec in CODECS))


def parse(name: str, spec: TensorSpec) -> Setting:
    """Return the codec called `name`, `name:number` or so, for a tensor like `spec`.

    `auto` is the lossless codec of best size for its time, for that kind of tensor.

    :raises ConfigError: for an unknown name, a number out of range, a tensor it cannot take, or
        a Python package that is not installed.
    """
    codec, parameters = _named(_choose(spec) if name == AUTO else name)
    if not codec.accepts(spec):
        raise ConfigError(f"codec '{name}' cannot take a {spec.dtype} tensor of shape "
                          f'{spec.shape} with zero point {spec.zero_point}; use {AUTO}')
    if lacking := _lacking(codec):
        raise ConfigError(lacking)
    return Setting(codec, parameters)


def check_name(name: str) -> None:
    """Refuse a codec that does not exist, whatever the tensor; raises ConfigError."""
    if name != AUTO:
        _named(name)


def _named(name: str) -> tuple[Codec, tuple[int, ...]]:
    """Return the codec that `name` begins with and its parameters; raises ConfigError."""
    base, *numbers = name.strip().split(':')
    codec = next((c for c in CODECS if c.name == base), None)
    if codec is None:
        usages = ', '.join(codec.usage for codec in CODECS)
        raise ConfigError(f"unknown codec '{name}'; use {AUTO} or one of {usages}")
    given = tuple(int(number) if number.isdecimal() else -1 for number in numbers)
    parameters = (*given, *(p.default for p in codec.parameters[len(given):]))
    if not _in_range(codec, parameters):
        raise ConfigError(f"codec '{name}': its usage is {codec.usage}")
    return codec, parameters


def numbered(number: int) -> Codec:
    """Return the codec that a header names by `number`.

    :raises DecodeError: if this software has none, or lacks what it requires.
    """
    codec = next((c for c in CODECS if c.number == number), None)
    if codec is None:
        raise DecodeError(f'encoded with codec number {number}, unknown to this software; '
                          'install the same version on drone and server')
    if lacking := _lacking(codec):
        raise DecodeError(lacking)
    return codec


@cache
def _lacking(codec: Codec) -> str:
    """Return why an installation has no such codec; empty if it has."""
    if not codec.requires or find_spec(codec.requires):
        return ''
    return (f"codec '{codec.name}' needs the Python package {codec.requires}, which is not "
            f'installed: pip install {codec.requires}')


def setting_of(codec: Codec, parameters: tuple[int, ...], spec: TensorSpec) -> Setting:
    """Return the setting that a stream of a tensor like `spec` came with.

    :raises DecodeError: if the codec cannot have made such a tensor.
    """
    if not _in_range(codec, parameters) or not codec.accepts(spec):
        raise DecodeError(f'{codec.name} cannot have made a {spec.dtype} tensor of shape '
                          f'{spec.shape} with parameters {parameters}')
    return Setting(codec, parameters)


def _in_range(codec: Codec, parameters: tuple[int, ...]) -> bool:
    return len(parameters) == len(codec.parameters) and all(
        p.low <= number <= p.high for p, number in zip(codec.parameters, parameters, strict=True))


def _choose(spec: TensorSpec) -> str:
    """Return the codec that `auto` means.

    The tables of `rans` are made for activations after a ReLU, and not for images.
    """
    if not features.is_quantised(spec) or image.is_rgb(spec):
        return 'zstd'
    return 'rans' if adaptive.zero_of(spec) == 0 else 'adaptive'
