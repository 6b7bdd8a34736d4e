"""What every inference runtime looks like from outside."""

from typing import Protocol

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.tensor import Tensors, TensorSpec

Specs = tuple[TensorSpec, ...]


class Runner(Protocol):
    """One model file, loaded and ready to run on one device.

    `inputs` and `outputs` are the tensors at its two ends, `runtime` is `litert`,
    `tflite_runtime`, `tensorflow`, `openvino` or `keras`, `device` is `cpu` or `edgetpu` with
    its device string. A runner serves one thread at a time.
    """

    inputs: Specs
    outputs: Specs
    runtime: str
    device: str

    def run(self, xs: Tensors) -> Tensors:
        """Return the outputs for the inputs `xs`, all without a batch dimension.

        Results may be views of the runtime's own memory: they hold until the next `run`
        of this runner, so copy them before handing them to another thread.

        :raises ModelError: if `xs` have not the shapes and dtypes of `inputs`.
        :raises DeviceError: if an accelerator failed during the run.
        """

    def close(self) -> None:
        """Release the runtime; a second call does nothing."""


class BatchRunner(Protocol):
    """One model file that takes any number of frames at once; otherwise as a `Runner`."""

    runtime: str
    device: str

    def run(self, xs: Tensors) -> Tensors:
        """Return the outputs (n, ...) for the inputs (n, ...) of n frames.

        Results may be views, as those of `Runner.run`.
        """

    def close(self) -> None:
        """Release the runtime; a second call does nothing."""


def check_tensors(xs: Tensors, specs: Specs, what: str) -> None:
    """Raise ModelError if `xs` have not the shapes and dtypes of `specs`."""
    if len(xs) != len(specs):
        raise ModelError(f'{what} takes {len(specs)} tensors, got {len(xs)}')
    for x, spec in zip(xs, specs, strict=True):
        check_tensor(x, spec, what)


def check_tensor(x: np.ndarray, spec: TensorSpec, what: str) -> None:
    """Raise ModelError if `x` has not the shape and dtype of `spec`."""
    if x.shape != spec.shape or x.dtype != spec.dtype:
        raise ModelError(f'{what} takes {spec.dtype} of shape {spec.shape}, '
                         f'got {x.dtype} of shape {x.shape}')


def check_ends(found: tuple[tuple[int, ...], str], spec: TensorSpec, what: str) -> None:
    """Raise ModelError if a loaded file's `(shape, dtype)` is not the one of `spec`."""
    if found != (spec.shape, spec.dtype):
        raise ModelError(f'{what} is {found[1]} of shape {found[0]}, but the manifest says '
                         f'{spec.dtype} of shape {spec.shape}; prepare the model again')
