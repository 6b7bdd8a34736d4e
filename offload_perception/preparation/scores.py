"""The end of a network: scores 0..1, one for each class, whatever the file ends in."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras

if TYPE_CHECKING:
    import keras

SCORES = ('softmax', 'sigmoid', 'hard_sigmoid')


def with_scores(model: 'keras.Model', tell: Callable[[str], None]) -> 'keras.Model':
    """Return the sequential `model` with an end that gives scores 0..1, at least two of them.

    Logits get a softmax, and `tell` is called with a note. One output becomes two classes with
    the same scores, s of the second and 1 - s of the first: softmax of (0, z) is (1 - s, s) for
    the sigmoid s of z.

    :raises ModelError: if one output is neither a logit nor a sigmoid of a dense layer.
    """
    if model.output_shape[-1] == 1:
        return _two_classes(model)
    end = activation(model.layers[-1])
    if end in SCORES:
        return model
    tell(f'{model.name} ends in {end} outputs, not in scores 0..1: a softmax is appended')
    return _sequential(model, [*model.layers, import_keras().layers.Softmax(name='scores')])


def activation(layer: 'keras.layers.Layer') -> str:
    """Return the name of what a layer does to its outputs: softmax, sigmoid, linear ..."""
    if type(layer).__name__ == 'Softmax':
        return 'softmax'
    function = getattr(layer, 'activation', None)
    return 'linear' if function is None else getattr(function, '__name__', str(function))


def _two_classes(model: 'keras.Model') -> 'keras.Model':
    keras, layers = import_keras(), list(model.layers)
    end = activation(layers[-1])
    if type(layers[-1]).__name__ == 'Activation' and activation(layers[-2]) == 'linear':
        layers.pop()
    dense = layers[-1]
    # A softmax of one output, which is always 1, can only have meant a sigmoid.
    if type(dense).__name__ != 'Dense' or end not in ('linear', 'sigmoid', 'softmax'):
        raise ModelError(f'{model.name} ends in one output of a {type(dense).__name__} with '
                         f'{end}; end it in Dense(1, activation="sigmoid"), or in one output a '
                         'class')
    two = keras.layers.Dense(2, activation='softmax', name=dense.name)
    whole = _sequential(model, [*layers[:-1], two])
    kernel, *bias = dense.get_weights()
    two.set_weights([np.hstack([np.zeros_like(kernel), kernel]),
                     np.array([0, *(bias[0] if bias else [0])], np.float32)])
    return whole


def _sequential(model: 'keras.Model', layers: list['keras.layers.Layer']) -> 'keras.Model':
    keras = import_keras()
    return keras.Sequential([keras.Input(model.input_shape[1:]), *layers], name=model.name)
