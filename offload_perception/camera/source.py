"""The interface of camera sources."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np

from offload_perception.imaging.resize import fit


@dataclass(frozen=True)
class CameraImage:
    """One picture: RGB, (H, W, 3) uint8; its true class if known; its number from 0."""

    rgb: np.ndarray
    label: int | None
    index: int


class Source(ABC):
    """Frames of one size.

    A `live` source blocks in `next` until its camera has a frame; any other gives one at
    once, and its user keeps to `rate_hz`, which is 0 if a live source sets the pace.
    `description` is for people and says where the frames come from; `left_out` names the files
    that are not shown, and why; `skipped` counts how often one was skipped. One thread at a
    time may use a source, and close it.
    """

    live = False
    rate_hz = 0.0
    description = ''
    hangs = 'the camera hangs; unplug it and plug it in'
    classes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._index = 0

    def next(self) -> CameraImage:
        """Return the next frame.

        :raises SourceEnded: if all was shown that there is.
        :raises SourceError: if the source has failed, and has to be opened again.
        """
        index = self._index
        rgb, label = self._picture(index)
        self._index = index + 1
        return CameraImage(rgb, label, index)

    @property
    def left_out(self) -> dict[str, str]:
        """Return which files are not shown, and why; any thread may ask."""
        return {}

    @property
    def skipped(self) -> int:
        """Return how many broken pictures were skipped."""
        return 0

    @abstractmethod
    def _picture(self, index: int) -> tuple[np.ndarray, int | None]:
        """Return picture number `index` and its label."""

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Give the device or file back; may be called twice."""

    def __enter__(self) -> 'Source':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fit_bgr(bgr: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture as OpenCV reads it as RGB of the wanted size."""
    small = fit(bgr, height, width)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB, dst=small)
