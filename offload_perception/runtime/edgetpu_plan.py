"""What the Edge TPU process is to load: files, tensors, devices."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from math import nan
from pathlib import Path

from offload_perception.errors import ConfigError, ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.edgetpu_refusal import float_network, not_compiled
from offload_perception.runtime.select import PYCORAL
from offload_perception.tensor import TensorSpec

CUSTOM_OP = b'edgetpu-custom-op'
ALIGNMENT = 64  # of each tensor in shared memory [bytes]
LIBRARY = 'libedgetpu.so.1'
COMPILED = 'edgetpu'

# Its clock: 63, 125, 250 and 500 MHz (libedgetpu, driver/beagle); the library std makes max high.
PERFORMANCES = ('default', 'low', 'medium', 'high', 'max')

_DEVICE = re.compile(r'|usb|pci|(usb|pci)?:\d+')


@dataclass(frozen=True)
class SegmentLoad:
    """A file to open: on an Edge TPU by its device string, or on the CPU if that is None.

    It takes and gives the tensors of these numbers.
    """

    file: Path
    takes: tuple[int, ...]
    gives: tuple[int, ...]
    device: str | None


@dataclass(frozen=True)
class EdgeTpuPlan:
    """All that the process needs to know; it is sent once.

    `specs` are the tensors by number, `boundaries` those that cross at each cut, 0 to N; at cut 0
    it is the input tensor of the network.
    """

    loads: tuple[SegmentLoad, ...]
    specs: dict[int, TensorSpec]
    boundaries: tuple[tuple[int, ...], ...]
    runtime: str
    library: str
    threads: int
    performance: str = 'default'

    @property
    def tensor_bytes(self) -> int:
        """Return the most bytes that cross at a cut, each tensor on a place of its own."""
        return max(places(self.specs, numbers)[-1] for numbers in self.boundaries)


def places(specs: dict[int, TensorSpec], numbers: Iterable[int]) -> list[int]:
    """Return where in shared memory each of the tensors begins, and where the last one ends."""
    return [0, *accumulate(-(-specs[i].nbytes // ALIGNMENT) * ALIGNMENT for i in numbers)]


def make_plan(artefact: Artefact, devices: str, *, runtime: str, threads: int,
              library: str = LIBRARY, performance: str = 'default') -> EdgeTpuPlan:
    """Put every layer that is compiled on an Edge TPU and the rest on the CPU.

    `devices` is one device string of libedgetpu (``, `usb`, `usb:0`, `pci`, `:1`) or several
    with commas; the layers are then spread in their order, with even shares of the weights.
    `performance` is one of PERFORMANCES.

    :raises ConfigError: for a device string that libedgetpu does not know.
    :raises DeviceError: if no layer is compiled.
    """
    names = parse_devices(devices)
    if performance != 'default':
        names = [indexed(name) for name in names]
    if not artefact.quantised:
        raise float_network(artefact.name)
    files = [compiled_file(artefact, k) for k in range(1, artefact.last + 1)]
    on_device = [has_custom_op(file) for file in files]
    if not any(on_device):
        raise not_compiled(f'{artefact.name} ({artefact.path})')
    sticks = spread([layer.weight_bytes * compiled for layer, compiled in
                     zip(artefact.layers, on_device, strict=True)], len(names))
    return EdgeTpuPlan(tuple(
        SegmentLoad(file if compiled else artefact.segment_file(k), *artefact.ends(k, k),
                    names[stick] if compiled else None)
        for k, (file, compiled, stick) in enumerate(zip(files, on_device, sticks, strict=True), 1)
    ), {**artefact.specs, artefact.image_id: artefact.pixels.spec},
        tuple(map(artefact.boundary, range(artefact.last + 1))), runtime, library, threads,
        performance)


def parse_devices(text: str) -> list[str]:
    """Split and check a comma list of device strings."""
    names = [name.strip() for name in text.split(',')]
    wrong = [name for name in names if not _DEVICE.fullmatch(name)]
    if wrong:
        raise ConfigError(f"Edge TPU device '{wrong[0]}' is unknown; use usb, pci, usb:0, pci:0, "
                          'or :0, several with commas')
    return names


def cpu_runtime(runtime: str) -> str:
    """Return the interpreter for segments that are not compiled."""
    return 'tflite_runtime' if runtime == PYCORAL else runtime


def indexed(name: str) -> str:
    """Return a device string with a number: libedgetpu ignores options without one."""
    return name if ':' in name else f'{name}:0'


def compiled_file(artefact: Artefact, k: int) -> Path:
    """Return where `edgetpu_compile.compile_segments` puts the compiled segment of layer `k`."""
    return artefact.path / COMPILED / f'{artefact.segment_file(k).stem}_edgetpu.tflite'


def has_custom_op(file: Path) -> bool:
    """Return whether a file exists and has an operator for the Edge TPU."""
    return file.is_file() and CUSTOM_OP in file.read_bytes()


def spread(weights: list[int], count: int) -> list[int]:
    """Return for each layer the stick, 0 to `count` - 1, that gives each an even share."""
    total, before, sticks = sum(weights) or 1, 0, []
    for weight in weights:
        sticks.append(min(count - 1, int((before + weight / 2) * count / total)))
        before += weight
    return sticks


def share_off_device(artefact: Artefact, plan: EdgeTpuPlan) -> float:
    """Return the share of the network's multiply-adds that the plan runs on the CPU.

    It is NaN if the TFLite schema, which comes with ai-edge-litert, is not installed.
    """
    left = sum(layer.macs if load.device is None else macs_left(load.file)
               for layer, load in zip(artefact.layers, plan.loads, strict=True))
    return left / (sum(layer.macs for layer in artefact.layers) or 1)


def macs_left(file: Path) -> float:
    """Return the multiply-adds that the compiler left for the CPU; NaN without the schema."""
    try:
        from offload_perception.network.layer_cuts import multiply_adds
        from offload_perception.network.operator_graph import Graph
        graph = Graph(file.read_bytes(), str(file))
    except (ImportError, ModelError):
        return nan
    return sum(multiply_adds(graph, operator) for operator in graph.operators)
