"""Load a model file on the runtime of a given name."""

from pathlib import Path

from offload_perception.runtime.runner import Runner
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.tensor import TensorSpec


def load_cpu(runtime: str, file: Path, input: TensorSpec, output: TensorSpec, *,
             threads: int) -> Runner:
    """Load a .tflite file on a CPU runtime.

    :raises RuntimeUnavailableError: if the runtime is not installed.
    :raises ModelError: if it cannot load the file, or the file is not what it should be.
    """
    return RUNTIMES[runtime].load(file, input, output, threads=threads)
