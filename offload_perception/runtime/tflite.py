"""Run a .tflite file on an interpreter: LiteRT, tflite-runtime or TensorFlow's own."""

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.runtime.runner import check_ends, check_tensor
from offload_perception.tensor import TensorSpec

# Runtime -> (module with Interpreter and load_delegate, what to install for it).
INTERPRETERS = {
    'litert': ('ai_edge_litert.interpreter', 'ai-edge-litert'),
    'tflite_runtime': ('tflite_runtime.interpreter', 'tflite-runtime'),
    'tensorflow': ('tensorflow.lite.python.interpreter', 'tensorflow'),
}


def interpreter_module(runtime: str) -> ModuleType:
    """Import the module of `runtime`, which has Interpreter and load_delegate.

    :raises RuntimeUnavailableError: naming what to install.
    """
    module, package = INTERPRETERS[runtime]
    try:
        return import_module(module)
    except ImportError as e:
        raise RuntimeUnavailableError(
            f'runtime {runtime} cannot be imported ({e}); pip install {package}, '
            'or choose runtime auto') from e


def open_tflite(file: Path, input: TensorSpec, output: TensorSpec, *, runtime: str,
                threads: int, delegates: Sequence[Any] = (),
                device: str = 'cpu') -> 'TfliteRunner':
    """Load a .tflite file on an interpreter, on the CPU or on `delegates`.

    :raises RuntimeUnavailableError: if the runtime is not installed.
    :raises ModelError: if it cannot load the file, or the file is not what it should be.
    """
    module = interpreter_module(runtime)
    try:
        with warnings.catch_warnings():  # TensorFlow's announces its own removal, for each file
            warnings.simplefilter('ignore', UserWarning)
            interpreter = module.Interpreter(
                model_path=str(file), num_threads=threads,
                experimental_delegates=list(delegates) or None)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as e:
        raise ModelError(f'{file}: {runtime} cannot load it: {e}') from e
    return TfliteRunner(interpreter, input, output, runtime=runtime, device=device,
                        name=Path(file).name)


class TfliteRunner:
    """An interpreter whose tensors are allocated.

    Input and output are views of the interpreter's own tensors, so that one copy per run, into
    the input, is all that moves. `invoke` does not hold Python's global lock.
    """

    def __init__(self, interpreter: Any, input: TensorSpec, output: TensorSpec, *, runtime: str,
                 device: str, name: str) -> None:
        self.input, self.output, self.runtime, self.device = input, output, runtime, device
        self._interpreter, self._name = interpreter, name
        self._x = self._view(interpreter.get_input_details()[0], input)
        self._y = self._view(interpreter.get_output_details()[0], output)

    def _view(self, details: dict[str, Any], spec: TensorSpec) -> np.ndarray:
        tensor = self._interpreter.tensor(details['index'])()[0]
        check_ends((tensor.shape, tensor.dtype.name), spec, f"{self._name}: {details['name']}")
        return np.asarray(_Memory(tensor, self._interpreter))

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return a view of the output tensor; see `Runner.run`."""
        check_tensor(x, self.input, self._name)
        np.copyto(self._x, x)
        self._interpreter.invoke()
        return self._y

    def close(self) -> None:
        """Drop the interpreter; its memory goes with the last array that looks at it."""
        self._interpreter, self._x, self._y = None, np.empty(0), np.empty(0)


class _Memory:
    """The memory of a tensor, kept alive by its interpreter.

    The array that `Interpreter.tensor` returns holds the inner wrapper, and while such an array
    lives `invoke` refuses to run. With fixed shapes the tensors do not move after
    allocation, so an array that holds the outer object instead is safe.
    """

    def __init__(self, tensor: np.ndarray, owner: Any) -> None:
        self.__array_interface__ = dict(tensor.__array_interface__)
        self.owner = owner
