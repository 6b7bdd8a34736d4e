"""How much memory a prefix will need, how much there is, and how much it took."""

import re
from math import inf
from pathlib import Path

import psutil

from offload_perception.network.artefact import Artefact

_CGROUP = Path('/sys/fs/cgroup')


def weight_bytes(artefact: Artefact, cut: int, *, float32: bool) -> int:
    """Return the size of the weights before a cut, as in the model's file, or as float32.

    In an int8 file biases are int32 already.
    """
    layers = artefact.layers[:cut]
    if not float32:
        return sum(layer.weight_bytes for layer in layers)
    biases = [4 * artefact.spec(layer.gives[0]).shape[-1] if layer.weight_bytes else 0
              for layer in layers]
    return sum(4 * (layer.weight_bytes - bias) + bias
               for layer, bias in zip(layers, biases, strict=True))


def activation_bytes(artefact: Artefact, cut: int, *, float32: bool) -> int:
    """Return the most bytes of tensors that live at the same time before a cut.

    While a layer runs, these are the tensors at the cut before it and what it gives.
    """
    alive = [{*artefact.boundary(layer.index - 1), *layer.gives}
             for layer in artefact.layers[:cut]]
    return max(sum(_bytes(artefact, i, float32=float32) for i in numbers) for numbers in alive)


def _bytes(artefact: Artefact, number: int, *, float32: bool) -> int:
    spec = artefact.spec(number)
    return 4 * spec.size if float32 else spec.nbytes


def predict(artefact: Artefact, cut: int, *, float32: bool) -> int:
    """Return what running layers 1 to `cut` needs on top of the bare runtime, in bytes.

    Weights count twice: as pages of the mapped file, and as the copy that the interpreter's
    kernels (XNNPACK) arrange for themselves while loading. `float32` is for the float32 form of
    an int8 network.
    """
    return (2 * weight_bytes(artefact, cut, float32=float32)
            + activation_bytes(artefact, cut, float32=float32))


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
