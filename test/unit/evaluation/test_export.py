import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from unit.litert import run

from offload_perception.cli.export_layers import main
from offload_perception.errors import ModelError
from offload_perception.evaluation.export import MANIFEST, Exporter, check
from offload_perception.network.artefact import Artefact


@pytest.fixture(scope='module')
def exported(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('exports')
    assert main(['--model', str(artefact.path), '--out', str(folder), '--check']) == 0
    return folder


def test_every_prefix_in_every_format(exported: Path, artefact: Artefact) -> None:
    names = {e['file'] for e in json.loads((exported / MANIFEST).read_text())['files']}
    assert names == {f'{layer.index:02d}_{layer.name}{suffix}' for layer in artefact.layers
                     for suffix in ('.keras', '_float32.tflite', '_int8.tflite')}


def test_int8_prefix_is_the_head_of_the_whole(exported: Path, artefact: Artefact,
                                              images: np.ndarray) -> None:
    x = images[4]
    for layer in artefact.layers:
        x = run(artefact.segment_file(layer.index).read_bytes(), x)
        prefix = exported / f'{layer.index:02d}_{layer.name}_int8.tflite'
        np.testing.assert_array_equal(run(prefix.read_bytes(), images[4]), x)


def test_float_prefix_is_the_keras_prefix(exported: Path, images: np.ndarray) -> None:
    import keras

    pixels = images[4].astype(np.float32)
    expected = keras.models.load_model(exported / '03_fc1.keras')(pixels[None])[0]
    found = run((exported / '03_fc1_float32.tflite').read_bytes(), pixels)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_manifest_adds_up(exported: Path, artefact: Artefact) -> None:
    entries = json.loads((exported / MANIFEST).read_text())['files']
    last = next(e for e in entries if e['file'] == '04_predictions_int8.tflite')
    assert last['macs'] == sum(layer.macs for layer in artefact.layers)
    assert last['weight_bytes'] == sum(layer.weight_bytes for layer in artefact.layers)
    assert last['inputs'] == [artefact.input.to_dict()]
    assert last['outputs'] == [spec.to_dict() for spec in artefact.tensors(artefact.last)]
    assert last['bytes'] == (exported / last['file']).stat().st_size


def test_second_run_writes_only_what_is_missing(exported: Path, artefact: Artefact) -> None:
    (exported / '02_block1_pool_int8.tflite').unlink()
    told = []
    Exporter(artefact, exported).run(told.append)
    assert len(told) == 1 and told[0].startswith('02_block1_pool_int8.tflite')


def test_folder_of_another_model_is_left_alone(exported: Path, artefact: Artefact) -> None:
    with pytest.raises(ModelError, match='exports of another model'):
        Exporter(replace(artefact, digest='other'), exported)


@pytest.mark.parametrize('content', [
    '', '[' * 100_000, '5', '[]', '{}', '{"digest": 5, "files": []}',
    '{"digest": "a", "files": 5}', '{"digest": "a", "files": [5]}',
    '{"digest": "a", "files": [{"file": "a", "bytes": "b"}]}'])
def test_a_broken_manifest_is_named(artefact: Artefact, tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ModelError, match=f'{MANIFEST} cannot be read'):
        Exporter(artefact, tmp_path)


def test_check_notices_a_changed_file(exported: Path, tmp_path: Path) -> None:
    entry = json.loads((exported / MANIFEST).read_text())['files'][2]
    data = (exported / entry['file']).read_bytes()
    (tmp_path / entry['file']).write_bytes(data[:-1] + b'x')
    with pytest.raises(ModelError, match='not the file that was exported'):
        check(tmp_path, entry)


def test_edge_tpu_files_where_the_compiler_exists(artefact: Artefact, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, 'which', lambda name: f'/usr/bin/{name}')
    names = [e.path.name for e in Exporter(artefact, tmp_path).exports()]
    assert '01_block1_conv1_edgetpu.tflite' in names


def test_h5_by_option(artefact: Artefact, tmp_path: Path) -> None:
    first = next(Exporter(artefact, tmp_path, h5=True).exports())
    first.write(first.path)
    assert first.path.suffix == '.h5' and first.path.stat().st_size > 1000
