from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from offload_perception.network.vgg16 import PIXEL_SPREAD, VggSpec
from offload_perception.terrain.tiles import tiles
from offload_perception.training.training_report import AERIAL_PANELS, confusion, draw_curves

# Of two blocks, whose weights are folded and grown as those of five are.
SMALL = VggSpec('small', input_size=16, width=1 / 16, classes=10, blocks=(1, 2), fc=(256,),
                pixel_gain=1 / PIXEL_SPREAD)


@pytest.fixture(scope='module')
def training() -> ModuleType:
    pytest.importorskip('tensorflow')
    import keras

    from offload_perception.training import aerial as train_aerial
    keras.utils.set_random_seed(1)
    return train_aerial


def test_folding_keeps_what_the_network_computes(training: ModuleType) -> None:
    model = training.trainable(SMALL, training.Recipe())
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.endswith(training.NORM):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    images = tiles('train', 4, size=16)[0].astype(np.float32)
    pure = training.fold(model, SMALL)
    scores = np.asarray(model(images, training=False))
    assert np.allclose(pure(images), scores, atol=1e-4)
    assert np.ptp(scores, axis=0).max() > 0.01  # else this shows nothing
    assert not any(layer.name.endswith(training.NORM) for layer in pure.layers)


def test_density_rewards_zeros_and_ignores_scale(training: ModuleType) -> None:
    penalty = training.density(1.0)
    full, half = np.ones(64, np.float32), np.repeat([0.0, 1.0], 32).astype(np.float32)
    assert float(penalty(half)) < float(penalty(full))
    assert float(penalty(half * 7)) == pytest.approx(float(penalty(half)), rel=1e-3)


def test_batches_keep_image_and_label_together(training: ModuleType) -> None:
    labels = np.arange(10)
    images = np.broadcast_to(20 * labels[:, None, None, None], (10, 8, 8, 3)).astype(np.uint8)
    stream = training.batches(images, labels, replace(training.Recipe(), batch=5))
    for _ in range(4):
        x, y = next(stream)
        grey = x.mean((1, 2, 3))
        assert (np.abs(grey - 20 * y.argmax(1)) <= 0.35 * grey + 1e-3).all()


def test_augmenting_keeps_shape_and_range(training: ModuleType) -> None:
    images = tiles('train', 5)[0]
    x = training.augment(images, np.random.default_rng(0))
    assert x.shape == images.shape and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 255


def test_confusion_counts_true_class_down() -> None:
    assert confusion(np.array([1, 1, 0]), np.array([0, 1, 0]), 2).tolist() == [[1, 1], [0, 1]]


def test_curves_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    history = tmp_path / 'history.csv'
    history.write_text('epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1,0.4,1.1\n')
    draw_curves(history, tmp_path / 'curves.png', AERIAL_PANELS)
    assert (tmp_path / 'curves.png').read_bytes().startswith(b'\x89PNG')


def test_growing_keeps_what_fc1_makes_of_equal_places(training: ModuleType) -> None:
    recipe = training.Recipe()
    quarter = training.trainable(replace(SMALL, input_size=4), recipe)
    model = training.trainable(replace(SMALL, input_size=8), recipe)
    training.grow(quarter, model)
    place = np.random.default_rng(0).random((1, 8)).astype(np.float32)
    small = quarter.get_layer('fc1')(place)
    assert np.allclose(model.get_layer('fc1')(np.tile(place, 4)), small, atol=1e-5)


def test_quarters_and_middles_cut_half_the_edge(training: ModuleType) -> None:
    images = np.arange(64 * 64 * 3, dtype=np.float32).reshape(1, 64, 64, 3)
    crop, _ = next(training.quarters(iter([(images, None)]), np.random.default_rng(0)))
    assert crop.shape == (1, 32, 32, 3)
    assert np.array_equal(training.middles((images, None))[0], images[:, 16:48, 16:48])
