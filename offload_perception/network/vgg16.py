"""The sizes of VGG16 and its smaller relatives, and the presets that this package knows."""

from dataclasses import dataclass

from offload_perception.errors import ModelError

CHANNELS = (64, 128, 256, 512, 512)
PIXEL_SPREAD = 64.0  # a typical standard deviation of pixels, in grey levels


@dataclass(frozen=True)
class VggSpec:
    """Size of a VGG: `width` scales every channel and unit count, `blocks` counts convolutions.

    `pixel_gain` scales the pixels after the mean is gone: 1 for weights in Keras' layout, about
    1/64 for a network trained from scratch, whose first layer wants inputs near 1.
    """

    name: str
    input_size: int = 224
    width: float = 1.0
    classes: int = 1000
    blocks: tuple[int, ...] = (2, 2, 3, 3, 3)
    fc: tuple[int, ...] = (4096, 4096)
    pixel_gain: float = 1.0

    @property
    def channels(self) -> tuple[int, ...]:
        """Return the output channels of each block."""
        return tuple(self.scaled(c) for c in CHANNELS[:len(self.blocks)])

    def scaled(self, count: int) -> int:
        """Return a channel or unit count at this width."""
        return max(1, round(count * self.width))


SPECS = {spec.name: spec for spec in (
    VggSpec('vgg16'),
    VggSpec('vgg16_112', input_size=112, classes=2, blocks=(2, 2, 3, 3), fc=(4096, 2048)),
    VggSpec('aerial', input_size=64, width=1 / 8, classes=10, pixel_gain=1 / PIXEL_SPREAD),
)}


def find_spec(name: str) -> VggSpec:
    """Return the preset `name`.

    :raises ModelError: naming the presets that exist.
    """
    if name not in SPECS:
        raise ModelError(f"no model is called '{name}'; use one of {', '.join(SPECS)}, "
                         'aerial_split, or the path of a .keras or .h5 file')
    return SPECS[name]
