"""Run a .tflite file on an interpreter: LiteRT, tflite-runtime or TensorFlow's own."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from offload_perception.errors import ModelError, RuntimeUnavailableError
from offload_perception.runtime.runner import Specs, check_ends, check_tensors
from offload_perception.tensor import Tensors, TensorSpec

# Runtime -> (module with Interpreter and load_delegate, what to install for it).
INTERPRETERS = {
    'litert': ('ai_edge_litert.interpreter', 'ai-edge-litert'),
    'tflite_runtime': ('tflite_runtime.interpreter', 'tflite-runtime'),
    'tensorflow': ('tensorflow.lite.python.interpreter', 'tensorflow'),
}


def remedy(runtime: str) -> str:
    """Return what to do about a runtime that is not there, or does not import."""
    if runtime == 'tflite_runtime' and (sys.version_info >= (3, 12) or _major(np) >= 2):
        return (f'its last release, 2.14, is for Python 3.11 or older with numpy<2, and this is '
                f'Python {sys.version_info[0]}.{sys.version_info[1]} with numpy {np.__version__}: '
                'use ai-edge-litert, or choose runtime auto')
    package = INTERPRETERS[runtime][1] if runtime in INTERPRETERS else runtime
    return f'pip install {package}, or choose runtime auto'


def _major(module: Any) -> int:
    return int(module.__version__.partition('.')[0])


def interpreter_module(runtime: str) -> ModuleType:
    """Import the module of `runtime`, which has Interpreter and load_delegate.

    :raises RuntimeUnavailableError: naming what to install.
    """
    try:
        return import_module(INTERPRETERS[runtime][0])
    except (ImportError, AttributeError) as e:  # the latter of modules built for an older numpy
        raise RuntimeUnavailableError(
            f'runtime {runtime} cannot be imported ({e}); {remedy(runtime)}') from e


def open_tflite(file: Path, inputs: Specs, outputs: Specs, *, runtime: str, threads: int,
                delegates: Sequence[Any] = (), device: str = 'cpu') -> 'TfliteRunner':
    """Load a .tflite file on an interpreter, on the CPU or on `delegates`.

    :raises RuntimeUnavailableError: if the runtime is not installed.
    :raises ModelError: if it cannot load the file, or the file is not what it should be.
    """
    interpreter = _interpreter(file, runtime, threads, delegates)
    return TfliteRunner(interpreter, inputs, outputs, runtime=runtime, device=device,
                        name=Path(file).name)


def open_tflite_batch(file: Path, *, runtime: str, threads: int) -> 'TfliteBatchRunner':
    """Load a .tflite file of an open batch on the CPU; raises as `open_tflite`."""
    return TfliteBatchRunner(_interpreter(file, runtime, threads), runtime, Path(file).name)


def _interpreter(file: Path, runtime: str, threads: int, delegates: Sequence[Any] = ()) -> Any:
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
    return interpreter


class TfliteRunner:
    """An interpreter whose tensors are allocated.

    Inputs and outputs are views of the interpreter's own tensors, so that one copy per run, into
    the inputs, is all that moves. `invoke` does not hold Python's global lock.
    """

    def __init__(self, interpreter: Any, inputs: Specs, outputs: Specs, *, runtime: str,
                 device: str, name: str) -> None:
        self.inputs, self.outputs, self.runtime, self.device = inputs, outputs, runtime, device
        self._interpreter, self._name = interpreter, name
        given, made = interpreter.get_input_details(), interpreter.get_output_details()
        self._late = not all(_is_sized(interpreter, d) for d in made)  # by a run, maybe by each
        self._xs = () if self._late else self._views(given, inputs)
        self._ys = () if self._late else self._views(made, outputs)

    def _views(self, details: list[dict[str, Any]], specs: Specs) -> Tensors:
        if len(details) != len(specs):
            raise ModelError(f'{self._name} has {len(details)} tensors at one end, but the '
                             f'manifest says {len(specs)}; prepare the model again')
        return tuple(map(self._view, details, specs))

    def _view(self, details: dict[str, Any], spec: TensorSpec) -> np.ndarray:
        tensor = without_batch(self._interpreter.tensor(details['index'])())
        check_ends((tensor.shape, tensor.dtype.name), spec, f"{self._name}: {details['name']}")
        return np.asarray(_Memory(tensor, self._interpreter))

    def run(self, xs: Tensors) -> Tensors:
        """Return views of the output tensors; see `Runner.run`."""
        check_tensors(xs, self.inputs, self._name)
        if self._late:
            return self._run_late(xs)
        for mine, x in zip(self._xs, xs, strict=True):
            np.copyto(mine, x)
        self._interpreter.invoke()
        return self._ys

    def _run_late(self, xs: Tensors) -> Tensors:
        """Return copies of the outputs; such a run may move the memory of any tensor."""
        for details, x in zip(self._interpreter.get_input_details(), xs, strict=True):
            self._interpreter.set_tensor(details['index'], x.reshape(details['shape']))
        self._interpreter.invoke()
        ys = tuple(without_batch(self._interpreter.get_tensor(d['index']))
                   for d in self._interpreter.get_output_details())
        check_tensors(ys, self.outputs, self._name)
        return ys

    def close(self) -> None:
        """Drop the interpreter; its memory goes with the last array that looks at it."""
        self._interpreter, self._xs, self._ys = None, (), ()


class TfliteBatchRunner:
    """An interpreter that is sized anew when the number of frames changes."""

    device = 'cpu'

    def __init__(self, interpreter: Any, runtime: str, name: str) -> None:
        self.runtime, self._interpreter, self._name, self._frames = runtime, interpreter, name, 1
        self._inputs = [d['index'] for d in interpreter.get_input_details()]
        self._outputs = [d['index'] for d in interpreter.get_output_details()]

    def run(self, xs: Tensors) -> Tensors:
        """Return copies of the outputs; see `BatchRunner.run`.

        :raises ModelError: if an operator does not take that many frames.
        """
        try:
            if len(xs[0]) != self._frames:
                for index, x in zip(self._inputs, xs, strict=True):
                    self._interpreter.resize_tensor_input(index, x.shape)
                self._interpreter.allocate_tensors()
                self._frames = len(xs[0])
            for index, x in zip(self._inputs, xs, strict=True):
                self._interpreter.set_tensor(index, x)
            self._interpreter.invoke()
            return tuple(map(self._interpreter.get_tensor, self._outputs))
        except (RuntimeError, ValueError) as e:
            self._frames = 0
            raise ModelError(f'{self._name}: {len(xs[0])} frames at once: {e}') from e

    def close(self) -> None:
        """Drop the interpreter."""
        self._interpreter = None


def without_batch(tensor: np.ndarray) -> np.ndarray:
    """Return a view without a batch dimension of one, if there is one."""
    return tensor[0] if tensor.shape[:1] == (1,) and tensor.ndim > 1 else tensor.reshape(
        tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape)


def _is_sized(interpreter: Any, details: dict[str, Any]) -> bool:
    """Return whether a tensor has its memory before the first run."""
    try:
        interpreter.tensor(details['index'])()
    except ValueError:
        return False
    return True


class _Memory:
    """The memory of a tensor, kept alive by its interpreter.

    The array that `Interpreter.tensor` returns holds the inner wrapper, and while such an array
    lives `invoke` refuses to run. With fixed shapes the tensors do not move after
    allocation, so an array that holds the outer object instead is safe.
    """

    def __init__(self, tensor: np.ndarray, owner: Any) -> None:
        self.__array_interface__ = dict(tensor.__array_interface__)
        self.owner = owner
