"""Load a model file on the runtime of a given name."""

from pathlib import Path

from offload_perception.runtime.runner import Runner, Specs
from offload_perception.runtime.runtimes import RUNTIMES


def load_cpu(runtime: str, file: Path, inputs: Specs, outputs: Specs, *, threads: int) -> Runner:
    """Load a .tflite file on a CPU runtime.

    :raises RuntimeUnavailableError: if the runtime is not installed.
    :raises ModelError: if it cannot load the file, or the file is not what it should be.
    """
    return RUNTIMES[runtime].load(file, inputs, outputs, threads=threads)
