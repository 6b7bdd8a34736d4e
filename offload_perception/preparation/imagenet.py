"""The labels of the ImageNet classes."""

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras


def imagenet_labels() -> tuple[str, ...]:
    """Return the labels of the 1000 ImageNet classes, from Keras' download and cache.

    :raises ModelError: if they cannot be downloaded.
    """
    keras = import_keras()
    try:
        decoded = keras.applications.vgg16.decode_predictions(np.eye(1000), top=1)
    except Exception as e:  # Keras raises plain Exception, and more, if a download fails
        raise ModelError(f'the ImageNet labels cannot be downloaded ({e}); give a file with one '
                         'label a line: labels:=/path/labels.txt') from e
    return tuple(top[0][1].replace('_', ' ') for top in decoded)
