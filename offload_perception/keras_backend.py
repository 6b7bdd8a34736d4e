"""Keras on TensorFlow, imported on first use: a drone that has a prepared model needs neither."""

import os
from pathlib import Path
from typing import Any

from offload_perception.errors import ModelError


def import_keras() -> Any:
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


def load_keras(file: Path) -> Any:
    """Return the network of a whole-model file, for inference.

    In Keras' safe mode: a file that holds code, such as a Lambda layer, is refused.
    """
    return import_keras().models.load_model(file, compile=False, safe_mode=True)
