"""Where a network comes from: a preset with weights, or a user's own model file."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.network.digest import file_digest
from offload_perception.network.labels import read_labels
from offload_perception.network.vgg16 import VggSpec, find_spec
from offload_perception.preparation import representative, user_model
from offload_perception.preparation.convert import input_shape
from offload_perception.preparation.fill import class_count, identity, load_weights, seed
from offload_perception.preparation.imagenet import imagenet_labels
from offload_perception.preparation.keras_vgg import build
from offload_perception.preparation.scores import with_scores
from offload_perception.preparation.tflite_file import TfliteFile
from offload_perception.preparation.wishes import Progress, Wishes
from offload_perception.preparation.write_artefact import write_artefact

if TYPE_CHECKING:
    import keras

TFLITE = '.tflite'
KERAS = ('.keras', '.h5', '.hdf5')


class Source(Protocol):
    """Something that can be made a prepared model; `weights` and `trained` as in `Artefact`."""

    @property
    def name(self) -> str:
        """Name of the network."""

    @property
    def weights(self) -> str:
        """Name of the weights, or their digest."""

    @property
    def trained(self) -> bool:
        """Whether the weights are trained."""

    def identity(self) -> dict[str, Any]:
        """Return, JSON-ready, all that the network depends on."""

    def write(self, folder: Path, wishes: Wishes, progress: Progress) -> None:
        """Write the prepared model into `folder`."""


class KerasSource(ABC):
    """A float32 Keras network, which is quantised once."""

    name: str
    weights: str
    trained: bool

    @abstractmethod
    def build(self) -> 'keras.Model':
        """Return the network: float32 RGB pixels 0..255 in, class scores out."""

    def write(self, folder: Path, wishes: Wishes, progress: Progress) -> None:
        """Quantise and cut the network into `folder`, as a prepared model."""
        progress(f'building {self.name} with weights {self.weights}')
        model = with_scores(self.build(), progress)
        write_artefact(
            model, folder, name=self.name, weights=self.weights, trained=self.trained,
            labels=self._labels(model, wishes), images=_images(model, wishes), fit=wishes.fit,
            weight_bits=wishes.weight_bits, progress=progress)

    def _labels(self, model: 'keras.Model', wishes: Wishes) -> tuple[str, ...]:
        if wishes.labels is not None:
            return read_labels(wishes.labels, model.output_shape[-1])
        return imagenet_labels() if self.weights == 'imagenet' else ()


def _images(model: 'keras.Model', wishes: Wishes) -> np.ndarray:
    shape = input_shape(model)
    if wishes.representative is None:
        return representative.default_images(shape)
    return representative.folder_images(wishes.representative, shape, how=wishes.fit)


@dataclass(frozen=True)
class Preset(KerasSource):
    """One of our own networks with the named weights."""

    spec: VggSpec
    weights: str

    @property
    def name(self) -> str:  # type: ignore[override]  # read only here
        """Return the preset's name."""
        return self.spec.name

    @property
    def trained(self) -> bool:  # type: ignore[override]
        """Return False if the weights are random."""
        return seed(self.weights) is None

    def build(self) -> 'keras.Model':
        """Return the network with its weights."""
        model = build(self.spec)
        load_weights(model, self.spec, self.weights)
        return model

    def identity(self) -> dict[str, Any]:
        """Return the spec and what the weights are."""
        return {**asdict(self.spec), 'weights': identity(self.weights)}


@dataclass(frozen=True)
class UserModel(KerasSource):
    """A user's own sequential network in a `.keras` or `.h5` file."""

    path: Path
    preprocess: str | None

    trained = True

    @property
    def name(self) -> str:  # type: ignore[override]  # read only here
        """Return the file's name without its suffix."""
        return self.path.stem

    @property
    def weights(self) -> str:  # type: ignore[override]
        """Return the file, which holds the weights too."""
        return str(self.path)

    def build(self) -> 'keras.Model':
        """Return the network, with the chosen preprocessing in front."""
        return user_model.load(self.path, self.preprocess)

    def identity(self) -> dict[str, Any]:
        """Return the file's digest and the preprocessing."""
        return {'file': file_digest(self.path), 'preprocess': self.preprocess}


def is_model_file(model: str) -> bool:
    """Return whether `model` names a file of a network, by its suffix."""
    return model.endswith((TFLITE, *KERAS))


def open_source(model: str, weights: str, preprocess: str | None = None,
                task: str = '') -> Source:
    """Return the network that `model` and `weights` name, as `prepare` takes them.

    A preset with a weights file takes its class count from the file.

    :raises ModelError: if there is no such model, or no such weights.
    """
    if is_model_file(model):
        if weights != 'bundled':
            raise ModelError(f'weights={weights}: {model} brings its own weights; leave weights '
                             'out, or name a preset as the model')
        if model.endswith(TFLITE):
            return TfliteFile(Path(model), preprocess or '', task)
        _refuse_task(task, model)
        return UserModel(Path(model), preprocess)
    _refuse_task(task, model)
    spec = find_spec(model)
    if preprocess is not None:
        raise ModelError(f'preprocess={preprocess} is for model files; {model} has its own')
    if weights != 'imagenet' and seed(weights) is None:
        spec = replace(spec, classes=class_count(Path(weights)))
    return Preset(spec, weights)


def _refuse_task(task: str, model: str) -> None:
    if task:
        raise ModelError(f'task={task} is for .tflite files; {model} is a classifier')
