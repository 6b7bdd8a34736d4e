import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unit.runtime.tiny_model import image

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime import openvino, tflite
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.openvino import OpenVinoRunner
from offload_perception.runtime.runner import Runner
from offload_perception.runtime.tflite import TfliteRunner

MODULES = {'litert': 'ai_edge_litert', 'tflite_runtime': 'tflite_runtime',
           'tensorflow': 'tensorflow', 'openvino': 'openvino'}


@pytest.fixture(params=MODULES)
def runner(request: pytest.FixtureRequest,
           tiny: Artefact) -> Iterator[Runner]:
    pytest.importorskip(MODULES[request.param], reason=f'{request.param} is not installed')
    runner = load_cpu(request.param, tiny.model_file, *tiny.end_specs(1, 6), threads=2)
    yield runner
    runner.close()


def test_gives_the_same_for_the_same_image_and_not_for_another(
        runner: TfliteRunner | OpenVinoRunner) -> None:
    first, other = (runner.run((image(seed),))[0].copy() for seed in (1, 2))
    assert np.array_equal(runner.run((image(1),)), (first,))
    assert not np.array_equal(other, first)


def test_names_itself_and_its_ends(runner: TfliteRunner | OpenVinoRunner, tiny: Artefact) -> None:
    assert runner.device == 'cpu' and runner.runtime in MODULES
    assert (runner.inputs, runner.outputs) == ((tiny.input,), tiny.tensors(tiny.last))
    y, = runner.run((image(),))
    assert y.shape == runner.outputs[0].shape == (8,) and y.dtype == np.int8


def test_result_outlives_the_runner(tiny: Artefact) -> None:
    runner = load_cpu('litert', tiny.model_file, *tiny.end_specs(1, 6), threads=1)
    y, = runner.run((image(),))
    before = y.copy()
    runner.close()
    del runner
    assert np.array_equal(y, before)


def test_result_is_the_runtimes_own_memory(runner: TfliteRunner | OpenVinoRunner) -> None:
    y, = runner.run((image(1),))
    assert np.shares_memory(y, runner.run((image(2),))[0])


def test_takes_an_array_with_gaps(runner: TfliteRunner | OpenVinoRunner) -> None:
    wide = np.repeat(image(), 2, axis=1)
    gaps = runner.run((wide[:, ::2],))[0].copy()
    assert np.array_equal(gaps, runner.run((image(),))[0])


@pytest.mark.parametrize('wrong', [image()[:-1], image().astype(np.int8), image()[None]])
def test_refuses_another_shape_or_dtype(runner: TfliteRunner | OpenVinoRunner,
                                        wrong: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r'takes uint8 of shape \(16, 16, 3\), got'):
        runner.run((wrong,))
    with pytest.raises(ModelError, match='takes 1 tensors, got 2'):
        runner.run((image(), image()))


@pytest.mark.parametrize('runtime', ['litert', 'openvino'])
def test_refuses_a_file_that_is_not_what_the_manifest_says(runtime: str, tiny: Artefact) -> None:
    pytest.importorskip(MODULES[runtime])
    with pytest.raises(ModelError, match='prepare the model again'):
        load_cpu(runtime, tiny.model_file, (replace(tiny.input, shape=(8, 8, 3)),),
                 tiny.tensors(tiny.last), threads=1)


@pytest.mark.parametrize('runtime', ['litert', 'openvino'])
def test_refuses_a_broken_file(runtime: str, tiny: Artefact, tmp_path: Path) -> None:
    pytest.importorskip(MODULES[runtime])
    broken = tmp_path / 'broken.tflite'
    broken.write_bytes(tiny.model_file.read_bytes()[:200])
    with pytest.raises(ModelError, match=r'broken\.tflite'):
        load_cpu(runtime, broken, *tiny.end_specs(1, 6), threads=1)


def test_names_the_package_of_a_missing_runtime(tiny: Artefact,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tflite.INTERPRETERS, 'litert', ('no_such_module', 'ai-edge-litert'))
    with pytest.raises(RuntimeUnavailableError, match='pip install ai-edge-litert'):
        load_cpu('litert', tiny.model_file, *tiny.end_specs(1, 6), threads=1)


def test_names_the_package_of_a_missing_openvino(tiny: Artefact,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'openvino', None)
    openvino.core.cache_clear()
    with pytest.raises(RuntimeUnavailableError, match='pip install openvino'):
        load_cpu('openvino', tiny.model_file, *tiny.end_specs(1, 6), threads=1)
