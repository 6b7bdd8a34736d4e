"""Turn a Keras network into .tflite files: int8 throughout, or float32."""

from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.dense import check_dense
from offload_perception.network.operator_graph import Graph
from offload_perception.tensor import TensorSpec

if TYPE_CHECKING:
    import keras


def to_int8(model: 'keras.Model', images: Iterable[np.ndarray]) -> bytes:
    """Return the network as .tflite: uint8 RGB pixels in, int8 inside, int8 scores out.

    `images` are representative pixels, uint8 `(H, W, 3)`, which fix the scale of each tensor.

    :raises ModelError: if images are missing or of another shape, or conversion fails.
    """
    import tensorflow as tf

    shape = input_shape(model)
    sample = _pin_range(_checked(images, shape))
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None].astype(np.float32)] for x in sample)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True  # see `dense`
    converted = _check_pixels(_convert(converter, model.name), shape)
    check_dense(Graph(converted, model.name))
    return converted


def to_float(model: 'keras.Model') -> bytes:
    """Return the network as a float32 .tflite file."""
    return _convert(_converter(model), model.name)


def input_shape(model: 'keras.Model') -> tuple[int, int, int]:
    """Return `(H, W, 3)` of the network's image.

    :raises ModelError: if the shape is open or not that of an RGB image.
    """
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] != 3:
        raise ModelError(f'{model.name} takes {shape}, not one RGB image (batch, H, W, 3)')
    if None in shape[1:]:
        raise ModelError(f'{model.name} has open dimensions {shape}; '
                         'build it again with a fixed input size')
    return tuple(shape[1:])


def _converter(model: 'keras.Model') -> Any:
    """Return a converter for one image at a time.

    Handing it a model rather than a frozen function halves its memory (about 6 GB for VGG16).
    """
    import keras
    import tensorflow as tf

    image = keras.Input(batch_shape=(1, *input_shape(model)), name='image')
    whole = keras.Model(image, model(image), name='whole')
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.experimental_enable_resource_variables = False  # the calibrator cannot read them
    return converter


def _convert(converter: Any, name: str) -> bytes:
    try:
        with redirect_stdout(StringIO()):  # Keras prints its export there
            model: bytes = converter.convert()
            return model
    except Exception as e:  # the converter may raise anything
        raise ModelError(f'{name} cannot be converted to .tflite: {e}') from e


def _checked(images: Iterable[np.ndarray], shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    count = 0
    for count, image in enumerate(images, 1):  # noqa: B007  the count is used below
        if image.shape != shape or image.dtype != np.uint8:
            raise ModelError(f'a representative image is {image.dtype} {image.shape}, '
                             f'not uint8 {shape}; resize the images first')
        yield image
    if not count:
        raise ModelError('no representative images: quantising needs some of the kind the '
                         'camera will see; give a folder of images')


def _pin_range(images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Put one black and one white pixel into the first image, so that pixels span 0..255.

    Without them the converter would stretch whatever range the sample has over the 256 codes,
    and a raw pixel would no longer mean its own value.
    """
    first, *rest = images
    first = first.copy()
    first[0, 0], first[-1, -1] = 0, 255
    return [first, *rest]


def _check_pixels(model: bytes, shape: tuple[int, int, int]) -> bytes:
    graph = Graph(model)
    found, wanted = graph.spec(graph.inputs[0]), TensorSpec(shape, 'uint8', 1.0, 0)
    if found != wanted:
        raise ModelError(f'the converter changed the input to {found}, not {wanted}; '
                         'raw pixels would be misread')
    return model
