"""A model that runs, as the package sees it; `runtime` has the implementations."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from offload_perception.network.artefact import Artefact
from offload_perception.tensor import Tensors


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

    def tail(self, cut: int, xs: Tensors) -> Tensors:
        """Return the outputs, dequantised and in the network's order, for the tensors at `cut`.

        :raises ModelError: if `xs` are not the tensors of that cut.
        """


class ServedNetwork(Protocol):
    """Runs the tails of several frames together; what a server needs.

    Each frame is brought to the `join` by itself, and there it joins a batch; one that was cut
    later joins at its cut. Tensors are as in `TailNetwork`.

    :ivar join: cut from which the tails of several frames run together.
    :ivar most: how many tails run together at most; 1 if it does not pay.
    :ivar together_s: seconds of the layers after the join, by number of frames, as measured.
    """

    artefact: Artefact
    join: int
    most: int
    together_s: Mapping[int, float]

    @property
    def ran(self) -> str:
        """Return the runtimes of this thread's last run, as `openvino+litert`."""

    @property
    def ran_on(self) -> str:
        """Return the devices of this thread's last run, as `edgetpu usb:0+cpu`."""

    def to_join(self, cut: int, xs: Tensors) -> Tensors:
        """Return the tensors at the join for those at `cut`; those of a later cut as they are.

        :raises ModelError: if `xs` are not the tensors of that cut.
        """

    def together(self, cuts: Sequence[int], frames: Sequence[Tensors]) -> list[Tensors]:
        """Return the outputs of up to `most` frames, dequantised and in the network's order.

        :param cuts: of each frame, the join or later.
        :param frames: the tensors of each at its cut.
        """


class Network(TailNetwork, Protocol):
    """Runs any layers of a model; what a drone needs."""

    @property
    def emulated(self) -> str:
        """Return `emulated NAME` if the layers are paced as on another computer, else ''."""

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Run layers `first` to `last`, counted from 1; none if `first` is `last` + 1.

        `xs` are the tensors at the cut before layer `first`, the result those after `last`.

        :raises CutError: for layers that the network does not have.
        :raises ModelError: if `xs` are not the tensors before layer `first`.
        :raises DeviceError: if an accelerator failed during the run and there is no fallback.
        """

    def head(self, cut: int, image: np.ndarray) -> Tensors:
        """Return the tensors at `cut` for an image, uint8 RGB of the artefact's input shape."""
