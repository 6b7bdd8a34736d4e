import numpy as np
import pytest

from offload_perception.model.fill import load_weights
from offload_perception.model.vgg16 import VggSpec, build
from offload_perception.model.write import write_artefact

SPEC = VggSpec('tiny', input_size=32, width=1 / 16, classes=10)


@pytest.fixture(scope='session')
def images() -> np.ndarray:
    """Smooth random pictures, uint8 RGB (24, 32, 32, 3)."""
    coarse = np.random.default_rng(5).integers(0, 256, (24, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope='session')
def tiny():
    model = build(SPEC)
    load_weights(model, SPEC, 'seed:3')
    for layer in model.layers:  # seeded biases are zero, and zero biases hide mistakes
        if layer.trainable and layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, np.linspace(-.2, .2, bias.size, dtype=np.float32)])
    return model


@pytest.fixture(scope='session')
def artefact(tiny, images, tmp_path_factory):
    return write_artefact(tiny, tmp_path_factory.mktemp('artefact'), name='tiny', images=images,
                          weights='seed:3', trained=False, labels=[f'c{i}' for i in range(10)])
