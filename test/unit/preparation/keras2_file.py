"""Write whole models as Keras 2 saves them in HDF5: `model_config` and `model_weights`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def layer(kind: str, name: str, *arrays: tuple[str, np.ndarray], **config: Any) -> dict[str, Any]:
    """Describe a layer; `arrays` are pairs such as ('kernel:0', values)."""
    return {'class_name': kind, 'config': {'name': name, 'dtype': 'float32', 'trainable': True,
                                           **config}, 'arrays': arrays}


def conv(name: str, kernel: np.ndarray, activation: str = 'relu', **config: Any) -> dict[str, Any]:
    zeros = {'class_name': 'Zeros', 'config': {}}
    return layer('Conv2D', name, ('kernel:0', kernel), ('bias:0', kernel.sum((0, 1, 2))),
                 filters=kernel.shape[3], kernel_size=list(kernel.shape[:2]), strides=[1, 1],
                 padding='same', data_format='channels_last', dilation_rate=[1, 1], groups=1,
                 activation=activation, use_bias=True, bias_initializer=zeros,
                 kernel_regularizer=None, **config)


def dense(name: str, kernel: np.ndarray, activation: str) -> dict[str, Any]:
    return layer('Dense', name, ('kernel:0', kernel), ('bias:0', kernel.sum(0)),
                 units=kernel.shape[1], activation=activation, use_bias=True)


def pool(name: str) -> dict[str, Any]:
    return layer('MaxPooling2D', name, pool_size=[2, 2], padding='valid', strides=[2, 2],
                 data_format='channels_last')


def image(name: str, size: int) -> dict[str, Any]:
    return layer('InputLayer', name, batch_input_shape=[None, size, size, 3], sparse=False,
                 ragged=False)


def model(kind: str, name: str, *layers: dict[str, Any]) -> dict[str, Any]:
    """Describe a Sequential, or a Functional in which each layer is fed by the one before."""
    before = None
    for each in layers:
        if kind == 'Functional':
            each['name'] = each['config']['name']
            each['inbound_nodes'] = [[[before, 0, 0, {}]]] if before else []
            before = each['name']
    return {'class_name': kind, 'config': {'name': name, 'layers': list(layers)}, 'arrays': ()}


def save(path: Path, whole: dict[str, Any], version: str = '2.10.0') -> Path:
    with h5py.File(path, 'w') as file:
        file.attrs['keras_version'], file.attrs['backend'] = version, 'tensorflow'
        file.attrs['model_config'] = json.dumps(_described(whole))
        weights = file.create_group('model_weights')
        for each in whole['config']['layers']:
            if whole['class_name'] == 'Sequential' and each['class_name'] == 'InputLayer':
                continue
            group = weights.create_group(each['config']['name'])
            names = []
            for owner, (name, values) in _arrays(each):
                group[f'{owner}/{name}'] = values.astype(np.float32)
                names.append(f'{owner}/{name}'.encode())
            group.attrs['weight_names'] = names
    return path


def _arrays(each: dict[str, Any]) -> Iterator[Any]:
    for inner in each['config'].get('layers', ()):
        yield from _arrays(inner)
    for array in each['arrays']:
        yield each['config']['name'], array


def _described(each: dict[str, Any]) -> dict[str, Any]:
    config = {k: [_described(x) for x in v] if k == 'layers' else v
              for k, v in each['config'].items()}
    return {**{k: v for k, v in each.items() if k != 'arrays'}, 'config': config}
