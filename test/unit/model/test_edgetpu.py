import os
import stat
from dataclasses import replace

import pytest

from offload_perception.errors import ModelError
from offload_perception.model import edgetpu
from offload_perception.model.edgetpu import CompileReport, compile_segments, estimate
from offload_perception.model.edgetpu_log import Operator, parse_log

V16 = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 3216 ms.

Input model: head.tflite
Input size: 7.33MiB
Output model: head_edgetpu.tflite
Output size: 7.56MiB
On-chip memory used for caching model parameters: 6.91MiB
On-chip memory remaining for caching model parameters: 780.50KiB
Off-chip memory used for streaming uncached model parameters: 256.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 14
Operation log: head_edgetpu.log

Operator                       Count      Status

CONV_2D                        10         Mapped to Edge TPU
MAX_POOL_2D                    4          Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!
"""

PARTLY = """\
Edge TPU Compiler version 2.1.302470888

Model compiled successfully in 417 ms.

Input model: tail.tflite
Input size: 4.10MiB
Output model: tail_edgetpu.tflite
Output size: 4.09MiB
On-chip memory available for caching model parameters: 7.67MiB
On-chip memory used for caching model parameters: 3.44MiB
On-chip memory remaining for caching model parameters: 4.23MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 5
Operation log: tail_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage \
of the model will instead run on the CPU, which is slower. If possible, consider updating your \
model to use only operations supported by the Edge TPU. For details, visit \
g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 3
Number of operations that will run on CPU: 2

Operator                       Count      Status

SOFTMAX                        1          Operation is otherwise supported, but not mapped due \
to some unspecified limitation
FULLY_CONNECTED                2          Mapped to Edge TPU
FULLY_CONNECTED                1          More than one subgraph is not supported
QUANTIZE                       1          Mapped to Edge TPU
"""

FAILED = """\
Edge TPU Compiler version 16.0.384591198
ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'
ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in \
Tflite interpreter.
Compilation child process completed within timeout period.
Compilation failed!
"""


def test_fully_mapped_model():
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


def test_partly_mapped_model_of_an_older_compiler():
    model, = parse_log(PARTLY).models
    assert (model.total, model.on_tpu, model.on_cpu) == (5, 3, 2)
    assert model.on_chip_available == round(7.67 * 1024 * 1024)
    assert model.on_chip_used == round(3.44 * 1024 * 1024)
    assert model.off_chip == 0
    assert [o.mapped for o in model.operators] == [False, True, False, True]
    assert model.operators[2] == Operator('FULLY_CONNECTED', 1,
                                          'More than one subgraph is not supported')


def test_models_compiled_together_are_kept_apart():
    both = parse_log(V16 + PARTLY)
    assert [m.input for m in both.models] == ['head.tflite', 'tail.tflite']
    assert [m.off_chip for m in both.models] == [256, 0]


def test_failure_is_reported_in_the_compilers_words():
    log = parse_log(FAILED)
    assert log.models == ()
    assert any("CONV_2D' version '6'" in error for error in log.errors)
    assert any(error.startswith('Compilation failed') for error in log.errors)


def fake_compiler(folder, monkeypatch, script: str):
    """Put a compiler on the PATH that does what `script` says; `$@` are its arguments."""
    path = folder / edgetpu.COMPILER
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', f'{folder}{os.pathsep}{os.environ["PATH"]}')


ANSWER = r"""
echo "$@" >> "$0.calls"
echo "Edge TPU Compiler version 16.0.384591198"
for f in "$@"; do case $f in *.tflite)
  echo "Input model: $f"
  echo "On-chip memory used for caching model parameters: 1.50KiB"
  echo "Off-chip memory used for streaming uncached model parameters: 2.00KiB"
  echo "CONV_2D  1  Mapped to Edge TPU"
  echo "SOFTMAX  1  Operation not supported";;
esac; done
echo "Compilation succeeded!"
"""


def test_all_segments_are_compiled_on_one_command_line(artefact, tmp_path, monkeypatch):
    fake_compiler(tmp_path, monkeypatch, ANSWER)
    report = compile_segments(artefact, tmp_path / 'out')
    calls = (tmp_path / f'{edgetpu.COMPILER}.calls').read_text().splitlines()
    assert len(calls) == 1 and calls[0].count('.tflite') == artefact.last
    assert not report.estimate and report.compiler == '16.0.384591198'
    assert [layer.name for layer in report.layers] == list(artefact.cut_names[1:])
    assert (report.layers[0].on_chip_bytes, report.layers[0].off_chip_bytes) == (1536, 2048)
    assert report.layers[0].problems == ('SOFTMAX: Operation not supported',)
    assert report.streamed_bytes(3) == 3 * 2048


@pytest.mark.parametrize(('script', 'message'), [
    ('echo "ERROR: Model not quantized"; echo "Compilation failed!"; exit 1', 'not quantized'),
    ('exit 3', 'exit code 3'),
    ('echo "Edge TPU Compiler version 17"', 'said nothing of .*version 17'),
])
def test_compiler_that_fails(artefact, tmp_path, monkeypatch, script, message):
    fake_compiler(tmp_path, monkeypatch, script)
    with pytest.raises(ModelError, match=message):
        compile_segments(artefact, tmp_path / 'out')


def test_compiler_that_hangs(artefact, tmp_path, monkeypatch):
    def hang(command, timeout, **kwargs):
        raise edgetpu.subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(edgetpu.subprocess, 'run', hang)
    with pytest.raises(ModelError, match='took more than'):
        compile_segments(artefact, tmp_path / 'out')


def test_without_compiler_the_report_is_an_estimate(artefact, tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert edgetpu.report(artefact).estimate
    with pytest.raises(ModelError, match='not on the PATH'):
        compile_segments(artefact, tmp_path / 'out')


def test_estimate_caches_layers_in_order_until_memory_is_full(artefact):
    weights = [layer.weight_bytes for layer in artefact.layers]
    report = estimate(artefact, cache_bytes=sum(weights[:5]) + 100)
    assert [layer.on_chip_bytes for layer in report.layers[:5]] == weights[:5]
    assert report.last_cached_cut == 6  # block2_pool has no weights, so it still fits
    assert report.layers[6].on_chip_bytes == 100
    assert report.streamed_bytes(6) == 0
    assert report.streamed_bytes(artefact.last) == sum(weights[5:]) - 100
    assert report.first_unmapped_cut is None
    assert report.layers[2].activation_bytes == 32 * 32 * 4 + 16 * 16 * 4


def test_estimate_names_what_cannot_be_mapped(artefact, monkeypatch):
    monkeypatch.setattr(edgetpu, 'SUPPORTED', edgetpu.SUPPORTED - {'SOFTMAX'})
    report = estimate(artefact)
    assert report.first_unmapped_cut == artefact.last
    assert report.layers[-1].problems == ('SOFTMAX: Operation not supported',)


def test_report_survives_the_disk(artefact, tmp_path):
    report = replace(estimate(artefact), compiler='x')
    report.save(tmp_path)
    assert CompileReport.load(tmp_path) == report
    (tmp_path / edgetpu.REPORT).write_text('{}')
    with pytest.raises(ModelError, match='no Edge TPU report'):
        CompileReport.load(tmp_path)
