import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.edgetpu.compiler_logs import FAILED, PARTLY, V16
from unit.per_channel import per_channel

from offload_perception.cli import prepare_model
from offload_perception.edgetpu import compile as edgetpu_compile
from offload_perception.edgetpu import mapping as edgetpu
from offload_perception.edgetpu.compile import COMPILER, compile_segments
from offload_perception.edgetpu.log import Operator, parse_log
from offload_perception.edgetpu.mapping import CompileReport, estimate
from offload_perception.errors import ModelError
from offload_perception.evaluation.export import Exporter
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import BUNDLED


def test_fully_mapped_model() -> None:
    log = parse_log(V16)
    model, = log.models
    assert log.version == '16.0.384591198'
    assert log.errors == ()
    assert (model.input, model.output) == ('head.tflite', 'head_edgetpu.tflite')
    assert model.on_chip_used == round(6.91 * 1024 * 1024)
    assert model.on_chip_remaining == round(780.5 * 1024)
    assert model.off_chip == 256
    assert (model.total, model.on_tpu, model.on_cpu) == (14, 14, 0)
    assert model.on_chip_available is None


def test_partly_mapped_model_of_an_older_compiler() -> None:
    model, = parse_log(PARTLY).models
    assert (model.total, model.on_tpu, model.on_cpu) == (5, 3, 2)
    assert model.on_chip_available == round(7.67 * 1024 * 1024)
    assert model.on_chip_used == round(3.44 * 1024 * 1024)
    assert model.off_chip == 0
    assert [o.mapped for o in model.operators] == [False, True, False, True]
    assert model.operators[2] == Operator('FULLY_CONNECTED', 1,
                                          'More than one subgraph is not supported')


@pytest.mark.parametrize('version', ['2.0.267685300', '15.0.340273435', '16.0.384591198'])
def test_the_log_file_beside_a_compiled_model(version: str) -> None:
    model, = parse_log(f"""\
Edge TPU Compiler version {version}
Input: head.tflite
Output: head_edgetpu.tflite

Operator                       Count      Status

CONV_2D                        2          Mapped to Edge TPU
DEQUANTIZE                     1          Operation is working on an unsupported data type
""").models
    assert (model.input, model.output) == ('head.tflite', 'head_edgetpu.tflite')
    assert (model.on_tpu, model.on_cpu, model.off_chip) == (2, 1, None)


def test_models_compiled_together_are_kept_apart() -> None:
    both = parse_log(V16 + PARTLY)
    assert [m.input for m in both.models] == ['head.tflite', 'tail.tflite']
    assert [m.off_chip for m in both.models] == [256, 0]


def test_failure_is_reported_in_the_compilers_words() -> None:
    log = parse_log(FAILED)
    assert log.models == ()
    assert any("CONV_2D' version '6'" in error for error in log.errors)
    assert any(error.startswith('Compilation failed') for error in log.errors)


def fake_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a compiler on the PATH that does what `script` says; `$@` are its arguments."""
    path = folder / COMPILER
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', f'{folder}{os.pathsep}{os.environ["PATH"]}')


ANSWER = r"""
echo "$@" >> "$0.calls"
echo "Edge TPU Compiler version 16.0.384591198"
for f in "$@"; do
  if [ "$previous" = -o ]; then out=$f; fi; previous=$f
  case $f in *REFUSED.tflite)
    echo "ERROR: Node number 1 (FULLY_CONNECTED) failed to prepare."
    echo "Internal compiler error. Aborting! "; exit 1;; esac
done
for f in "$@"; do case $f in *.tflite)
  echo "Input model: $f"
  echo "On-chip memory used for caching model parameters: 1.50KiB"
  echo "Off-chip memory used for streaming uncached model parameters: 2.00KiB"
  echo "CONV_2D  1  Mapped to Edge TPU"
  echo "SOFTMAX  1  Operation not supported"
  touch "$out/$(basename "$f" .tflite)_edgetpu.tflite";;
