"""Run edgetpu_compiler on the segments of a model, and report the result for each."""

import shutil
import signal
import subprocess
from collections.abc import Container
from pathlib import Path
from tempfile import TemporaryDirectory

from offload_perception.edgetpu.log import CompilerLog, ModelLog, parse_log
from offload_perception.edgetpu.mapping import CompileReport, LayerReport, activations, estimate
from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.operator_graph import Graph

COMPILER = 'edgetpu_compiler'
COMPILED = 'edgetpu'
ALONE = ("compiled alone, since the compiler failed on all together: segments take each other's "
         'place in the on-chip memory, and their parameters are sent at every run')


class CompilerError(ModelError):
    """The compiler ran and did not make what it was asked for."""


def report(artefact: Artefact, timeout_s: float = 180.0) -> CompileReport:
    """Return the report of the compiler if it is installed, an estimate if not.

    :raises ModelError: for a float network, or if the compiler fails on all segments.
    """
    if not artefact.quantised:
        raise ModelError(f'{artefact.name} is a float network, and the Edge TPU runs int8 alone; '
                         'use an int8 network')
    if shutil.which(COMPILER) is None:
        return estimate(artefact)
    return compile_segments(artefact, artefact.path / COMPILED, timeout_s=timeout_s)


def compile_segments(artefact: Artefact, out: Path, timeout_s: float = 180.0) -> CompileReport:
    """Compile all segments into `out`, together, so that they share the on-chip memory.

    Models compiled one by one would evict each other's parameters at every switch. A segment
    that the compiler refuses stays on the CPU, and the report says why; the others are compiled
    together without it, or one by one if it fails on them together. `timeout_s` is for each
    segment.

    :raises ModelError: if the compiler is absent, or fails on all.
    """
    files = [artefact.segment_file(layer.index) for layer in artefact.layers]
    refused: dict[Path, str] = {}
    note: tuple[str, ...] = ()
    try:
        log = run_compiler(files, out, timeout_s)
    except CompilerError:
        with TemporaryDirectory() as folder:
            alone, refused = _each_alone(files, Path(folder), timeout_s)
            if not alone.models:
                raise
            log = _together(files, refused, out, timeout_s) or alone
            if log is alone:
                note = (ALONE,)
                shutil.copytree(folder, out, dirs_exist_ok=True)
    logs = {Path(model.input).name: model for model in log.models}
    layers = tuple(
        _on_cpu(artefact, layer.index, refused[file]) if file in refused
        else _compiled(artefact, layer.index, logs[file.name], note)
        for layer, file in zip(artefact.layers, files, strict=True))
    return CompileReport(artefact.digest, False, log.version, layers)


def compile_file(model: Path, compiled: Path, timeout_s: float = 180.0) -> None:
    """Compile one int8 .tflite file on its own into `compiled`.

    :raises ModelError: if the compiler is absent or fails.
    """
    with TemporaryDirectory() as folder:
        run_compiler([model], Path(folder), timeout_s)
        shutil.copyfile(_output(model, Path(folder)), compiled)


def run_compiler(files: list[Path], out: Path, timeout_s: float) -> CompilerLog:
    """Compile `files` on one command line into `out`/<stem>_edgetpu.tflite; return its output.

    Outputs of earlier runs in `out` are deleted first, so that none is taken for a new one.

    :raises CompilerError: with its own words, if it fails, takes too long or leaves a file
        out, whatever its exit code says.
    :raises ModelError: if it is absent.
    """
    _empty(out)
    command = [COMPILER, '-s', '-t', str(round(timeout_s)), '-o', str(out), *map(str, files)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors='replace',
                              timeout=timeout_s * len(files) + 30)
    except FileNotFoundError as e:
        raise ModelError(f'{COMPILER} is not on the PATH; install it (x86-64 Debian: '
                         'apt install edgetpu-compiler from the Coral repository)') from e
    except subprocess.TimeoutExpired as e:
        raise CompilerError(
            f'{COMPILER} took more than {e.timeout:.0f} s; give it more time') from e
    log = parse_log(done.stdout + '\n' + done.stderr)
    _check(done, log, files, out)
    return log


def _empty(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob('*_edgetpu.*'):
            old.unlink()
    except OSError as e:
        raise ModelError(f'{out} cannot be written ({e.strerror}); copy the model to a folder '
                         'that you may write, and name that') from e


def _check(done: subprocess.CompletedProcess[str], log: CompilerLog, files: list[Path],
           out: Path) -> None:
    missing = [f.name for f in files if not _output(f, out).is_file()]
    if done.returncode != 0 or missing:
        raise CompilerError(f'{COMPILER} failed{_list(missing, " on ")}: {_reason(done, log)}')
    named = {Path(model.input).name for model in log.models}
    silent = [f.name for f in files if f.name not in named]
    if silent:
        raise CompilerError(f'{COMPILER} did not report {", ".join(silent)}; its wording may '
                            f'have changed (version {log.version})')


def _reason(done: subprocess.CompletedProcess[str], log: CompilerLog) -> str:
    if log.errors:
        return '; '.join(log.errors)
    if done.returncode < 0:
        return f'it was ended by {signal.Signals(-done.returncode).name}'
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
    return f'exit code {done.returncode}{_list(said, ", its last line was: ")}'


def _list(names: list[str], before: str) -> str:
    return f'{before}{", ".join(names)}' if names else ''


def _each_alone(files: list[Path], out: Path,
                timeout_s: float) -> tuple[CompilerLog, dict[Path, str]]:
    """Compile each file alone into `out`; return what was said, and why others failed."""
    refused, logs = {}, []
    for file in files:
        try:
            with TemporaryDirectory() as folder:
                logs.append(run_compiler([file], Path(folder), timeout_s))
                shutil.copy(_output(file, Path(folder)), out)
        except CompilerError as e:
            refused[file] = str(e)
    said = [model for log in logs for model in log.models]
    return CompilerLog(logs[0].version if logs else None, tuple(said), ()), refused


def _together(files: list[Path], refused: Container[Path], out: Path,
              timeout_s: float) -> CompilerLog | None:
    """Compile what was not refused into `out`; None if that fails, or failed already."""
    left = [file for file in files if file not in refused]
    try:
        return run_compiler(left, out, timeout_s) if len(left) < len(files) else None
    except CompilerError:
        return None


def _output(model: Path, out: Path) -> Path:
    return out / f'{model.stem}_edgetpu.tflite'


def _on_cpu(artefact: Artefact, index: int, reason: str) -> LayerReport:
    layer = artefact.layers[index - 1]
    operators = Graph(artefact.segment_file(index).read_bytes(), layer.segment).operators
    return LayerReport(layer.name, 0, len(operators), 0, 0, activations(artefact, index),
                       (f'on the CPU: {reason}',))


def _compiled(artefact: Artefact, index: int, log: ModelLog,
              note: tuple[str, ...]) -> LayerReport:
    problems = tuple(f'{o.name}: {o.status}' for o in log.operators if not o.mapped)
    cached, streamed = log.on_chip_used, log.off_chip
    if note and cached is not None:
        cached, streamed = 0, cached + (streamed or 0)
    return LayerReport(artefact.layers[index - 1].name, log.on_tpu, log.on_cpu, cached, streamed,
                       activations(artefact, index), note + problems)
