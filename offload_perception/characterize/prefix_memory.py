"""How much memory a prefix will need, how much there is, and how much it took."""

import re
from itertools import pairwise
from math import inf
from pathlib import Path

import psutil

from offload_perception.network.artefact import Layer
from offload_perception.tensor import TensorSpec

_CGROUP = Path('/sys/fs/cgroup')


def weight_bytes(layers: tuple[Layer, ...], *, float32: bool) -> int:
    """Return the size of the weights of some layers: int8 with int32 biases, or float32."""
    if not float32:
        return sum(layer.weight_bytes for layer in layers)
    biases = [4 * layer.output.shape[-1] if layer.weight_bytes else 0 for layer in layers]
    return sum(4 * (layer.weight_bytes - bias) + bias
               for layer, bias in zip(layers, biases, strict=True))


def activation_bytes(image: TensorSpec, layers: tuple[Layer, ...], *, float32: bool) -> int:
    """Return the size of the largest two neighbouring tensors, which live at the same time."""
    sizes = [image.size, *(layer.output.size for layer in layers)]
    pairs = [a + b for a, b in pairwise(sizes)]
    return max(pairs) * (4 if float32 else 1)


def predict(image: TensorSpec, layers: tuple[Layer, ...], *, float32: bool) -> int:
    """Return what running these layers needs on top of the bare runtime, in bytes.

    Weights count twice: as pages of the mapped file, and as the copy that the interpreter's
    kernels (XNNPACK) arrange for themselves while loading.
    """
    return (2 * weight_bytes(layers, float32=float32)
            + activation_bytes(image, layers, float32=float32))


def available_bytes() -> int:
    """Return what this process may still use: of the machine, and of its control group."""
    return int(min(psutil.virtual_memory().available, _group_left()))


def peak_bytes(pid: int | str = 'self') -> int:
    """Return the most memory that a process has held so far, in bytes; 0 if it has ended."""
    try:
        status = Path(f'/proc/{pid}/status').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    peak = re.search(r'VmHWM:\s+(\d+) kB', status)  # see proc(5); a zombie has none
    return 1024 * int(peak[1]) if peak else 0


def _group_left() -> float:
    try:
        limit = (_CGROUP / 'memory.max').read_text().strip()
        used = int((_CGROUP / 'memory.current').read_text())
    except (OSError, ValueError):
        return inf
    return inf if limit == 'max' else max(0, int(limit) - used)
