"""The layers that run on the drone: the head of a frame, and the others for a hedge."""

from collections.abc import Callable
from typing import Any

import numpy as np

from offload_perception.frames import Frame
from offload_perception.network.runnable import Network

Preprocess = Callable[[Any, np.ndarray], None]


class OnboardLayers:
    """Runs layers on frames, and records time, runtime and device in them.

    :param preprocess: writes an image into a uint8 array of the network's input shape, and
        raises ImageError if it cannot.
    """

    def __init__(self, network: Network, preprocess: Preprocess,
                 clock: Callable[[], float]) -> None:
        self._network, self._preprocess, self._clock = network, preprocess, clock
        self.artefact = network.artefact
        self._block_ends = [k for k, layer in enumerate(self.artefact.layers, 1)
                            if layer.kind == 'pool']

    @property
    def emulated(self) -> str:
        """Return `emulated NAME` if another computer is emulated, else ''."""
        return self._network.emulated

    def head(self, frame: Frame) -> np.ndarray:
        """Return the tensor at the frame's cut."""
        started = self._clock()
        pixels = np.empty(self.artefact.input.shape, np.uint8)
        self._preprocess(frame.image, pixels)
        frame.image = None  # frees the message while the frame is in flight
        prepared = self._clock()
        tensor = pixels
        if frame.split:
            tensor = self._network.head(frame.split, pixels)
            self._note_where(frame)
        stages = frame.stages
        stages.queue, stages.preprocess = started - frame.arrival_s, prepared - started
        stages.head = self._clock() - prepared
        return tensor

    def finish(self, frame: Frame, wanted: Callable[[], bool]) -> np.ndarray | None:
        """Return the class scores for the frame's tensor, float32 of shape (classes,).

        Runs block by block, and returns None as soon as it is no longer `wanted`, since the
        reply has come.
        """
        started = self._clock()
        at, tensor, last = frame.split, frame.tensor, self.artefact.last
        if tensor is None:  # a reply has ended the frame
            return None
        for end in (*(e for e in self._block_ends if e > at), last):
            if not wanted():
                return None
            at, tensor = end, self._network.run(at + 1, end, tensor)
        frame.stages.tail = self._clock() - started
        self._note_where(frame)
        return self.scores(tensor)

    def scores(self, tensor: np.ndarray) -> np.ndarray:
        """Return the class scores in the network's last tensor, float32 of shape (classes,)."""
        return self.artefact.tensor(self.artefact.last).dequantise(tensor)

    def _note_where(self, frame: Frame) -> None:
        frame.runtime, frame.device = self._network.ran, self._network.ran_on
