"""How the pixels of an image become the input tensor of a network."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.tensor import TensorSpec

PREPROCESSING = {
    'inside': 'the model takes RGB pixels 0..255 as they are',
    'caffe': "BGR minus the ImageNet mean, as keras.applications' VGG16",
    'unit': 'RGB / 255',
    'tf': 'RGB / 127.5 - 1',
}
EXTREME = 1e6  # of a mean or a deviation of pixels


@dataclass(frozen=True)
class PixelRule:
    """Pixels become `(pixel - mean) / std`, for each channel, before they are quantised.

    Without `mean` they are taken as they are: of an int8 tensor, less 128. `bgr` turns the
    channels round first.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no rule for RGB images."""
        counts = len(self.mean), len(self.std)
        if counts not in ((0, 0), (3, 3)) or not all(abs(m) <= EXTREME for m in self.mean) or not (
                all(1 / EXTREME <= abs(s) <= EXTREME for s in self.std)):
            raise ModelError(f'mean {self.mean} and std {self.std} of the pixels: three finite '
                             f'numbers each are needed, up to {EXTREME:g}, std not 0')

    def describe(self, spec: TensorSpec) -> str:
        """Return in words what `apply` does."""
        if self.mean:
            order = 'BGR' if self.bgr else 'RGB'
            mean, std = (' '.join(f'{v:g}' for v in values) for values in (self.mean, self.std))
            return f'{order} pixels less {mean}, divided by {std}, as {spec.dtype}'
        return f'RGB pixels as they are, as {spec.dtype}' + (
            ' (less 128)' if spec.dtype == 'int8' else '')

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {'mean': list(self.mean), 'std': list(self.std), 'bgr': self.bgr}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> 'PixelRule':
        """Return the rule that `to_dict` described."""
        return cls(tuple(map(float, d['mean'])), tuple(map(float, d['std'])), bool(d['bgr']))

    @classmethod
    def preset(cls, preprocess: str) -> 'PixelRule':
        """Return the rule of a name in `PREPROCESSING`; raises ModelError for another."""
        if preprocess not in PREPROCESSING:
            raise ModelError(f"unknown preprocess '{preprocess}'; use one of "
                             + ', '.join(f'{k} ({v})' for k, v in PREPROCESSING.items()))
        return {'inside': cls(),
                'unit': cls((0.0,) * 3, (255.0,) * 3),
                'tf': cls((127.5,) * 3, (127.5,) * 3),
                'caffe': cls((103.939, 116.779, 123.68), (1.0,) * 3, bgr=True)}[preprocess]


@dataclass(frozen=True)
class PixelInput:
    """The input tensor of a network, and how it is made of an image."""

    spec: TensorSpec
    rule: PixelRule = PixelRule()

    @property
    def image(self) -> TensorSpec:
        """Return the image that the network is given: uint8 RGB (H, W, 3)."""
        return TensorSpec(self.spec.shape, 'uint8')

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the tensor for an image, uint8 (H, W, 3): the image itself if it is that."""
        if self._table is None:
            return image
        if self.rule.bgr:
            image = image[..., ::-1]
        if (self._table == self._table[0]).all():
            return np.take(self._table[0], image)
        return np.stack([np.take(self._table[c], image[..., c]) for c in range(3)], axis=-1)

    @cached_property
    def _table(self) -> np.ndarray | None:
        """Return the value of each pixel in each channel, (3, 256); None if pixels stay."""
        pixels, rule, spec = np.arange(256.0), self.rule, self.spec
        if not rule.mean:
            if spec.dtype == 'uint8':
                return None
            shift = 128 if spec.dtype == 'int8' else 0
            return np.tile(pixels - shift, (3, 1)).astype(spec.dtype)
        real = (pixels - np.array(rule.mean)[:, None]) / np.array(rule.std)[:, None]
        if spec.dtype.startswith('float'):
            floats: np.ndarray = real.astype(spec.dtype)
            return floats
        limits = np.iinfo(spec.dtype)
        steps = np.rint(real / spec.scale) + spec.zero_point
        table: np.ndarray = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
        return None if spec.dtype == 'uint8' and (table == pixels).all() else table
