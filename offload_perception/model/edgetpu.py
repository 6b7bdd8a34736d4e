"""What an Edge TPU would do with each segment: compiled and reported, or estimated.

Two things go wrong unnoticed on this accelerator: an operator that is not mapped runs on the
CPU while the accelerator burns power, and parameters beyond its memory are streamed over USB at
every inference. The report shows both, layer by layer.
"""

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from offload_perception.errors import ModelError
from offload_perception.model.artefact import Artefact
from offload_perception.model.edgetpu_log import CompilerLog, ModelLog, parse_log
from offload_perception.model.flatbuffer import Graph

COMPILER = 'edgetpu_compiler'
REPORT = 'edgetpu.json'
COMPILED = 'edgetpu'
MIB = 1024**2
# About 8 MiB of SRAM hold parameters and working activations; compiler logs show 7.67 MiB of
# parameters cached where activations are small (google-coral/edgetpu issues 427 and 572).
PARAMETER_CACHE_BYTES = int(7.67 * MIB)
SUPPORTED = frozenset({
    'ADD', 'AVERAGE_POOL_2D', 'CONCATENATION', 'CONV_2D', 'DEPTHWISE_CONV_2D', 'EXPAND_DIMS',
    'FULLY_CONNECTED', 'L2_NORMALIZATION', 'LOGISTIC', 'MAXIMUM', 'MAX_POOL_2D', 'MEAN',
    'MINIMUM', 'MUL', 'PACK', 'PAD', 'PRELU', 'QUANTIZE', 'RELU', 'RELU6', 'RELU_N1_TO_1',
    'RESHAPE', 'RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR', 'SLICE', 'SOFTMAX', 'SQUEEZE',
    'STRIDED_SLICE', 'SUB', 'TANH', 'TRANSPOSE_CONV'})
LIMITED_ELEMENTS = {'SOFTMAX': 16000}


@dataclass(frozen=True)
class LayerReport:
    """One segment: operators on and off the accelerator, and where its parameters lie.

    Bytes: `on_chip_bytes` are cached, `off_chip_bytes` are streamed at every inference;
    `activation_bytes` are input and output. None where the compiler does not say.
    """

    name: str
    mapped: int | None
    unmapped: int | None
    on_chip_bytes: int | None
    off_chip_bytes: int | None
    activation_bytes: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompileReport:
    """A report on all segments of the model `digest`; `estimate` is True without a compiler."""

    digest: str
    estimate: bool
    compiler: str | None
    layers: tuple[LayerReport, ...] = ()

    @property
    def last_cached_cut(self) -> int:
        """Return the last cut up to which a head's parameters all fit on the chip."""
        return next((i for i, layer in enumerate(self.layers) if layer.off_chip_bytes),
                    len(self.layers))

    @property
    def first_unmapped_cut(self) -> int | None:
        """Return the cut behind the first layer with operators on the CPU, None if all map."""
        return next((i for i, layer in enumerate(self.layers, 1) if layer.unmapped), None)

    def streamed_bytes(self, cut: int) -> int:
        """Return the parameter bytes that a head up to `cut` streams at every inference."""
        return sum(layer.off_chip_bytes or 0 for layer in self.layers[:cut])

    def save(self, folder: Path) -> None:
        """Write the report beside the model."""
        (folder / REPORT).write_text(json.dumps(asdict(self), indent=1) + '\n')

    @classmethod
    def load(cls, folder: Path) -> 'CompileReport':
        """Read the report that `save` wrote.

        :raises ModelError: where there is none, or it cannot be read.
        """
        try:
            d = json.loads((folder / REPORT).read_text())
            layers = tuple(LayerReport(**{**x, 'problems': tuple(x['problems'])})
                           for x in d.pop('layers'))
            return cls(**d, layers=layers)
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ModelError(f'{folder / REPORT} is no Edge TPU report ({e}); '
                             'make it with export_layers or estimate') from e


def report(artefact: Artefact, timeout_s: float = 180.0) -> CompileReport:
    """Return the report of the compiler where it is installed, an estimate where not."""
    if shutil.which(COMPILER) is None:
        return estimate(artefact)
    return compile_segments(artefact, artefact.path / COMPILED, timeout_s=timeout_s)


