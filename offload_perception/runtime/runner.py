"""What every inference runtime looks like from outside."""

from typing import Protocol

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.tensor import TensorSpec


class Runner(Protocol):
    """One model file, loaded and ready to run on one device.

    `input` and `output` are the tensors at its two ends, `runtime` is `litert`,
    `tflite_runtime`, `tensorflow`, `openvino` or `keras`, `device` is `cpu` or `edgetpu` with
    its device string. A runner serves one thread at a time.
    """

    input: TensorSpec
    output: TensorSpec
    runtime: str
    device: str

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return the output for `x`, both without a batch dimension.

        The result may be a view of the runtime's own memory: it holds until the next `run`
        of this runner, so copy it before handing it to another thread.

        :raises ModelError: if `x` has not the shape and dtype of `input`.
        :raises DeviceError: if an accelerator failed during the run.
        """

    def close(self) -> None:
        """Release the runtime; a second call does nothing."""


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
