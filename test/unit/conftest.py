"""Fixtures of several folders: a small network, and what the planner knows of others."""

from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from offload_perception.network.artefact import Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.network.vgg16 import VggSpec
from offload_perception.preparation.fill import load_weights
from offload_perception.preparation.keras_vgg import build
from offload_perception.preparation.write_artefact import write_artefact
from offload_perception.profiles import device_profile
from offload_perception.profiles.device_profile import DeviceProfile

# A busy machine is no failure: no example has a time limit.
settings.register_profile('unhurried', deadline=None, max_examples=50)
settings.load_profile('unhurried')

SPEC = VggSpec('tiny', input_size=32, width=1 / 16, classes=10)
# Of four layers, for tests in which every layer costs a conversion or a process.
SMALL = VggSpec('small', input_size=32, width=1 / 16, classes=10, blocks=(1,), fc=(256,))
LABELS = tuple(f'c{i}' for i in range(10))


@pytest.fixture
def shape() -> NetworkShape:
    return NetworkShape.preset('vgg16_112')


@pytest.fixture
def pi() -> DeviceProfile:
    return device_profile.load('raspberry_pi_3b_plus')


@pytest.fixture
def coral() -> DeviceProfile:
    return device_profile.load('raspberry_pi_3b_plus_coral')


@pytest.fixture(scope='session')
def images() -> np.ndarray:
    """Smooth random pictures, uint8 RGB (24, 32, 32, 3)."""
    coarse = np.random.default_rng(5).integers(0, 256, (24, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope='session')
def tiny() -> Any:
    pytest.importorskip('keras', reason='building a model needs TensorFlow')
    model = build(SPEC)
    load_weights(model, SPEC, 'seed:3')
    for layer in model.layers:  # seeded biases are zero, and zero biases hide mistakes
        if layer.trainable and layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, np.linspace(-.2, .2, bias.size, dtype=np.float32)])
    return model


@pytest.fixture(scope='session')
def tiny_artefact(tiny: Any, images: np.ndarray,
                  tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_artefact(tiny, tmp_path_factory.mktemp('artefact'), name='tiny', images=images,
                          weights='seed:3', trained=False, labels=LABELS)


@pytest.fixture(scope='session')
def small() -> Any:
    pytest.importorskip('keras', reason='building a model needs TensorFlow')
    model = build(SMALL)
    load_weights(model, SMALL, 'seed:2')
    return model


@pytest.fixture(scope='session')
def small_artefact(small: Any, images: np.ndarray,
                   tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_artefact(small, tmp_path_factory.mktemp('small'), name='small', images=images,
                          weights='seed:2', trained=False, labels=LABELS)
