"""Fill a VGG with weights: seeded, ImageNet's, or from a file."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras
from offload_perception.network.digest import file_digest
from offload_perception.network.layer_cuts import PREPROCESS
from offload_perception.network.vgg16 import PIXEL_SPREAD, VggSpec
from offload_perception.preparation.weight_files import Arrays, read_arrays

if TYPE_CHECKING:
    import keras

REMEDIES = ('give a file (weights:=/path/vgg16.weights.h5), the bundled model '
            '(model:=aerial weights:=bundled) or seeded random weights (weights:=seed:0)')


def load_weights(model: 'keras.Model', spec: VggSpec, weights: str) -> None:
    """Fill `model`, built from `spec`, with `weights`.

    `weights` is `seed:N`, `imagenet`, or the path of a `.keras` or `.h5` file in Keras' layout.

    :raises ModelError: if the weights do not exist or do not fit.
    """
    if (number := seed(weights)) is not None:
        _seed(model, spec, number)
    elif weights == 'imagenet':
        _fill(model, _imagenet(spec), weights)
    else:
        _fill(model, read_arrays(Path(weights)), weights)


def seed(weights: str) -> int | None:
    """Return N of `seed:N`, None for any other weights.

    :raises ModelError: if N is no number.
    """
    kind, _, number = weights.partition(':')
    if kind != 'seed':
        return None
    if not number.isdecimal():
        raise ModelError(f"'{weights}': a seed is a number, as in seed:0")
    return int(number)


def identity(weights: str) -> str:
    """Return what identifies these weights: their name, or the SHA-256 of the file.

    :raises ModelError: if the file does not exist.
    """
    if weights == 'imagenet' or seed(weights) is not None:
        return weights
    return file_digest(Path(weights))


def class_count(path: Path) -> int:
    """Return the number of classes that the last layer in a weights file has.

    :raises ModelError: if there is no such file, or it holds no weights.
    """
    if not path.is_file():
        raise ModelError(f"weights '{path}' are neither a name nor a file; {REMEDIES}")
    arrays = read_arrays(path)
    last = arrays.get('predictions') or list(arrays.values())[-1]
    count: int = last[-1].shape[-1]
    return count


def _seed(model: 'keras.Model', spec: VggSpec, number: int) -> None:
    """Draw He-normal kernels (arXiv:1502.01852), which keep activations alive in deep stacks."""
    rng = np.random.default_rng(number)
    gain = 1 / (PIXEL_SPREAD * spec.pixel_gain)  # brings the first layer's outputs near 1
    for layer in model.layers:
        if layer.trainable and layer.weights:
            kernel, bias = layer.weights
            draw = rng.standard_normal(kernel.shape, np.float32)
            draw *= gain * np.sqrt(2 / np.prod(kernel.shape[:-1]))
            layer.set_weights([draw, np.zeros(bias.shape, np.float32)])
            gain = 1.0


def _imagenet(spec: VggSpec) -> Arrays:
    keras = import_keras()
    if (spec.name, spec.classes) != ('vgg16', 1000):
        raise ModelError(f"ImageNet weights fit only vgg16 with 1000 classes, not '{spec.name}'")
    try:
        full = keras.applications.VGG16(weights='imagenet')
    except Exception as e:  # Keras raises plain Exception, and more, if a download fails
        raise ModelError(f'the ImageNet weights cannot be downloaded ({e}); {REMEDIES}') from e
    return {layer.name: layer.get_weights() for layer in full.layers if layer.weights}


def _fill(model: 'keras.Model', arrays: Arrays, weights: str) -> None:
    """Copy `arrays` into the layers of their names, or in order if the names are others."""
    _check_pixels(model, arrays.pop(PREPROCESS, None), weights)
    layers = [layer for layer in model.layers if layer.trainable and layer.weights]
    names = [layer.name for layer in layers]
    if not arrays.keys() >= set(names) and len(arrays) == len(names):
        arrays = dict(zip(names, arrays.values(), strict=True))
    for layer in layers:
        wanted = [tuple(w.shape) for w in layer.weights]
        found = [a.shape for a in arrays.get(layer.name, ())]
        if found != wanted:
            raise ModelError(f"weights '{weights}' do not fit {model.name}: layer {layer.name} "
                             f'wants {wanted}, the file has {found or "none"}')
        layer.set_weights(arrays[layer.name])


def _check_pixels(model: 'keras.Model', preprocess: list[np.ndarray] | None,
                  weights: str) -> None:
    """Refuse weights that were trained with another preprocessing than the model's."""
    ours = model.get_layer(PREPROCESS).get_weights()
    if preprocess is not None and not all(map(np.allclose, preprocess, ours)):
        raise ModelError(f"weights '{weights}' were trained on pixels prepared otherwise than "
                         f'{model.name} does; give the whole model file as the model')
