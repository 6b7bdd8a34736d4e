"""Run a .tflite file on OpenVINO's CPU plugin."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.runtime.runner import check_ends, check_tensor
from offload_perception.tensor import TensorSpec


@cache
def core() -> Any:
    """Return the one OpenVINO core of this process.

    :raises RuntimeUnavailableError: naming what to install.
    """
    try:
        import openvino
    except ImportError as e:
        raise RuntimeUnavailableError(
            f'runtime openvino cannot be imported ({e}); pip install openvino, '
            'or choose runtime auto') from e
    return openvino.Core()


class OpenVinoRunner:
    """A .tflite file compiled once for the CPU, with one infer request that is used again.

    Input and output are views of the request's own tensors. `infer` does not hold Python's
    global lock.
    """

    runtime, device = 'openvino', 'cpu'

    def __init__(self, file: Path, input: TensorSpec, output: TensorSpec, *,
                 threads: int) -> None:
        self.input, self.output = input, output
        self._name = Path(file).name
        try:
            # Threads are not pinned: several runners and the encoder share the cores.
            model = core().compile_model(str(file), 'CPU', {
                'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': threads,
                'ENABLE_CPU_PINNING': False})
        except RuntimeError as e:
            raise ModelError(f'{file}: openvino cannot load it: {e}') from e
        self._request = model.create_infer_request()
        self._x = self._view(self._request.get_input_tensor(), input)
        self._y = self._view(self._request.get_output_tensor(), output)

    def _view(self, tensor: Any, spec: TensorSpec) -> np.ndarray:
        view: np.ndarray = tensor.data[0]
        check_ends((view.shape, view.dtype.name), spec, self._name)
        return view

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return a view of the output tensor; see `Runner.run`."""
        check_tensor(x, self.input, self._name)
        np.copyto(self._x, x)
        self._request.infer()
        return self._y

    def close(self) -> None:
        """Drop the request; its memory goes with the last array that looks at it."""
        self._request, self._x, self._y = None, np.empty(0), np.empty(0)
