"""Whole models that Keras 2 saved: read from the file's own layers and arrays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.preparation.keras2_file import conv, dense, image, layer, model, pool, save

from offload_perception.errors import ModelError
from offload_perception.preparation.prepare import prepare
from offload_perception.preparation.user_model import load

keras = pytest.importorskip('keras')
RNG = np.random.default_rng(6)


def draw(*shape: int) -> np.ndarray:
    return (0.3 * RNG.standard_normal(shape)).astype(np.float32)


C1, C2, D1, D2 = draw(3, 3, 3, 4), draw(3, 3, 4, 6), draw(4 * 4 * 6, 8), draw(8, 3)


def base() -> dict[str, Any]:
    return model('Functional', 'vgg16', image('input_1', 16), conv('block1_conv1', C1),
                 pool('block1_pool'), conv('block2_conv1', C2), pool('block2_pool'))


def head(end: str = 'softmax') -> list[dict[str, Any]]:
    return [layer('Flatten', 'flatten', data_format='channels_last'),
            dense('dense', D1, 'relu'), layer('Dropout', 'dropout', rate=0.5),
            dense('dense_1', D2, end)]


def expected(pixels: np.ndarray) -> np.ndarray:
    """Return the scores of the network, computed with arrays that are set by hand."""
    layers = keras.layers
    same = {'padding': 'same', 'activation': 'relu'}
    network = keras.Sequential([
        keras.Input((16, 16, 3)), layers.Conv2D(4, 3, **same), layers.MaxPooling2D(),
        layers.Conv2D(6, 3, **same), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(8, 'relu'), layers.Dense(3, 'softmax')])
    network.set_weights([a for k in (C1, C2, D1, D2) for a in (k, k.reshape(-1, k.shape[-1]).sum(
        0))])
    return np.asarray(network(pixels))


@pytest.fixture(scope='module')
def pixels() -> np.ndarray:
    return RNG.uniform(0, 1, (3, 16, 16, 3)).astype(np.float32)


@pytest.mark.parametrize('version', ['2.2.4-tf', '2.15.0'])
def test_the_usual_fine_tuned_vgg16(tmp_path: Path, pixels: np.ndarray, version: str) -> None:
    path = save(tmp_path / 'a.h5', model('Sequential', 'mine', image('vgg16_input', 16), base(),
                                         *head()), version)
    found = load(path, 'inside')
    np.testing.assert_allclose(np.asarray(found(pixels)), expected(pixels), rtol=1e-4, atol=1e-6)
    assert found.layers[0].name == 'block1_conv1'


def test_a_sequential_without_an_input_layer(tmp_path: Path, pixels: np.ndarray) -> None:
    first = conv('c1', C1, batch_input_shape=[None, 16, 16, 3])
    path = save(tmp_path / 'a.h5', model('Sequential', 'mine', first, pool('p1'), conv('c2', C2),
                                         pool('p2'), *head()))
    np.testing.assert_allclose(np.asarray(load(path, 'inside')(pixels)), expected(pixels),
                               rtol=1e-4, atol=1e-6)


def test_layers_of_training_are_left_out(tmp_path: Path, pixels: np.ndarray) -> None:
    path = save(tmp_path / 'a.h5', model(
        'Functional', 'mine', image('input_2', 16), layer('RandomFlip', 'flip', mode='horizontal'),
        layer('Rescaling', 'rescaling', scale=1 / 255, offset=0.0), base(),
        layer('SpatialDropout2D', 'spatial', rate=0.2), *head()))
    np.testing.assert_allclose(np.asarray(load(path)(255 * pixels)), expected(pixels),
                               rtol=1e-3, atol=1e-5)


def test_normalisation_of_batches_and_pixels(tmp_path: Path, pixels: np.ndarray) -> None:
    gamma, beta, mean, variance = (np.linspace(a, b, 4) for a, b in (
        (1, 2), (0, 1), (-1, 1), (1, 3)))
    path = save(tmp_path / 'a.h5', model(
        'Sequential', 'mine', image('in', 16),
        layer('Normalization', 'norm', ('mean:0', np.array([.4, .5, .6])),
              ('variance:0', np.array([.1, .2, .3])), ('count:0', np.array(7)), axis=[-1]),
        conv('c1', C1, 'linear'),
        layer('BatchNormalization', 'bn', ('gamma:0', gamma), ('beta:0', beta),
              ('moving_mean:0', mean), ('moving_variance:0', variance), axis=[3], momentum=.99,
              epsilon=.001, center=True, scale=True),
        layer('Activation', 'relu', activation='relu'), pool('p1'), conv('c2', C2), pool('p2'),
        *head()))
    found = load(path)
    x = (pixels - [.4, .5, .6]) / np.sqrt([.1, .2, .3])
    conv1 = found.get_layer('c1')(x.astype(np.float32))
    normalised = gamma * (np.asarray(conv1) - mean) / np.sqrt(variance + .001) + beta
    np.testing.assert_allclose(np.asarray(found.get_layer('bn')(conv1)), normalised, rtol=1e-4,
                               atol=1e-5)
    np.testing.assert_allclose(np.asarray(found.get_layer('norm')(pixels)), x, rtol=1e-4,
                               atol=1e-5)


def test_it_is_prepared_and_cut(tmp_path: Path) -> None:
    path = save(tmp_path / 'a.h5', model('Sequential', 'mine', image('vgg16_input', 16), base(),
                                         *head('linear')))
    heard = []
    artefact = prepare(path, preprocess='unit', cache_dir=tmp_path, progress=heard.append)
    assert [x.name for x in artefact.layers] == [
        'block1_conv1', 'block1_pool', 'block2_conv1', 'block2_pool', 'dense', 'dense_1']
    assert any('softmax is appended' in text for text in heard)


def merged() -> dict[str, Any]:
    whole = model('Functional', 'mine', image('in', 16), conv('c1', C1[:, :, :, :3]),
                  layer('Add', 'add'))
    whole['config']['layers'][-1]['inbound_nodes'] = [[['c1', 0, 0, {}], ['in', 0, 0, {}]]]
    return whole


def preprocessed() -> dict[str, Any]:
    whole = model('Functional', 'mine', image('in', 16),
                  layer('SlicingOpLambda', 'tf.__operators__.getitem', function='getitem'),
                  layer('TFOpLambda', 'tf.nn.bias_add', function='nn.bias_add'),
                  conv('c1', C1), pool('p1'))
    whole['config']['layers'][1]['inbound_nodes'] = [['in', 0, 0, {'slice_spec': []}]]
    whole['config']['layers'][2]['inbound_nodes'] = [['tf.__operators__.getitem', 0, 0,
                                                      {'bias': [-103.9, -116.8, -123.7]}]]
    return whole


@pytest.mark.parametrize(('whole', 'message'), [
    (merged, 'branches at add'),
    (preprocessed, r'getitem is an operation.*preprocess_input.*preprocess=caffe'),
    (lambda: model('Sequential', 'm', image('in', 16), conv('c1', C1, 'elu')),
     'layer c1 has the activation elu'),
    (lambda: model('Sequential', 'm', image('in', 16), conv('c1', C1),
                   layer('ELU', 'elu_1', alpha=1.0)), 'layer elu_1 is a ELU'),
    (lambda: model('Sequential', 'm', image('in', 16), conv('c1', C1[:, :, :2])),
     'not a whole Keras 2 model|wants arrays'),
])
def test_what_cannot_be_cut_is_named(tmp_path: Path, whole: Callable[..., Any],
                                     message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(save(tmp_path / 'a.h5', whole()), 'inside')


def test_the_same_of_a_file_of_keras_3(tmp_path: Path) -> None:
    layers = keras.layers
    image_3 = keras.Input((16, 16, 3))
    prepared = keras.applications.vgg16.preprocess_input(image_3)
    out = layers.Dense(3, 'softmax')(layers.Flatten()(layers.Conv2D(4, 3, name='c')(prepared)))
    keras.Model(image_3, out).save(tmp_path / 'op.keras')
    with pytest.raises(ModelError, match=r'is an operation.*preprocess=caffe'):
        load(tmp_path / 'op.keras')
    keras.Sequential([image_3, layers.Conv2D(4, 3, activation='elu', name='c'),
                      layers.Flatten(), layers.Dense(3, 'softmax')]).save(tmp_path / 'elu.keras')
    with pytest.raises(ModelError, match='layer c has the activation elu'):
        load(tmp_path / 'elu.keras', 'unit')
