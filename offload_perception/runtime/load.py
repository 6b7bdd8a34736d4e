"""Load a model file on the runtime of a given name."""

from pathlib import Path

from offload_perception.runtime.base import Runner
from offload_perception.runtime.openvino import OpenVinoRunner
from offload_perception.runtime.tflite import open_tflite
from offload_perception.tensor import TensorSpec


def load_cpu(runtime: str, file: Path, input: TensorSpec, output: TensorSpec, *,
             threads: int) -> Runner:
    """Load a .tflite file on a CPU runtime.

    :raises RuntimeUnavailableError: where the runtime is not installed.
    :raises ModelError: where it cannot load the file, or the file is not what it should be.
    """
    if runtime == 'openvino':
        return OpenVinoRunner(file, input, output, threads=threads)
    return open_tflite(file, input, output, runtime=runtime, threads=threads)
