"""A model that runs, as the package sees it; `runtime` has the implementations."""

from typing import Protocol

import numpy as np

from offload_perception.network.artefact import Artefact


class TailNetwork(Protocol):
    """Runs the layers after any cut; what a server needs.

    Tensors have no batch dimension. Results are new arrays that may be kept.
    """

    artefact: Artefact

    @property
    def ran(self) -> str:
        """Return the runtimes of this thread's last run, as `openvino+litert`."""

    @property
    def ran_on(self) -> str:
        """Return the devices of this thread's last run, as `edgetpu usb:0+cpu`."""

    def tail(self, cut: int, tensor: np.ndarray) -> np.ndarray:
        """Return the class scores, float32 of shape (classes,), for the tensor at `cut`.

        :raises ModelError: if `tensor` is not a tensor of that cut.
        """


class Network(TailNetwork, Protocol):
    """Runs any layers of a model; what a drone needs."""

    @property
    def emulated(self) -> str:
        """Return `emulated NAME` if the layers are paced as on another computer, else ''."""

    def run(self, first: int, last: int, x: np.ndarray) -> np.ndarray:
        """Run layers `first` to `last`, counted from 1; none if `first` is `last` + 1.

        :raises CutError: for layers that the network does not have.
        :raises ModelError: if `x` is not the tensor in front of layer `first`.
        :raises DeviceError: if an accelerator failed during the run and there is no fallback.
        """

    def head(self, cut: int, image: np.ndarray) -> np.ndarray:
        """Return the tensor at `cut` for an image, uint8 RGB of the artefact's input shape."""
