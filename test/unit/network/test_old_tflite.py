"""The files give the same classes in a TensorFlow Lite as old as that of the Coral stack."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from unit.litert import run_each
from unit.per_channel import per_channel

from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.terrain.tiles import tiles

SCRIPT = Path(__file__).with_name('run_in_old_tflite.py')
PYTHON = Path(os.environ.get('VIRTUAL_ENV', '/')).parent / 'old-tflite' / 'bin' / 'python'
needs_old_tflite = pytest.mark.skipif(
    not PYTHON.exists(), reason='no environment with an old tflite-runtime; '
    'make one: bash scripts/old_tflite.sh /path/to/python3.9')
DENSE_LAYERS = ('fc1', 'fc2', 'predictions')


def run_old(models: list[Path], inputs: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """Return what each model gives on its inputs (N, ...) in the old interpreter."""
    jobs = []
    for i, (model, x) in enumerate(zip(models, inputs, strict=True)):
        np.save(folder / f'in{i}.npy', x)
        jobs.append([str(model), str(folder / f'in{i}.npy'), str(folder / f'out{i}.npy')])
    (folder / 'jobs.json').write_text(json.dumps(jobs))
    subprocess.run([PYTHON, SCRIPT, folder / 'jobs.json'], check=True,
                   env={'PATH': os.environ['PATH']})
    return [np.load(job[2]) for job in jobs]


def run_new(model: Path, images: np.ndarray) -> np.ndarray:
    """Return what the model gives on images (N, ...) in LiteRT."""
    return run_each(model.read_bytes(), images)


def dense_inputs(artefact: Artefact, images: np.ndarray) -> list[np.ndarray]:
    """Return the tensors that each dense segment takes, from LiteRT."""
    x, found = images, {}
    for layer in artefact.layers:
        found[layer.name] = x
        x = run_new(artefact.segment_file(layer.index), x)
    return [found[name] for name in DENSE_LAYERS]


def dense_files(artefact: Artefact) -> list[Path]:
    return [artefact.segment_file(artefact.cut(name)) for name in DENSE_LAYERS]


@needs_old_tflite
def test_bundled_model_in_an_old_interpreter(tmp_path: Path) -> None:
    artefact = prepare('aerial')
    images, labels = tiles('test', 60, seed=0, size=64)
    old, = run_old([artefact.model_file], [images], tmp_path)
    new = run_new(artefact.model_file, images)
    assert np.mean(old.argmax(1) == labels) > 0.93
    assert np.mean(old.argmax(1) == new.argmax(1)) > 0.98


@needs_old_tflite
def test_dense_segments_in_an_old_interpreter(tmp_path: Path) -> None:
    artefact = prepare('aerial')
    images, _ = tiles('test', 20, seed=0, size=64)
    inputs = dense_inputs(artefact, images)
    for file, x, old in zip(dense_files(artefact), inputs,
                            run_old(dense_files(artefact), inputs, tmp_path), strict=True):
        assert np.abs(old.astype(int) - run_new(file, x)).max() <= 1, file.name


@needs_old_tflite
def test_a_scale_for_each_unit_is_misread(tmp_path: Path) -> None:
    """The reason for all this, and the proof that this interpreter would show the fault."""
    artefact = prepare('aerial')
    images, _ = tiles('test', 20, seed=0, size=64)
    x = dense_inputs(artefact, images)[0]
    file = tmp_path / 'per_channel.tflite'
    file.write_bytes(per_channel(dense_files(artefact)[0].read_bytes()))
    old, = run_old([file], [x], tmp_path)
    assert np.abs(old.astype(int) - run_new(file, x)).max() > 50
