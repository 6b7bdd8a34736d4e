"""The int8 network takes camera pixels as they are, and reads them as in training.

The reference preprocessing is coded here on its own, from the definition of Keras' VGG16:
RGB to BGR, minus the ImageNet mean, before the first convolution pads with zeros.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from unit.litert import input_details, run_each

from offload_perception.network.artefact import Artefact
from offload_perception.network.layer_cuts import PREPROCESS
from offload_perception.network.vgg16 import VggSpec
from offload_perception.preparation.convert import to_int8
from offload_perception.preparation.fill import load_weights
from offload_perception.preparation.keras_vgg import build


def bgr_minus_mean(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(rgb.astype(np.float64), -1, 0)
    return np.stack([blue - 103.939, green - 116.779, red - 123.68], -1).astype(np.float32)


# Shallow, since a deep random network forgets most of what it sees.
SHALLOW = VggSpec('shallow', input_size=32, width=1 / 8, classes=10, blocks=(1, 1), fc=(512,))


@pytest.fixture(scope='module')
def network() -> Any:
    model = build(SHALLOW)
    load_weights(model, SHALLOW, 'seed:7')
    return model


@pytest.fixture(scope='module')
def bare(network: Any) -> Any:
    """The layers after the preprocessing, as keras.applications would have them."""
    import keras

    return keras.Sequential([keras.Input((32, 32, 3)),
                             *(layer for layer in network.layers if layer.name != PREPROCESS)])


@pytest.fixture(scope='module')
def int8_model(network: Any, images: np.ndarray) -> bytes:
    return to_int8(network, images)


@pytest.fixture(scope='module')
def int8_scores(int8_model: bytes, images: np.ndarray) -> np.ndarray:
    return (run_each(int8_model, images) + 128.0) / 256


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference, as a share of how much scores vary from image to image."""
    return float(np.abs(a - b).mean() / a.std(axis=0).mean())


def test_input_is_a_raw_pixel(int8_model: bytes) -> None:
    details = input_details(int8_model)
    assert (details['dtype'], details['quantization']) == (np.uint8, (1.0, 0))


def test_int8_on_raw_pixels_agrees_with_float_on_prepared_ones(
        bare: Any, int8_scores: np.ndarray, images: np.ndarray) -> None:
    expected = bare.predict(bgr_minus_mean(images), verbose=0)
    assert (expected.argmax(1) == int8_scores.argmax(1)).mean() >= 0.9
    assert distance(expected, int8_scores) < 0.05


@pytest.mark.parametrize('wrong', [
    pytest.param(lambda x: bgr_minus_mean(x[..., ::-1]), id='channel order'),
    pytest.param(lambda x: bgr_minus_mean(x) / 127.5, id='range'),
    pytest.param(lambda x: x.astype(np.float32), id='none'),
    pytest.param(lambda x: bgr_minus_mean(x) + 20, id='mean'),
])
def test_a_wrong_preprocessing_would_be_seen(bare: Any, int8_scores: np.ndarray,
                                             images: np.ndarray,
                                             wrong: Callable[..., Any]) -> None:
    assert distance(bare.predict(wrong(images), verbose=0), int8_scores) > 0.2


def test_float_network_equals_keras_vgg16_of_full_depth() -> None:
    import keras

    spec = VggSpec('vgg16', input_size=32, classes=5, fc=(16, 16), width=1)
    ours = build(spec)
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    for layer in theirs.layers:
        if layer.weights:
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    pool = keras.Model(ours.inputs, ours.get_layer('block5_pool').output)
    expected = theirs(keras.applications.vgg16.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(pool([pixels]), expected, rtol=1e-4, atol=1e-4)


def test_the_stored_agreement_counts_every_image(small: Any, small_artefact: Artefact,
                                                 images: np.ndarray) -> None:
    exact = np.asarray(small(images.astype(np.float32))).argmax(1)
    rounded = run_each(small_artefact.model_file.read_bytes(), images).argmax(1)
    assert len(np.unique(exact)) > 1  # else this shows nothing
    assert small_artefact.agreement == (exact == rounded).mean()
