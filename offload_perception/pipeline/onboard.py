"""The layers that run on the drone: the head of a frame, and the others for a hedge."""

from collections.abc import Callable
from typing import Any

import numpy as np

from offload_perception.frames import Frame
from offload_perception.network.artefact import Artefact
from offload_perception.network.runnable import Network
from offload_perception.tensor import Tensors

Preprocess = Callable[[Any, np.ndarray], tuple[int, int]]


class OnboardLayers:
    """Runs layers on frames, and records time, runtime and device in them.

    :param preprocess: writes an image into a uint8 array of the network's input shape and
        returns the image's own height and width; raises ImageError if it cannot.
    """

    def __init__(self, network: Network, preprocess: Preprocess,
                 clock: Callable[[], float]) -> None:
        self._network, self._preprocess, self._clock = network, preprocess, clock
        self.artefact = network.artefact
        self._pauses = _pauses(self.artefact)

    @property
    def emulated(self) -> str:
        """Return `emulated NAME` if another computer is emulated, else ''."""
        return self._network.emulated

    def head(self, frame: Frame) -> Tensors:
        """Return the tensors at the frame's cut."""
        started = self._clock()
        pixels = np.empty(self.artefact.input.shape, np.uint8)
        frame.image_size = self._preprocess(frame.image, pixels)
        frame.image = None  # frees the message while the frame is in flight
        prepared = self._clock()
        tensors: Tensors = (pixels,)
        if frame.split:
            tensors = self._network.head(frame.split, pixels)
            self._note_where(frame)
        stages = frame.stages
        stages.queue, stages.preprocess = started - frame.arrival_s, prepared - started
        stages.head = self._clock() - prepared
        return tensors

    def finish(self, frame: Frame, wanted: Callable[[], bool]) -> Tensors | None:
        """Return the network's outputs, dequantised, for the frame's tensors.

        Runs in several steps, and returns None as soon as it is no longer `wanted`, since the
        reply has come.
        """
        started = self._clock()
        at, tensors, last = frame.split, frame.tensors, self.artefact.last
        if tensors is None:  # a reply has ended the frame
            return None
        for end in (*(e for e in self._pauses if e > at), last):
            if not wanted():
                return None
            at, tensors = end, self._network.run(at + 1, end, tensors)
        frame.stages.tail = self._clock() - started
        self._note_where(frame)
        return self.artefact.real_outputs(tensors)

    def _note_where(self, frame: Frame) -> None:
        frame.runtime, frame.device = self._network.ran, self._network.ran_on


def _pauses(artefact: Artefact) -> list[int]:
    """Return the cuts at which the rest of a frame may be given up: pools, or work in quarters."""
    pools = [k for k, layer in enumerate(artefact.layers, 1) if layer.kind == 'pool']
    if len(pools) >= 4:
        return pools
    work = np.cumsum([layer.macs for layer in artefact.layers])
    quarters = {int(np.searchsorted(work, work[-1] * q / 4)) + 1 for q in (1, 2, 3)}
    return sorted(quarters - {artefact.last})
