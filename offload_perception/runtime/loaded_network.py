"""What all ways to run a prepared model have in common."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from offload_perception.errors import CutError
from offload_perception.network.runnable import Network
from offload_perception.runtime.runner import check_tensors
from offload_perception.runtime.select import Choice
from offload_perception.tensor import Tensors


@dataclass(frozen=True)
class LayersTime:
    """How long layers `first` to `last` (from 1, both counted) took in one run, and on what."""

    first: int
    last: int
    seconds: float
    runtime: str
    device: str


class LoadedNetwork(Network):
    """A prepared model on some device."""

    choice: Choice

    @abstractmethod
    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        """Run layers `first` to `last`, counted from 1; none if `first` is `last` + 1.

        `xs` are the tensors at the cut before layer `first`, the result those after `last`.

        :raises CutError: for layers that the network does not have.
        :raises ModelError: if `xs` are not the tensors before layer `first`.
        :raises DeviceError: if an accelerator failed during the run and there is no fallback.
        """

    @property
    @abstractmethod
    def times(self) -> tuple[LayersTime, ...]:
        """Return the times of this thread's last run, in its order."""

    @property
    def trouble(self) -> str:
        """Return what is not available now; empty if all runs as it was opened."""
        return ''

    @property
    def doubt(self) -> str:
        """Return how results differ from those when the model was prepared; empty if hardly."""
        return ''

    @property
    def emulated(self) -> str:
        """Return `emulated NAME` if the layers are paced as on another computer, else ''."""
        return ''

    @abstractmethod
    def describe(self) -> str:
        """Return the one line for the log: what runs where, and what was found out."""

    @abstractmethod
    def warm_up(self, runs: int = 2) -> None:
        """Run every layer, so that first-run costs are paid before the first frame."""

    @abstractmethod
    def prepare(self, cut: int) -> None:
        """Make head and tail of `cut` as fast as they get, and wait for it."""

    @abstractmethod
    def close(self) -> None:
        """Release everything."""

    def head(self, cut: int, image: np.ndarray) -> Tensors:
        """Return the tensors at `cut` for an image, uint8 RGB of the artefact's input shape."""
        return self.run(1, cut, (image,))

    def tail(self, cut: int, xs: Tensors) -> Tensors:
        """Return the network's outputs, dequantised, for the tensors at `cut`."""
        return self.artefact.real_outputs(self.run(cut + 1, self.artefact.last, xs))

    @property
    def ran(self) -> str:
        """Return the runtimes of this thread's last run, as `openvino+litert`."""
        return '+'.join(dict.fromkeys(time.runtime for time in self.times))

    @property
    def ran_on(self) -> str:
        """Return the devices of this thread's last run, as `edgetpu usb:0+cpu`."""
        return '+'.join(dict.fromkeys(time.device for time in self.times))

    def check(self, first: int, last: int, xs: Tensors) -> None:
        """Raise CutError or ModelError if layers `first` to `last` cannot run on `xs`."""
        if not 1 <= first <= last + 1 <= self.artefact.last + 1:
            raise CutError(f'{self.artefact.name} has layers 1..{self.artefact.last}, '
                           f'asked for {first}..{last}')
        check_tensors(xs, self.artefact.tensors(first - 1), f'layer {first}')
