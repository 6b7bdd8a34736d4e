"""Networks of the kinds that people fly, as .tflite files: seeded ones, and real ones on disk."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offload_perception.network.flatbuffer import pack, unpack

REAL = Path(os.environ.get('OFFLOAD_PERCEPTION_NETWORKS',
                           Path(__file__).parents[3] / 'shared' / 'networks'))
SIZE = 32
SEEDED = ('mobilenet', 'residual', 'residual_int8', 'concatenation', 'two_outputs',
          'swapped_outputs', 'float32', 'float16_weights')


def real(name: str) -> Path:
    """Return the path of a real network or photograph, or skip the test."""
    if not (REAL / name).is_file():
        pytest.skip(f'{REAL / name} is not there; OFFLOAD_PERCEPTION_NETWORKS names the folder')
    return REAL / name


@cache
def seeded(name: str) -> bytes:
    """Return a network of `SEEDED`: uint8 in, but for `residual_int8` and the float ones."""
    keras = pytest.importorskip('keras')
    pytest.importorskip('tensorflow')
    if name == 'swapped_outputs':
        return _swapped(seeded('two_outputs'))
    keras.utils.set_random_seed(7)
    build = {'mobilenet': mobilenet, 'concatenation': concatenation, 'two_outputs': two_outputs}
    model = build.get(name, residual)(keras)
    for layer in model.layers:  # zero biases and unit scales hide mistakes
        if 'batch_norm' in layer.name or 'bn' in layer.name.lower():
            gamma, beta, mean, variance = layer.get_weights()
            rng = np.random.default_rng(len(beta))
            layer.set_weights([gamma * rng.uniform(0.7, 1.4, gamma.shape),
                               rng.normal(0.0, 0.2, beta.shape), mean, variance])
    if name == 'float32':
        return _convert(model)
    if name == 'float16_weights':
        return _convert(model, float16=True)
    return _convert(model, dtype='int8' if name == 'residual_int8' else 'uint8')


def mobilenet(keras: Any) -> Any:
    """Return a small MobileNetV2: depthwise convolutions, linear bottlenecks, residual adds."""
    return keras.applications.MobileNetV2((SIZE, SIZE, 3), alpha=0.35, weights=None, classes=10)


def residual(keras: Any) -> Any:
    """Return a network with two residual adds, a dense layer and a softmax."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding='same', activation='relu', name='stem')(image)
    for block in (1, 2):
        y = layers.Conv2D(8, 3, padding='same', activation='relu', name=f'block{block}_a')(x)
        y = layers.Conv2D(8, 3, padding='same', name=f'block{block}_b')(y)
        x = layers.ReLU(name=f'block{block}_out')(layers.Add(name=f'block{block}_add')([x, y]))
    x = layers.GlobalAveragePooling2D(name='pool')(x)
    return keras.Model(image, layers.Dense(10, activation='softmax', name='scores')(x))


def concatenation(keras: Any) -> Any:
    """Return a network of two branches that meet."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 3, strides=2, padding='same', activation='relu', name='stem')(image)
    left = layers.Conv2D(4, 1, activation='relu', name='left')(x)
    right = layers.MaxPooling2D(3, strides=1, padding='same', name='right')(x)
    x = layers.Concatenate(name='both')([left, right])
    x = layers.Conv2D(8, 3, strides=2, padding='same', activation='relu', name='after')(x)
    return keras.Model(image, layers.Dense(5, name='logits')(layers.Flatten(name='flat')(x)))


def two_outputs(keras: Any) -> Any:
    """Return a network like an SSD: boxes and scores of two scales."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    near = layers.Conv2D(8, 3, strides=4, padding='same', activation='relu', name='near')(image)
    far = layers.Conv2D(8, 3, strides=2, padding='same', activation='relu', name='far')(near)

    def heads(name: str, values: int) -> Any:
        each = [layers.Reshape((-1, values), name=f'{name}_list{k}')(
            layers.Conv2D(2 * values, 3, padding='same', name=f'{name}{k}')(x))
            for k, x in enumerate((near, far))]
        return layers.Concatenate(axis=1, name=name)(each)

    return keras.Model(image, [heads('boxes', 4), heads('scores', 3)])


def _swapped(file: bytes) -> bytes:
    """Return the network with its outputs in the other order, which need not be that of making."""
    model = unpack(file, 'two_outputs')
    model.subgraphs[0].outputs = model.subgraphs[0].outputs[::-1]
    return pack(model)


def _convert(model: Any, dtype: str = '', *, float16: bool = False) -> bytes:
    import tensorflow as tf

    converter = (_frozen(model) if 'mobilenet' in model.name
                 else tf.lite.TFLiteConverter.from_keras_model(model))
    if dtype or float16:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if float16:
        converter.target_spec.supported_types = [tf.float16]
    if dtype:
        images = photographs(16).astype(np.float32) / 127.5 - 1
        converter.representative_dataset = lambda: ([x[None]] for x in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = getattr(tf, dtype)
        converter.inference_output_type = getattr(tf, dtype)
    file: bytes = converter.convert()
    return file


def _frozen(model: Any) -> Any:
    """Return a converter of a frozen function: for many layers it takes a quarter of the time."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec((1, *model.input_shape[1:]), tf.float32))
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [convert_variables_to_constants_v2(function)])


def photographs(count: int, size: int = SIZE) -> np.ndarray:
    """Return smooth random pictures, uint8 RGB (count, size, size, 3), black and white in each."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (count, size // 4, size // 4, 3), np.uint8)
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)
    images[:, 0, 0], images[:, -1, -1] = 0, 255
    return images
