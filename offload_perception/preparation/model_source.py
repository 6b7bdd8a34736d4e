"""Where a float network comes from: a preset with weights, or a user's own model file."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from offload_perception.errors import ModelError
from offload_perception.network.digest import file_digest
from offload_perception.network.vgg16 import VggSpec, find_spec
from offload_perception.preparation import user_model
from offload_perception.preparation.fill import class_count, identity, load_weights, seed
from offload_perception.preparation.keras_vgg import build

if TYPE_CHECKING:
    import keras


class FloatNetwork(Protocol):
    """A float network that can be built; `weights` and `trained` as in `Artefact`."""

    @property
    def name(self) -> str:
        """Name of the network."""

    @property
    def weights(self) -> str:
        """Name of the weights, or their digest."""

    @property
    def trained(self) -> bool:
        """Whether the weights are trained."""

    def build(self) -> 'keras.Model':
        """Return the network: float32 RGB pixels 0..255 in, class scores out."""

    def identity(self) -> dict[str, Any]:
        """Return, JSON-ready, all that the network depends on."""


@dataclass(frozen=True)
class Preset:
    """One of our own networks with the named weights."""

    spec: VggSpec
    weights: str

    @property
    def name(self) -> str:
        """Return the preset's name."""
        return self.spec.name

    @property
    def trained(self) -> bool:
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
class UserModel:
    """A user's own sequential network in a `.keras` or `.h5` file."""

    path: Path
    preprocess: str | None

    trained = True

    @property
    def name(self) -> str:
        """Return the file's name without its suffix."""
        return self.path.stem

    @property
    def weights(self) -> str:
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
    return model.endswith(('.keras', '.h5', '.hdf5'))


def open_source(model: str, weights: str, preprocess: str | None = None) -> FloatNetwork:
    """Return the network that `model` and `weights` name, as `prepare` takes them.

    A preset with a weights file takes its class count from the file.

    :raises ModelError: if there is no such model, or no such weights.
    """
    if is_model_file(model):
        if weights != 'bundled':
            raise ModelError(f'weights={weights}: {model} brings its own weights; leave weights '
                             'out, or name a preset as the model')
        return UserModel(Path(model), preprocess)
    spec = find_spec(model)
    if preprocess is not None:
        raise ModelError(f'preprocess={preprocess} is for model files; {model} has its own')
    if weights != 'imagenet' and seed(weights) is None:
        spec = replace(spec, classes=class_count(Path(weights)))
    return Preset(spec, weights)
