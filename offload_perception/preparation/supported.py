"""Which layers and activations a user's network may have, and what to do about others."""

from pathlib import Path
from typing import Any

from offload_perception.errors import ModelError

BRANCHES = ('{path} branches at {where}: only a sequential network, each layer fed by the one '
            'before, can be cut')
LAYERS = ('Conv2D', 'MaxPooling2D', 'AveragePooling2D', 'GlobalAveragePooling2D', 'Dense',
          'Flatten', 'Reshape', 'ZeroPadding2D', 'BatchNormalization', 'Rescaling',
          'Normalization', 'Activation', 'ReLU', 'Softmax')
ACTIVATIONS = ('linear', 'relu', 'relu6', 'softmax', 'sigmoid')
_TRAINING_ONLY = ('InputLayer', 'Dropout', 'SpatialDropout', 'AlphaDropout', 'Gaussian', 'Random',
                  'ActivityRegularization', 'Identity')
_OPERATIONS = ('TFOpLambda', 'SlicingOpLambda', 'TensorFlowOpLayer', 'Lambda')
_MERGING = ('Add', 'Subtract', 'Multiply', 'Average', 'Maximum', 'Minimum', 'Concatenate', 'Dot')


def is_for_training(kind: str) -> bool:
    """Return whether a layer of that class does nothing at inference."""
    return kind.startswith(_TRAINING_ONLY)


def refuse_operation(name: str, path: Path) -> None:
    """Refuse operations that are not layers.

    :raises ModelError: always.
    """
    raise ModelError(f'{path}: {name} is an operation, no layer, as preprocess_input inside a '
                     'model makes them; save the network without it and say preprocess=caffe '
                     '(VGG16, ResNet50) or preprocess=tf (MobileNet) instead')


def check_class(kind: str, config: dict[str, Any], path: Path) -> None:
    """Refuse a layer that cannot be quantised and cut, with what to do instead.

    `config` is that of the layer in Keras' form.

    :raises ModelError: naming the layer.
    """
    name = config.get('name', kind)
    if kind in _OPERATIONS:
        refuse_operation(name, path)
    if kind in _MERGING:
        raise ModelError(BRANCHES.format(path=path, where=name))
    if kind not in LAYERS:
        raise ModelError(f'{path}: layer {name} is a {kind}; a network that can be cut has '
                         f'only {", ".join(LAYERS)}')
    activation = config.get('activation') or 'linear'
    if isinstance(activation, dict):
        activation = activation.get('class_name', 'another')
    if activation not in ACTIVATIONS:
        raise ModelError(f'{path}: layer {name} has the activation {activation}, which cannot be '
                         f'quantised and cut; train it with {", ".join(ACTIVATIONS)}')
    if config.get('data_format') == 'channels_first':
        raise ModelError(f'{path}: layer {name} has its channels first; train it with '
                         'data_format channels_last')
