"""The shape of a learned bottleneck: where it joins its teacher, and how large its encoder is.

Layers 1 to j of the teacher are replaced by an encoder, a bottleneck and a decoder. The encoder
halves the image with strided convolutions, two full ones and then depthwise separable ones, as
MobileNets do (arXiv:1704.04861), and has only operators that the Edge TPU takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from offload_perception.errors import ModelError
from offload_perception.network.artefact import BOTTLENECK
from offload_perception.network.layer_cuts import PREPROCESS

BITS_PER_POSITION = 8.0  # at least, on average: fewer do not pay for a position of their own
_FIRST_KERNEL, _KERNEL = 5, 3
_WIDTHS = [(w, f) for w in range(2, 257) for f in range(7 * w, 8 * w + 1)]
_SPATIAL = ('Conv2D', 'MaxPooling2D', 'AveragePooling2D')


@dataclass(frozen=True)
class Convolution:
    """A convolution of the encoder: `depthwise`, or of all channels; padding is `same`."""

    name: str
    kernel: int
    stride: int
    channels: int
    depthwise: bool = False


@dataclass(frozen=True)
class Design:
    """Encoder, latent and decoder.

    They take the place of the teacher's first `join` layers, whose output is (H, W, C) `joined`.
    `macs` are the encoder's multiply-adds with the bottleneck, `teacher_macs` the teacher's.
    """

    join: int
    joined: tuple[int, int, int]
    encoder: tuple[Convolution, ...]
    latent: int
    decoder: tuple[int, ...]
    macs: int
    teacher_macs: int

    @property
    def share(self) -> float:
        """Return the encoder's share of the teacher's multiply-adds."""
        return self.macs / self.teacher_macs


def design(layers: Sequence[Any], size: tuple[int, int], nbytes: float, share: float,
           latent: int = 12) -> Design:
    """Return the design for a teacher of sequential Keras `layers` on images of `size`.

    :param nbytes: wished size of an encoded tensor at the finest quality.
    :param share: largest share of the teacher's multiply-adds that the encoder may take, 0..1.
    :raises ModelError: if the wishes cannot be met, with what can.
    """
    if not 0.0 < share < 1.0:
        raise ModelError(f'a share of {share:g} of the multiply-adds; use one between 0 and 1')
    join, joined, halvings = _join(layers, size, nbytes)
    total = sum(map(macs_of, layers))
    front = sum(map(macs_of, layers[:first_trained(layers)]))
    fitting = None
    for first, last in _WIDTHS:
        encoder = _encoder(first, last, halvings)
        macs = front + _encoder_macs(encoder, size, latent)
        if macs > share * total:
            break
        fitting = encoder, macs
    if fitting is None:
        raise ModelError(f'an encoder of {share:.1%} of {total} multiply-adds is too small to '
                         f'halve {size[0]}x{size[1]} pixels {halvings} times; the least is '
                         f'{macs / total:.1%}: give a larger share')
    channels = joined[2]
    width = max(channels, min(2 * channels, 64))
    return Design(join, joined, fitting[0], latent, (width, width, channels), fitting[1], total)


def _join(layers: Sequence[Any], size: tuple[int, int],
          nbytes: float) -> tuple[int, tuple[int, int, int], int]:
    """Return the number of layers to replace, what they give, and how often that is halved."""
    most = 8 * nbytes / BITS_PER_POSITION
    smallest = None
    for number, layer in enumerate(layers, 1):
        shape = tuple(layer.output.shape[1:])
        if len(shape) != 3 or not type(layer).__name__.endswith('Pooling2D'):
            continue
        halvings = (size[0] // shape[0]).bit_length() - 1
        if halvings < 2 or tuple(d << halvings for d in shape[:2]) != tuple(size):
            continue
        smallest = shape[0] * shape[1]
        if smallest <= most:
            return number, shape, halvings
    if smallest is None:
        raise ModelError('the teacher has no pooling layer after which the image was halved at '
                         'least twice, where a decoder could join it; use a network like VGG')
    raise ModelError(f'{nbytes:g} bytes are too few for the {smallest} positions at which the '
                     f'teacher can be joined; wish for {smallest * BITS_PER_POSITION / 8:.0f} or '
                     'more')


def _encoder(first: int, last: int, halvings: int) -> tuple[Convolution, ...]:
    """Return convolutions of which the first has `first` channels and the last `last`."""
    layers = [Convolution('encoder_conv1', _FIRST_KERNEL, 2, first),
              Convolution('encoder_conv2', _KERNEL, 2, 2 * first)]
    for number, stride in enumerate([2] * (halvings - 2) + [1, 1], 3):
        layers.append(Convolution(f'encoder_depthwise{number}', _KERNEL, stride,
                                  layers[-1].channels, depthwise=True))
        layers.append(Convolution(f'encoder_conv{number}', 1, 1, last))
    return tuple(layers)


def _encoder_macs(encoder: Sequence[Convolution], size: tuple[int, int], latent: int) -> int:
    (height, width), channels, macs = size, 3, 0
    for layer in (*encoder, Convolution(BOTTLENECK, 1, 1, latent)):
        height, width = height // layer.stride, width // layer.stride
        macs += height * width * layer.kernel ** 2 * channels * (
            1 if layer.depthwise else layer.channels)
        channels = layer.channels
    return macs


def macs_of(layer: Any) -> int:
    """Return the multiply-adds of a Keras layer for one image; 0 if it has no kernel."""
    if type(layer).__name__ not in ('Conv2D', 'DepthwiseConv2D', 'Dense'):
        return 0
    if type(layer).__name__ == 'Dense':
        return int(prod(layer.kernel.shape))
    kernel = layer.kernel.shape  # a depthwise one has one filter for each channel: (h, w, C, 1)
    return int(prod(layer.output.shape[1:3]) * prod(kernel))


def first_trained(layers: Sequence[Any]) -> int:
    """Return how many layers at the front only scale the pixels; the encoder keeps them."""
    for number, layer in enumerate(layers):
        if type(layer).__name__ in _SPATIAL and layer.name != PREPROCESS:
            return number
    raise ModelError('the teacher has no convolution')
