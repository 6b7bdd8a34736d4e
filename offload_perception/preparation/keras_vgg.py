"""VGGs as untrained Keras networks on raw RGB pixels.

Shape and layer names are those of `keras.applications.VGG16` (Simonyan and Zisserman,
arXiv:1409.1556). One layer stands before them, `preprocess`: a fixed 1x1 convolution that turns
RGB pixels into what the weights were trained on, BGR minus the ImageNet mean. Being part of the
graph it cannot be forgotten, and the zero padding comes after it, as in Keras.
"""

from typing import TYPE_CHECKING

import numpy as np

from offload_perception.keras_backend import import_keras
from offload_perception.network.vgg16 import VggSpec

if TYPE_CHECKING:
    import keras

MEAN_BGR = (103.939, 116.779, 123.68)


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