esac; done
echo "Compilation succeeded!"
"""


def test_all_segments_are_compiled_on_one_command_line(artefact: Artefact, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(tmp_path, monkeypatch, ANSWER)
    report = compile_segments(artefact, tmp_path / 'out')
    calls = (tmp_path / f'{COMPILER}.calls').read_text().splitlines()
    assert len(calls) == 1 and calls[0].count('.tflite') == artefact.last
    assert not report.estimate and report.compiler == '16.0.384591198'
    assert [layer.name for layer in report.layers] == list(artefact.cut_names[1:])
    assert (report.layers[0].on_chip_bytes, report.layers[0].off_chip_bytes) == (1536, 2048)
    assert report.layers[0].problems == ('SOFTMAX: Operation not supported',)
    assert report.streamed_bytes(3) == 3 * 2048


def test_a_refused_dense_layer_stays_on_the_cpu_and_the_rest_is_compiled(
        artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(tmp_path, monkeypatch, ANSWER.replace('REFUSED', '_fc1'))
    report = compile_segments(artefact, tmp_path / 'out')
    made = sorted(p.name for p in (tmp_path / 'out').iterdir())
    assert made == [f'{artefact.segment_file(layer.index).stem}_edgetpu.tflite'
                    for layer in artefact.layers if layer.name != 'fc1']
    fc1 = report.layers[18]
    assert (fc1.mapped, fc1.unmapped, fc1.on_chip_bytes) == (0, 1, 0)
    assert 'FULLY_CONNECTED' in fc1.problems[0] and 'Internal compiler' in fc1.problems[0]
    assert report.layers[0].mapped == report.layers[19].mapped == 1
    last = (tmp_path / f'{COMPILER}.calls').read_text().splitlines()[-1]
    assert last.count('.tflite') == artefact.last - 1  # together, to share the memory


TOGETHER_FAILS = """
count=0
for f in "$@"; do case $f in *.tflite) count=$((count + 1));; esac; done
if [ $count -gt 1 ]; then echo "Compilation failed: too many"; exit 1; fi
"""


def test_segments_are_compiled_one_by_one_where_they_fail_together(
        artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(tmp_path, monkeypatch, TOGETHER_FAILS + ANSWER.replace('REFUSED', '_fc1'))
    report = compile_segments(artefact, tmp_path / 'out')
    assert len(list((tmp_path / 'out').iterdir())) == artefact.last - 1
    first, fc1 = report.layers[0], report.layers[18]
    assert (first.on_chip_bytes, first.off_chip_bytes) == (0, 1536 + 2048)
    assert 'compiled alone' in first.problems[0] and 'on the CPU' in fc1.problems[0]
    assert report.last_cached_cut == 0


def test_nothing_is_written_into_the_installed_package(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    fake_compiler(tmp_path, monkeypatch, ANSWER)
    monkeypatch.chdir(tmp_path)
    before = sorted(BUNDLED.rglob('*'))
    assert prepare_model.main(['--edgetpu']) == 0
    assert sorted(BUNDLED.rglob('*')) == before
    assert capsys.readouterr().out.startswith('aerial\n')
    assert CompileReport.load(tmp_path / 'aerial').compiler == '16.0.384591198'
    assert len(list((tmp_path / 'aerial' / 'edgetpu').iterdir())) == 21
    assert prepare_model.main(['--edgetpu']) == 0  # again, beside the same model
    assert prepare_model.main(['--model', 'aerial_split', '-o', 'aerial']) == 2
    assert 'holds another model, aerial' in capsys.readouterr().err


def test_exports_go_on_where_the_compiler_refuses_a_prefix(
        small_artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(tmp_path, monkeypatch, ANSWER.replace('REFUSED', '03_fc1_int8'))
    heard = []
    entries = Exporter(small_artefact, tmp_path / 'out').run(heard.append)
    compiled = [e['file'] for e in entries if 'edgetpu' in e['file']]
    assert compiled == [f'{layer.index:02d}_{layer.name}_edgetpu.tflite'
                        for layer in small_artefact.layers if layer.name != 'fc1']
    assert any('left out 03_fc1_edgetpu.tflite' in text for text in heard)


TOO_LARGE = """
echo "Edge TPU Compiler version 16.0.384591198"
echo "ERROR: Restored original execution plan after delegate application failure."
echo "Compilation failed: Compilation failed due to large activation tensors in model."
echo "Compilation child process completed within timeout period."
echo "Compilation failed! "
"""


@pytest.mark.parametrize(('script', 'message'), [
    ('echo "ERROR: Model not quantized"; echo "Compilation failed!"; exit 1', 'not quantized'),
    ('echo "Invalid model: a.tflite"; echo "Model not quantized"; exit 1',
     'Invalid model: a.tflite; Model not quantized'),
    ('echo "Edge TPU Compiler version 14.1"; echo; echo "Internal compiler error. Aborting! "',
     'failed on .*: Internal compiler error. Aborting!'),
    (TOO_LARGE, 'large activation tensors'),
    ('exit 3', 'exit code 3'),
    ('echo "cannot open shared library" >&2; exit 127', 'last line was: cannot open shared'),
    ('kill -SEGV $$', 'ended by SIGSEGV'),
    ('echo "Edge TPU Compiler version 17"', 'failed on 01_block1_conv1'),
    (ANSWER.replace('Input model', 'Model read'), 'did not report .*version 16'),
])
def test_compiler_that_fails(artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             script: str, message: str) -> None:
    fake_compiler(tmp_path, monkeypatch, script)
    with pytest.raises(ModelError, match=message):
        compile_segments(artefact, tmp_path / 'out')


def test_files_of_an_earlier_run_are_not_taken_for_new(artefact: Artefact, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    fake_compiler(tmp_path, monkeypatch, ANSWER)
    compile_segments(artefact, tmp_path / 'out')
    fake_compiler(tmp_path, monkeypatch, 'echo "Internal compiler error. Aborting!"')
    with pytest.raises(ModelError, match='Internal compiler error'):
        compile_segments(artefact, tmp_path / 'out')
    assert not list((tmp_path / 'out').iterdir())


def test_compiler_that_hangs(artefact: Artefact, tmp_path: Path,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: Any, timeout: Any, **kwargs: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, 'run', hang)
    with pytest.raises(ModelError, match='took more than'):
        compile_segments(artefact, tmp_path / 'out')


def test_without_compiler_the_report_is_an_estimate(artefact: Artefact, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    assert edgetpu_compile.report(artefact).estimate
    with pytest.raises(ModelError, match='not on the PATH'):
        compile_segments(artefact, tmp_path / 'out')


def test_estimate_caches_layers_in_order_until_memory_is_full(artefact: Artefact) -> None:
    weights = [layer.weight_bytes for layer in artefact.layers]
    report = estimate(artefact, cache_bytes=sum(weights[:5]) + 100)
    assert [layer.on_chip_bytes for layer in report.layers[:5]] == weights[:5]
    assert report.last_cached_cut == 6  # block2_pool has no weights, so it still fits
    assert report.layers[6].on_chip_bytes == 100
    assert report.streamed_bytes(6) == 0
    assert report.streamed_bytes(artefact.last) == sum(weights[5:]) - 100
    assert report.first_unmapped_cut is None
    assert report.layers[2].activation_bytes == 32 * 32 * 4 + 16 * 16 * 4


def test_estimate_names_what_cannot_be_mapped(artefact: Artefact,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgetpu, 'SUPPORTED', edgetpu.SUPPORTED - {'SOFTMAX'})
    report = estimate(artefact)
    assert report.first_unmapped_cut == artefact.last
    assert report.layers[-1].problems == ('SOFTMAX: Operation not supported',)


def test_estimate_puts_dense_layers_that_are_misread_on_the_cpu(
        artefact: Artefact, tmp_path: Path) -> None:
    shutil.copytree(artefact.path, tmp_path / 'old')
    old = replace(artefact, path=tmp_path / 'old')
    fc1 = old.segment_file(19)
    fc1.write_bytes(per_channel(fc1.read_bytes()))
    assert [(x.mapped, x.unmapped) for x in estimate(artefact).layers[18:20]] == [(1, 0), (1, 0)]
    assert [(x.mapped, x.unmapped) for x in estimate(old).layers[18:20]] == [(0, 1), (1, 0)]
    assert 'a scale for each unit' in estimate(old).layers[18].problems[0]


def test_report_survives_the_disk(artefact: Artefact, tmp_path: Path) -> None:
    report = replace(estimate(artefact), compiler='x')
    report.save(tmp_path)
    assert CompileReport.load(tmp_path) == report
    (tmp_path / edgetpu.REPORT).write_text('{}')
    with pytest.raises(ModelError, match='no Edge TPU report'):
        CompileReport.load(tmp_path)


@pytest.mark.parametrize('content', [
    'null', '5', '[]', '{"layers": 5}', '[' * 100_000, '{"digest": 5, "layers": []}',
    '{"digest": "a", "estimate": true, "compiler": 5, "layers": []}',
    *('{"digest": "a", "estimate": true, "compiler": null, "layers": [{"name": "a", "mapped": 1, '
      f'"unmapped": 0, "on_chip_bytes": 1, "off_chip_bytes": {value}, "activation_bytes": 1, '
      '"problems": []}]}' for value in ('"many"', '-1', 'NaN', '[]'))])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / edgetpu.REPORT).write_text(content)
    with pytest.raises(ModelError, match='no Edge TPU report'):
        CompileReport.load(tmp_path)
