"""Whatever a network ends in, its results are scores 0..1 of at least two classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.litert import run

from offload_perception.errors import ModelError
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.convert import to_int8
from offload_perception.preparation.scores import with_scores
from offload_perception.preparation.write_artefact import write_artefact

keras = pytest.importorskip('keras')


def network(*end: Any) -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(4)
    return keras.Sequential([
        keras.Input((16, 16, 3)), layers.Rescaling(1 / 32, name='preprocess'),
        layers.Conv2D(4, 3, activation='relu', name='c1'), layers.MaxPooling2D(name='p1'),
        layers.Flatten(), *end], name='mine')


def dense(units: int, activation: str | None = None) -> Any:
    return keras.layers.Dense(units, activation=activation, name='out', bias_initializer='ones')


@pytest.fixture(scope='module')
def pixels() -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 255, (8, 16, 16, 3)).astype(np.float32)


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_scores_stay_what_they_are(activation: str) -> None:
    model, heard = network(dense(3, activation)), []
    assert with_scores(model, heard.append) is model and not heard


def test_logits_get_a_softmax_and_it_is_reported(pixels: np.ndarray) -> None:
    model, heard = network(dense(3)), []
    whole = with_scores(model, heard.append)
    assert 'mine ends in linear outputs' in heard[0] and 'softmax is appended' in heard[0]
    logits, scores = np.asarray(model(pixels)), np.asarray(whole(pixels))
    assert logits.min() < 0 or logits.max() > 1  # else this shows nothing
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_logits_are_scores_in_the_int8_file_too(pixels: np.ndarray) -> None:
    images = pixels.astype(np.uint8)
    file = to_int8(with_scores(network(dense(3)), lambda text: None), images)
    output = Graph(file).spec(Graph(file).operators[-1].outputs[0])
    assert (output.scale, output.zero_point) == (1 / 256, -128)
    total = (run(file, images[0]).astype(int) + 128).sum() / 256
    assert total == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize('end', [
    lambda: [dense(1, 'sigmoid')],
    lambda: [dense(1), keras.layers.Activation('sigmoid')],
    lambda: [dense(1)],
])
def test_a_single_sigmoid_is_two_classes(pixels: np.ndarray, end: Callable[..., Any]) -> None:
    model = network(*end())
    whole = with_scores(model, lambda text: None)
    assert whole.output_shape == (None, 2)
    one, two = np.asarray(model(pixels))[:, 0], np.asarray(whole(pixels))
    if len(model.layers) == 5 and model.layers[-1].activation.__name__ == 'linear':
        one = 1 / (1 + np.exp(-one))
    np.testing.assert_allclose(two, np.stack([1 - one, one], 1), rtol=1e-4, atol=1e-6)


def test_two_labels_fit_a_single_sigmoid(pixels: np.ndarray, tmp_path: Path) -> None:
    whole = with_scores(network(dense(1, 'sigmoid')), lambda text: None)
    artefact = write_artefact(whole, tmp_path, name='mine', weights='w', trained=True,
                              labels=('empty', 'landing site'), images=pixels.astype(np.uint8))
    assert artefact.label(1) == 'landing site'
    assert [spec.size for spec in artefact.tensors(artefact.last)] == [2]


def test_one_output_of_another_kind_is_refused() -> None:
    with pytest.raises(ModelError, match=r'one output of a Dense with tanh; end it in Dense\(1'):
        with_scores(network(dense(1, 'tanh')), lambda text: None)