def compile_segments(artefact: Artefact, out: Path, timeout_s: float = 180.0) -> CompileReport:
    """Compile all segments into `out`, together, so that they share the on-chip memory.

    The compiler writes `<segment>_edgetpu.tflite`; models compiled one by one would evict each
    other's parameters at every switch. `timeout_s` is for each segment.

    :raises ModelError: where the compiler is absent, fails, or takes too long.
    """
    files = [artefact.segment_file(layer.index) for layer in artefact.layers]
    log = run_compiler(files, out, timeout_s)
    by_name = {Path(model.input).name: model for model in log.models}
    missing = [f.name for f in files if f.name not in by_name]
    if missing:
        raise ModelError(f'{COMPILER} said nothing of {", ".join(missing)}; its wording may have '
                         f'changed (version {log.version})')
    layers = tuple(_compiled(artefact, layer.index, by_name[file.name])
                   for layer, file in zip(artefact.layers, files, strict=True))
    return CompileReport(artefact.digest, False, log.version, layers)


def compile_file(model: Path, compiled: Path, timeout_s: float = 180.0) -> None:
    """Compile one int8 .tflite file on its own into `compiled`.

    :raises ModelError: where the compiler is absent, fails, or takes too long.
    """
    with TemporaryDirectory() as folder:
        run_compiler([model], Path(folder), timeout_s)
        shutil.copyfile(Path(folder) / f'{model.stem}_edgetpu.tflite', compiled)


def run_compiler(files: list[Path], out: Path, timeout_s: float) -> CompilerLog:
    """Compile `files` on one command line and return the parsed output.

    :raises ModelError: where the compiler is absent, fails, or takes too long.
    """
    out.mkdir(parents=True, exist_ok=True)
    command = [COMPILER, '-s', '-t', str(round(timeout_s)), '-o', str(out), *map(str, files)]
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=timeout_s * len(files) + 30)
    except FileNotFoundError as e:
        raise ModelError(f'{COMPILER} is not on the PATH; install it (x86-64 Debian: '
                         'apt install edgetpu-compiler from the Coral repository)') from e
    except subprocess.TimeoutExpired as e:
        raise ModelError(f'{COMPILER} took more than {e.timeout:.0f} s; give it more time') from e
    log = parse_log(done.stdout + '\n' + done.stderr)
    if done.returncode != 0 or log.errors:
        said = '; '.join(log.errors) or done.stderr.strip() or f'exit code {done.returncode}'
        raise ModelError(f'{COMPILER} failed: {said}')
    return log


def estimate(artefact: Artefact, cache_bytes: int = PARAMETER_CACHE_BYTES) -> CompileReport:
    """Return what the compiler would probably report, from sizes and operator rules alone.

    Parameters are cached in the order of the layers until `cache_bytes` are full, as the
    compiler does for models on one command line. Larger activations leave less room than that.
    """
    room, layers = cache_bytes, []
    for layer in artefact.layers:
        graph = Graph(artefact.segment_file(layer.index).read_bytes(), layer.segment)
        problems = tuple(_problems(graph))
        cached = min(room, layer.weight_bytes)
        room -= cached
        layers.append(LayerReport(
            layer.name, len(graph.operators) - len(problems), len(problems), cached,
            layer.weight_bytes - cached, _activations(artefact, layer.index), problems))
    return CompileReport(artefact.digest, True, None, tuple(layers))


def _problems(graph: Graph) -> list[str]:
    found = []
    for operator in graph.operators:
        name, elements = graph.opcode(operator), graph.spec(operator.outputs[0]).size
        if name not in SUPPORTED:
            found.append(f'{name}: Operation not supported')
        elif elements > LIMITED_ELEMENTS.get(name, elements):
            found.append(f'{name}: {elements} elements are too many')
    return found


def _compiled(artefact: Artefact, index: int, log: ModelLog) -> LayerReport:
    problems = tuple(f'{o.name}: {o.status}' for o in log.operators if not o.mapped)
    return LayerReport(artefact.layers[index - 1].name, log.on_tpu, log.on_cpu, log.on_chip_used,
                       log.off_chip, _activations(artefact, index), problems)


def _activations(artefact: Artefact, index: int) -> int:
    return artefact.tensor(index - 1).nbytes + artefact.tensor(index).nbytes
