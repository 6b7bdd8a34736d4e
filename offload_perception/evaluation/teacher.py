"""The classes that the teacher of a network with a learned bottleneck gives."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import load_keras
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare

if TYPE_CHECKING:
    import keras

_TOGETHER = 64


def teacher_classes(artefact: Artefact, images: np.ndarray,
                    folder: Path | None = None) -> np.ndarray:
    """Return the class of the teacher in float32 for uint8 images (N, H, W, 3), int64 (N,).

    :param artefact: a network with a teacher; `folder` is the teacher, if it has been moved.
    :raises ModelError: if the teacher is missing or is another one.
    """
    assert artefact.teacher is not None
    try:
        teacher = prepare(str(folder or artefact.teacher.model))
    except ModelError as e:
        raise ModelError(f'{artefact.name} was trained to agree with {artefact.teacher.model}, '
                         f'which cannot be loaded ({e}); name it: --teacher FOLDER') from e
    if teacher.digest != artefact.teacher.digest or not teacher.keras_file.is_file():
        raise ModelError(f'{teacher.path} is not the teacher of {artefact.name} (digest '
                         f'{teacher.digest[:12]}, not {artefact.teacher.digest[:12]}), or has no '
                         'Keras network; name it: --teacher FOLDER')
    return keras_classes(load_keras(teacher.verified_keras_file()), images)


def keras_classes(model: 'keras.Model', images: np.ndarray) -> np.ndarray:
    """Return the class of a Keras network for uint8 images (N, H, W, 3), int64 (N,)."""
    return np.concatenate([
        np.asarray(model(images[at:at + _TOGETHER].astype(np.float32), training=False)).argmax(1)
        for at in range(0, len(images), _TOGETHER)])
