"""What every camera source offers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np

from offload_perception.imaging.fit import fit


@dataclass(frozen=True)
class Frame:
    """One picture: RGB, (H, W, 3) uint8; its true class where known; its number from 0."""

    rgb: np.ndarray
    label: int | None
    index: int


class Source(ABC):
    """Frames of one size without end.

    A `live` source blocks in `next` until its camera has a frame; any other gives one at
    once, and its user keeps the rate. `description` is for people and says where the frames
    come from; `skipped` counts pictures that could not be read.
    """

    live = False
    description = ''
    skipped = 0
    classes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._index = 0

    def next(self) -> Frame:
        """Return the next frame; raises SourceError where there will be no more."""
        index = self._index
        rgb, label = self._picture(index)
        self._index = index + 1
        return Frame(rgb, label, index)

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
