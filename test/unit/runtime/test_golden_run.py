"""A runtime is held against what the layers gave when the model was prepared."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.golden import MOST, Samples, keep_golden, load_golden, sample
from offload_perception.runtime.open_network import open_network
from offload_perception.runtime.select import resolve

pytest.importorskip('ai_edge_litert')


@pytest.fixture
def own(tiny: Artefact, tmp_path: Path) -> Artefact:
    shutil.copytree(tiny.path, tmp_path / 'own')
    return replace(tiny, path=tmp_path / 'own')


def warm(artefact: Artefact) -> Chain:
    chain = Chain(artefact, resolve('cpu', 'litert'), merge=False)
    chain.warm_up(1)
    return chain


def changed(artefact: Artefact, change: Callable[[np.ndarray], np.ndarray],
            layer: str) -> Artefact:
    """Return the artefact as if that layer had given something else when it was prepared."""
    samples: Samples = load_golden(artefact)
    number, = next(x.gives for x in artefact.layers if x.name == layer)
    x = samples[number].astype(int)
    samples[number] = np.clip(change(x), -128, 127).astype(np.int8)
    return keep_golden(artefact, samples)


@pytest.mark.parametrize('model', ['aerial', 'aerial_split'])
def test_the_bundled_models_have_a_golden_run_that_this_computer_repeats(model: str) -> None:
    artefact = prepare(model)
    assert len(load_golden(artefact)) == artefact.last
    chain = warm(artefact)
    assert 'golden run: equal' in chain.describe() and not chain.doubt


def test_a_prepared_model_has_a_sample_of_every_tensor(tiny: Artefact) -> None:
    golden = load_golden(tiny)
    assert {i: x.size for i, x in golden.items()} == {
        i: min(spec.size, MOST) for i, spec in tiny.specs.items()}
    assert 'golden run: equal' in warm(tiny).describe()


def test_a_sample_is_spread_over_the_whole_tensor() -> None:
    x = np.arange(3 * MOST + 5)
    assert sample(x).size <= MOST and sample(x)[-1] > x[-1] - 5
    assert np.array_equal(sample(x[:7].reshape(1, 7)), x[:7])


def test_rare_differences_are_told_with_numbers(own: Artefact) -> None:
    def one_in_a_hundred(x: np.ndarray) -> np.ndarray:
        x[::100] += np.where(x[::100] > 0, -1, 1)
        return x

    chain = warm(changed(own, one_in_a_hundred, 'conv2'))
    assert 'differs at conv2 by 1 quanta at most, in 1.' in chain.describe()
    assert chain.doubt.startswith('litert differs from the run when tiny was prepared, at conv2')


def test_another_result_is_refused(own: Artefact) -> None:
    with pytest.raises(ModelError, match=r'litert computes tiny otherwise .* at conv2 by 9 '):
        open_network(changed(own, lambda x: x + np.where(x > 0, -9, 9), 'conv2'), 'cpu', 'litert')


def test_another_class_is_refused_however_close_the_tensors_are(own: Artefact) -> None:
    def turned(x: np.ndarray) -> np.ndarray:
        x[x.argmin()] = 127
        return x

    golden = load_golden(own)[own.outputs[0]]
    assert int(golden.max()) - int(golden.min()) > 10
    with pytest.raises(ModelError, match='at predictions'):
        warm(changed(own, turned, 'predictions'))


def test_a_damaged_golden_run_is_found(own: Artefact) -> None:
    own.golden_file.write_bytes(own.golden_file.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r'golden\.npz is damaged'):
        warm(own)


def test_a_model_without_a_golden_run_is_taken_and_says_so(own: Artefact) -> None:
    assert 'golden run: none beside the model' in warm(replace(own, golden_sha256='')).describe()
