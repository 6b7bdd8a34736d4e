"""Run a .tflite file on OpenVINO's CPU plugin."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.runtime.runner import Specs, check_ends, check_tensors
from offload_perception.runtime.tflite import without_batch
from offload_perception.tensor import Tensors


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

    Inputs and outputs are views of the request's own tensors. `infer` does not hold Python's
    global lock.
    """

    runtime, device = 'openvino', 'cpu'

    def __init__(self, file: Path, inputs: Specs, outputs: Specs, *, threads: int) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._name = Path(file).name
        try:
            model = core().compile_model(str(file), 'CPU', _options(threads))
        except RuntimeError as e:
            raise ModelError(f'{file}: openvino cannot load it: {e}') from e
        self._request = model.create_infer_request()
        self._xs = self._views(self._request.input_tensors, inputs)
        self._ys = self._views(self._request.output_tensors, outputs)

    def _views(self, tensors: Sequence[Any], specs: Specs) -> Tensors:
        if len(tensors) != len(specs):
            raise ModelError(f'{self._name}: openvino has other ends than the manifest')
        views = tuple(without_batch(tensor.data) for tensor in tensors)
        for view, spec in zip(views, specs, strict=True):
            check_ends((view.shape, view.dtype.name), spec, self._name)
        return views

    def run(self, xs: Tensors) -> Tensors:
        """Return views of the output tensors; see `Runner.run`."""
        check_tensors(xs, self.inputs, self._name)
        for mine, x in zip(self._xs, xs, strict=True):
            np.copyto(mine, x)
        self._request.infer()
        return self._ys

    def close(self) -> None:
        """Drop the request; its memory goes with the last array that looks at it."""
        self._request, self._xs, self._ys = None, (), ()


class OpenVinoBatchRunner:
    """A .tflite file of an open batch, compiled once for any number of frames.

    :raises ModelError: if OpenVINO cannot load the file.
    """

    runtime, device = 'openvino', 'cpu'

    def __init__(self, file: Path, *, threads: int) -> None:
        self._name = Path(file).name
        try:
            model = core().read_model(str(file))
            model.reshape({port: [-1, *list(port.partial_shape)[1:]] for port in model.inputs})
            self._request = core().compile_model(
                model, 'CPU', _options(threads)).create_infer_request()
        except RuntimeError as e:
            raise ModelError(f'{file}: openvino cannot load it: {e}') from e

    def run(self, xs: Tensors) -> Tensors:
        """Return views of the outputs; see `BatchRunner.run`.

        :raises ModelError: if an operator does not take that many frames.
        """
        import openvino

        try:
            for n, x in enumerate(xs):
                self._request.set_input_tensor(
                    n, openvino.Tensor(np.ascontiguousarray(x), shared_memory=True))
            self._request.infer()
        except RuntimeError as e:
            raise ModelError(f'{self._name}: {len(xs[0])} frames at once: {e}') from e
        return tuple(tensor.data for tensor in self._request.output_tensors)

    def close(self) -> None:
        """Drop the request."""
        self._request = None


def _options(threads: int) -> dict[str, Any]:
    # Threads are not pinned: several runners and the encoder share the cores.
    return {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': threads,
            'ENABLE_CPU_PINNING': False}
