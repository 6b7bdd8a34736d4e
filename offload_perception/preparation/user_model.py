"""Read a user's own Keras model file and put the image preprocessing into its graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras, load_keras
from offload_perception.network.layer_cuts import PREPROCESS
from offload_perception.network.pixels import PREPROCESSING
from offload_perception.preparation import keras2
from offload_perception.preparation.convert import input_shape
from offload_perception.preparation.keras_vgg import preprocess_layer
from offload_perception.preparation.supported import (
    BRANCHES,
    check_class,
    is_for_training,
    refuse_operation,
)

if TYPE_CHECKING:
    import keras

_PREPARING = ('Rescaling', 'Normalization', 'BatchNormalization')


def load(path: Path, preprocess: str | None = None) -> 'keras.Model':
    """Return the network in `path`: float32 RGB pixels 0..255 in, class scores out.

    `preprocess` is one of `PREPROCESSING`; it may be left out if the model itself begins with
    layers such as Rescaling or Normalization.

    :raises ModelError: if the file is no model, is not sequential, or would get raw pixels
        without notice.
    """
    if preprocess is not None and preprocess not in PREPROCESSING:
        raise ModelError(f"unknown preprocess '{preprocess}'; use one of "
                         + ', '.join(f'{k} ({v})' for k, v in PREPROCESSING.items()))
    model = _read(path)
    layers = list(_flat(model))
    _check_layers(model, path)
    if preprocess is None and not _prepares_pixels(layers):
        raise ModelError(
            f'{path}: no layer scales the pixels before the first convolution; say how the '
            'network was trained: preprocess='
            + ', '.join(f'{k} ({v})' for k, v in PREPROCESSING.items()))
    _check_same(_chain(layers, model, path), model, path)
    return _chain([*_front(preprocess), *layers], model, path)


def _flat(model: 'keras.Model') -> Iterator['keras.layers.Layer']:
    """Yield the layers that compute something, those of models in the model too."""
    for layer in model.layers:
        if hasattr(layer, 'layers'):
            yield from _flat(layer)
        elif not is_for_training(type(layer).__name__):
            yield layer


def _check_layers(model: 'keras.Model', path: Path) -> None:
    """Refuse operations and layers that cannot be cut, those of models inside too."""
    for each in getattr(model, 'operations', model.layers):
        if hasattr(each, 'layers'):
            _check_layers(each, path)
        elif not isinstance(each, import_keras().layers.Layer):
            refuse_operation(each.name, path)
        elif not is_for_training(type(each).__name__):
            check_class(type(each).__name__, each.get_config(), path)


def _prepares_pixels(layers: list['keras.layers.Layer']) -> bool:
    return bool(layers) and (type(layers[0]).__name__ in _PREPARING
                             or layers[0].name == PREPROCESS)


def _read(path: Path) -> 'keras.Model':
    import_keras()  # what is missing is not the file's fault
    if not path.is_file():
        raise ModelError(f'{path} does not exist; name a .keras or .h5 file')
    if keras2.is_whole_model(path):
        return keras2.read(path)
    try:
        return load_keras(path)
    except Exception as e:  # Keras may raise anything on a broken file
        raise ModelError(f'{path} is not a whole Keras model ({str(e).splitlines()[0]}); save it '
                         'with model.save, or name a preset and give the file as weights') from e


def _front(preprocess: str | None) -> list['keras.layers.Layer']:
    layers = import_keras().layers
    if preprocess == 'caffe':
        return [preprocess_layer()]
    if preprocess == 'unit':
        return [layers.Rescaling(1 / 255, name='preprocess')]
    if preprocess == 'tf':
        return [layers.Rescaling(1 / 127.5, offset=-1, name='preprocess')]
    return []


def _chain(layers: list['keras.layers.Layer'], model: 'keras.Model',
           path: Path) -> 'keras.Model':
    """Return `layers` in sequence, on images as `model` takes them."""
    keras = import_keras()
    image = keras.Input(input_shape(model))
    x = image
    for layer in layers:
        try:
            x = layer(x)
        except Exception as e:  # Keras may raise anything on a wrong input
            raise ModelError(BRANCHES.format(path=path, where=layer.name)) from e
    return keras.Sequential([image, *layers], name=model.name)


def _check_same(chain: 'keras.Model', model: 'keras.Model', path: Path) -> None:
    """Refuse a model that computes other than the chain of its layers."""
    image = np.random.default_rng(0).uniform(0, 255, (1, *input_shape(model))).astype(np.float32)
    if chain.output_shape != model.output_shape or not np.allclose(
            chain(image), model(image, training=False), rtol=1e-3, atol=1e-4):
        raise ModelError(BRANCHES.format(path=path, where='some layer'))
