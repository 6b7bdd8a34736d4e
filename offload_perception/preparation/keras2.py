"""Read a whole model in Keras' HDF5 layout of version 2 from the file itself.

Keras 3 refuses some such files, the usual fine-tuned VGG16 (a model inside a Sequential) among
them. Attribute `model_config` holds the layers as JSON, group `model_weights` their arrays: those
of layer x under `x`, those of layer y of a model x inside under `x` too, by their `weight_names`.
"""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.keras_backend import import_keras
from offload_perception.preparation.supported import BRANCHES, check_class, is_for_training

if TYPE_CHECKING:
    import h5py
    import keras

_MODELS = ('Sequential', 'Functional', 'Model')
_DROPPED = ('_initializer', '_regularizer', '_constraint')  # for training only
_UNUSED = ('dtype', 'batch_input_shape', 'batch_shape', 'trainable')


@dataclass
class Entry:
    """A layer as the file describes it, and its arrays in Keras' order."""

    kind: str
    config: dict[str, Any]
    arrays: list[np.ndarray] = field(default_factory=list)


def is_whole_model(path: Path) -> bool:
    """Return whether `path` is an HDF5 file of Keras 2 with layers and weights."""
    import h5py

    try:
        with h5py.File(path, 'r') as file:
            return (_text(file.attrs.get('keras_version', '2')).startswith('2')
                    and 'model_config' in file.attrs)
    except OSError:
        return False


def read(path: Path) -> 'keras.Model':
    """Return the network in `path` as a Keras 3 model, without settings for training.

    :raises ModelError: if the file is broken, branches, or has layers that cannot be cut.
    """
    import h5py

    try:
        with h5py.File(path, 'r') as file:
            config = json.loads(_text(file.attrs['model_config']))
            entries = list(_chain(config, file['model_weights'], path))
        shape = _shape(entries)
        kept = [e for e in entries if not is_for_training(e.kind)]
        return _model(shape, kept, path)
    except (OSError, KeyError, IndexError, ValueError, TypeError, AttributeError,
            RecursionError) as e:
        raise ModelError(f'{path} is not a whole Keras 2 model ({type(e).__name__}: {e}); save it '
                         'again with model.save') from e


def _chain(model: dict[str, Any], weights: 'h5py.Group', path: Path,
           inside: bool = False) -> Iterator[Entry]:
    """Yield the layers of `model` in the order of its data flow, those of models inside too.

    The arrays of a model inside all lie in its own group; an input may have none.
    """
    for layer in _in_order(model, path):
        name = layer['config']['name']
        group = weights if inside or name not in weights else weights[name]
        if layer['class_name'] in _MODELS:
            yield from _chain(layer, group, path, inside=True)
        else:
            yield Entry(layer['class_name'], layer['config'], _arrays(group, name))


def _in_order(model: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    config = model['config']
    layers: list[dict[str, Any]] = config['layers'] if isinstance(config, dict) else config
    if model['class_name'] == 'Sequential':
        return layers
    for before, layer in zip([None, *layers], layers, strict=False):
        sources = [source[0] for node in layer['inbound_nodes'] for source in _sources(node)]
        if sources != ([before['config']['name']] if before else []):
            raise ModelError(BRANCHES.format(path=path, where=layer['config']['name']))
    return layers


def _sources(node: list[Any]) -> list[list[Any]]:
    """Return what feeds a node: operations name one source without the list around it."""
    return [node] if isinstance(node[0], str) else node


def _arrays(group: 'h5py.Group', layer: str) -> list[np.ndarray]:
    names = [_text(name) for name in group.attrs.get('weight_names', ())]
    mine = [name for name in names if name.rsplit('/', 1)[0].split('/')[-1] == layer]
    own_group = group.name.rsplit('/', 1)[-1] == layer
    return [group[name][()] for name in (mine or (names if own_group else []))]


def _shape(entries: list[Entry]) -> tuple[int | None, ...]:
    for entry in entries:
        shape = entry.config.get('batch_input_shape') or entry.config.get('batch_shape')
        if shape:
            return tuple(shape[1:])
    raise ValueError('it does not say the shape of its image')


def _layer(entry: Entry, path: Path) -> 'keras.layers.Layer':
    check_class(entry.kind, entry.config, path)
    layers = import_keras().layers
    cls = getattr(layers, entry.kind)
    if cls is layers.Normalization and entry.arrays:
        mean, variance, *_ = entry.arrays
        entry.arrays = []
        return cls(axis=-1, mean=mean, variance=variance, name=entry.config['name'])
    return cls(**_arguments(cls, entry.config))


def _arguments(cls: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Return what of a layer's description its class `cls` takes and the results depend on."""
    known = inspect.signature(cls.__init__).parameters
    kept = {key: value for key, value in config.items()
            if (key in known or key == 'name') and key not in _UNUSED
            and not key.endswith(_DROPPED)}
    if isinstance(kept.get('axis'), list):
        kept['axis'], = kept['axis']
    return kept


def _model(shape: tuple[int | None, ...], entries: list[Entry], path: Path) -> 'keras.Model':
    keras = import_keras()
    layers = [_layer(entry, path) for entry in entries]
    model = keras.Sequential([keras.Input(shape), *layers], name=path.stem)
    for layer, entry in zip(layers, entries, strict=True):
        wanted, found = [tuple(w.shape) for w in layer.weights], [a.shape for a in entry.arrays]
        if found != wanted:
            raise ModelError(f'{path}: layer {layer.name} wants arrays {wanted}, the file has '
                             f'{found or "none"}; save it again with model.save')
        layer.set_weights(entry.arrays)
    return model


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
