from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from unit.runtime.tiny_model import CHANNELS, SIZE, UNITS, image

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.keras_tail import KerasTail
from offload_perception.runtime.select import Choice


@pytest.fixture(scope='module')
def keras() -> ModuleType:
    pytest.importorskip('tensorflow')
    return pytest.importorskip('keras')


@pytest.fixture(scope='module')
def model(keras: ModuleType) -> Any:
    layers = [keras.Input((SIZE, SIZE, 3)), keras.layers.Rescaling(1 / 255)]
    for number, channels in enumerate(CHANNELS, 1):
        layers += [keras.layers.Conv2D(channels, 3, padding='same', name=f'conv{number}'),
                   keras.layers.MaxPooling2D(name=f'pool{number}')]
    layers += [keras.layers.Flatten(), keras.layers.Dense(UNITS[0], name='fc1'),
               keras.layers.Dense(UNITS[1], activation='softmax', name='predictions')]
    return keras.Sequential(layers)


@pytest.fixture(scope='module')
def artefact(tiny: Artefact, model: Any, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    artefact = replace(tiny, path=tmp_path_factory.mktemp('float'))
    for file in tiny.path.iterdir():
        (artefact.path / file.name).symlink_to(file)
    model.save(artefact.keras_file)
    return artefact


@pytest.mark.parametrize('cut', range(7))
def test_tail_is_the_rest_of_the_network_on_real_numbers(artefact: Artefact, model: Any,
                                                         cut: int) -> None:
    chain = Chain(artefact, Choice('cpu', 'litert', ''), merge=False)
    tensor, = chain.head(cut, image())
    spec, = artefact.tensors(cut)
    x = spec.dequantise(tensor)[None]
    names = [layer.name for layer in model.layers]
    for layer in model.layers[names.index(artefact.cut_names[cut]) + 1 if cut else 0:]:
        x = layer(x)
    tail = KerasTail(artefact)
    tail.warm_up(cut)
    scores, = tail.tail(cut, (tensor,))
    assert scores.dtype == np.float32 and scores.shape == (UNITS[1],)
    np.testing.assert_allclose(scores, np.asarray(x)[0], rtol=1e-5, atol=1e-6)
    tail.close()
    chain.close()


def test_refuses_the_tensor_of_another_cut(artefact: Artefact) -> None:
    with pytest.raises(ModelError, match='the tail after cut 2 takes int8'):
        KerasTail(artefact).tail(2, (image(),))


def test_says_when_the_float_network_is_missing(tiny: Artefact) -> None:
    with pytest.raises(ModelError, match=r'model\.keras is missing.*choose backend int8'):
        KerasTail(tiny)


def test_says_when_the_float_network_has_not_the_layer(artefact: Artefact) -> None:
    renamed = [replace(artefact.layers[0], name='stem'), *artefact.layers[1:]]
    tail = KerasTail(replace(artefact, layers=tuple(renamed)))
    with pytest.raises(ModelError, match='has no layer stem'):
        tail.warm_up(1)
