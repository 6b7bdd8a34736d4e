"""VGG16 and its smaller relatives as Keras networks on raw RGB pixels.

Shape and layer names are those of `keras.applications.VGG16` (Simonyan and Zisserman,
arXiv:1409.1556). One layer stands before them, `preprocess`: a fixed 1x1 convolution that turns
RGB pixels into what the weights were trained on, BGR minus the ImageNet mean. Being part of the
graph it cannot be forgotten, and the zero padding comes after it, as in Keras.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError

if TYPE_CHECKING:
    import keras

CHANNELS = (64, 128, 256, 512, 512)
MEAN_BGR = (103.939, 116.779, 123.68)
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
        raise ModelError(f"no model is called '{name}'; use one of {', '.join(SPECS)} "
                         'or the path of a .keras or .h5 file')
    return SPECS[name]


def import_keras():
    """Return the `keras` module on its TensorFlow backend, imported on first use.

    :raises ModelError: if TensorFlow is not installed.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # its start-up notes, not its errors
    try:
        import keras
        import tensorflow  # noqa: F401  keras alone may come with another backend
    except ImportError as e:
        raise ModelError(f'building a model needs TensorFlow ({e}); pip install tensorflow, '
                         'or prepare the model on another machine and copy its folder') from e
    if keras.backend.backend() != 'tensorflow':
        raise ModelError(f'Keras runs on {keras.backend.backend()}, but .tflite files come from '
                         'TensorFlow; unset KERAS_BACKEND')
    return keras


def build(spec: VggSpec) -> 'keras.Model':
    """Return the untrained network: float32 RGB pixels 0..255 `(1, H, W, 3)` to class scores."""
    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(name=spec.name)
    model.add(keras.Input((spec.input_size, spec.input_size, 3)))
    model.add(preprocess_layer(spec.pixel_gain))
    for block, (convs, channels) in enumerate(zip(spec.blocks, spec.channels, strict=True), 1):
        for conv in range(1, convs + 1):
            model.add(layers.Conv2D(channels, 3, padding='same', activation='relu',
                                    kernel_initializer='he_normal',
                                    name=f'block{block}_conv{conv}'))
        model.add(layers.MaxPooling2D(name=f'block{block}_pool'))
    model.add(layers.Flatten(name='flatten'))
    for number, units in enumerate(spec.fc, 1):
        model.add(layers.Dense(spec.scaled(units), activation='relu',
                               kernel_initializer='he_normal', name=f'fc{number}'))
    model.add(layers.Dense(spec.classes, activation='softmax', name='predictions'))
    return model


def preprocess_layer(gain: float = 1.0) -> 'keras.layers.Layer':
    """Return the layer that maps RGB pixels 0..255 to `gain * (BGR - mean)`.

    A convolution, since every runtime and accelerator has it; a channel flip few have in int8.
    """
    keras = import_keras()
    constant = keras.initializers.Constant
    kernel = gain * np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3)
    bias = -gain * np.array(MEAN_BGR, np.float32)
    return keras.layers.Conv2D(3, 1, name='preprocess', trainable=False,
                               kernel_initializer=constant(kernel.tolist()),
                               bias_initializer=constant(bias.tolist()))
