"""Names of classes."""

from pathlib import Path

import numpy as np

from offload_perception.errors import ModelError


def read_labels(path: str | Path, classes: int) -> tuple[str, ...]:
    """Return the labels in `path`, one a line, for a network of `classes` classes.

    :raises ModelError: where the file cannot be read or has another number of lines.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ModelError(f'the labels file {path} cannot be read ({e})') from e
    labels = tuple(line.strip() for line in lines if line.strip())
    if len(labels) != classes:
        raise ModelError(f'the labels file {path} has {len(labels)} lines, but the network has '
                         f'{classes} classes; write one label a line, in the order of training')
    return labels


def imagenet_labels() -> tuple[str, ...]:
    """Return the labels of the 1000 ImageNet classes, from Keras' download and cache.

    :raises ModelError: where they cannot be downloaded.
    """
    from offload_perception.model.vgg16 import import_keras

    keras = import_keras()
    try:
        decoded = keras.applications.vgg16.decode_predictions(np.eye(1000), top=1)
    except Exception as e:  # Keras raises plain Exception, and more, where a download fails
        raise ModelError(f'the ImageNet labels cannot be downloaded ({e}); give a file with one '
                         'label a line: labels:=/path/labels.txt') from e
    return tuple(top[0][1].replace('_', ' ') for top in decoded)
