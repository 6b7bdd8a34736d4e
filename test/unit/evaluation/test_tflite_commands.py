"""prepare_model, evaluate_model and export_layers on .tflite files of one's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.networks import seeded

from offload_perception.cli import evaluate_model, export_layers, prepare_model
from offload_perception.console import Main
from offload_perception.evaluation import evaluate
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('networks')


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Callable[..., tuple[Artefact, Any]]:
    """Run a command on a seeded network; return it as prepared, and what `--json` wrote."""
    def one(command: Main, name: str, *options: str) -> tuple[Artefact, Any]:
        file = folder / f'{name}.tflite'
        file.write_bytes(seeded(name))
        wish = ['--preprocess', 'tf'] if name == 'float32' else []
        assert command(['--model', str(file), '--cache-dir', str(folder), *wish,
                        '--json', str(tmp_path / 'out.json'), *options]) == 0
        return (prepare(file, preprocess='tf' if wish else None, cache_dir=folder),
                json.loads((tmp_path / 'out.json').read_text()))
    return one


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the first table in `text`, its head first, without the rule."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if '--' not in
            line]


def test_the_table_of_cuts_says_what_crosses_and_what_it_costs(
        run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    artefact, said = run(prepare_model.main, 'residual', '--show')
    head, *rows = rows_of(capsys.readouterr().out)
    assert head == list(prepare_model.CUT_HEAD)
    assert [row[1] for row in rows] == list(artefact.cut_names)
    assert rows[0] == ['0', 'input', 'image', 'uint8 32x32x3', '3072', '0', '0', '0.0']
    two = artefact.cut('block1_a_1')
    assert rows[two][2:5] == ['conv', 'int8 16x16x8 + int8 16x16x8', '4096']
    work = 16 * 16 * 8 * 9
    assert rows[two][6:] == [str(work * 8), f'{100 * (work * 11) / (work * 35 + 80):.1f}']
    assert rows[-1][3:5] == ['uint8 10', '10'] and rows[-1][7] == '100.0'
    assert said['task'] == 'classification' and said['trained'] and Path(said['path']).is_dir()
    assert [(str(c['cut']), c['name'], str(c['bytes'])) for c in said['cuts']] == [
        (row[0], row[1], row[4]) for row in rows]
    assert [len(c['tensors']) for c in said['cuts']] == [
        len(artefact.boundary(k)) for k in range(artefact.last + 1)]


def test_a_network_is_described_by_its_ends(run: Callable[..., Any],
                                            capsys: pytest.CaptureFixture[str]) -> None:
    run(prepare_model.main, 'float32')
    out = capsys.readouterr().out
    assert ('input float32 32x32x3: RGB pixels less 127.5 127.5 127.5, divided by '
            '127.5 127.5 127.5, as float32') in out
    assert 'output float32 10: classification, 10 classes, no labels (--labels FILE)' in out
    run(prepare_model.main, 'two_outputs', '--task', 'tensors')
    assert 'tensors, no labels' in capsys.readouterr().out



def test_what_cannot_be_cut_is_refused_in_one_line(tmp_path: Path,
                                                   capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'broken.tflite'
    file.write_bytes(seeded('residual')[:-3000])
    assert prepare_model.main(['--model', str(file), '--cache-dir', str(tmp_path)]) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith(f'error: {file} is a broken .tflite file') and 'copy it again' in error
    file.write_bytes(seeded('float32'))
    assert prepare_model.main(['--model', str(file), '--cache-dir', str(tmp_path)]) == 2
    assert 'say how it was trained: preprocess=inside' in capfd.readouterr().err


@pytest.mark.parametrize(('name', 'kind'), [('residual', 'int8'), ('float32', 'float')])
def test_every_cut_of_a_file_is_compared_with_the_whole(
        run: Callable[..., Any], name: str, kind: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    artefact, said = run(evaluate_model.main, name, '--count', '3')
    rows = said['rows']
    assert [row['name'] for row in rows] == [
        kind, *(f'{kind} cut at {name}' for name in artefact.cut_names[1:-1])]
    assert [(row['images'], row['mismatches']) for row in rows] == [(3, 0)] * artefact.last
    assert all(row['agreement'] is None for row in rows)  # there is no Keras network
    assert 'has no float32 network' in capsys.readouterr().err


def test_a_cut_that_changes_one_of_several_outputs_is_an_error(
        run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _, said = run(evaluate_model.main, 'two_outputs', '--count', '2')
    assert {row['mismatches'] for row in said['rows']} == {0}
    real = evaluate.Evaluation._part

    def wrong(self: Any, first: int, last: int, given: Any) -> Any:
        made = real(self, first, last, given)
        if first == 4:
            made[1][1].flat[0] ^= 1
        return made

    monkeypatch.setattr(evaluate.Evaluation, '_part', wrong)
    assert evaluate_model.main(['--model', str(folder / 'two_outputs.tflite'), '--count', '2',
                                '--cache-dir', str(folder)]) == 1


@pytest.mark.parametrize(('name', 'kind'), [('two_outputs', 'int8'), ('float32', 'float32')])
def test_every_prefix_of_a_file_is_exported_and_runs(run: Callable[..., Any], name: str,
                                                     kind: str, tmp_path: Path) -> None:
    artefact, entries = run(export_layers.main, name, '--out', str(tmp_path / 'out'), '--check')
    own = [entry for entry in entries if not entry['file'].endswith('_edgetpu.tflite')]
    assert [entry['layer'] for entry in own] == list(artefact.cut_names[1:])
    assert all(entry['file'].endswith(f'_{kind}.tflite') and entry['check_seconds'] > 0
               for entry in own)
    for entry in own:
        made = artefact.ends(1, entry['index'])[1]
        assert [tuple(spec['shape']) for spec in entry['outputs']] == [
            artefact.spec(i).shape for i in made]
    assert max(len(entry['outputs']) for entry in own) >= (2 if name == 'two_outputs' else 1)
    assert own[-1]['macs'] == sum(layer.macs for layer in artefact.layers)
