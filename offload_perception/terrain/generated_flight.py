"""A generated flight: a camera that looks down while it travels over a `World`, in a loop."""

from math import atan2, cos, floor, sin, tau

import cv2
import numpy as np

from offload_perception.errors import ConfigError
from offload_perception.terrain.painters import CLASSES
from offload_perception.terrain.seeds import stream
from offload_perception.terrain.terrain_map import PX_PER_M, build_world

FRAMES_PER_PATCH = 180  # six seconds at 30 frames/s
SPAN_M = 96.0  # ground seen along the shorter image edge, at mean height
CLEAR_SHARE = 0.7  # of the centre square that one class has to fill to be the truth
_CLIMB = 0.2  # relative change of height
_NOISE_GREY = 3.0
_NOISE_SHIFT = 64
_TRUTH_SAMPLES = 48


class GeneratedFlight:
    """Frames of a flight; frame `i` depends on the arguments and on `i` alone.

    Building the map takes a second or two; a frame takes milliseconds. The flight is a loop of
    `len(flight)` frames over every patch of the map: frame `i + len(flight)` is frame `i`.
    `split` keeps the maps of training and of measuring apart, as it does for tiles.

    :raises ConfigError: if the size is not positive or the split unknown.
    """

    classes: tuple[str, ...] = CLASSES

    def __init__(self, seed: int = 0, width: int = 640, height: int = 480,
                 frames_per_patch: int = FRAMES_PER_PATCH, split: str = 'test') -> None:
        if min(width, height, frames_per_patch) < 1:
            raise ConfigError(f'a flight of {width}x{height} px, {frames_per_patch} frames a '
                              'patch: use numbers above 0')
        rng = stream('flight', split, seed)
        self._world = build_world(rng)
        self._size, self._frames_per_patch = (width, height), frames_per_patch
        shape = (height + _NOISE_SHIFT, width + _NOISE_SHIFT, 3)
        noise = rng.standard_normal(shape, np.float32) * _NOISE_GREY
        self._noise = noise.round().astype(np.int16)

    def __len__(self) -> int:
        return len(self._world.tour) * self._frames_per_patch

    def frame(self, i: int) -> np.ndarray:
        """Return frame `i`, uint8 RGB (height, width, 3), owned by the caller."""
        image = _look(self._world.rgb, self._view(i), self._size, cv2.INTER_LINEAR)
        return cv2.add(image, self._noise_of(i), dtype=cv2.CV_8U)

    def truth(self, i: int) -> int | None:
        """Return the class id that fills the centre square of frame `i`.

        None if no class fills `CLEAR_SHARE` of it, as at a border of two patches.
        """
        shorter = min(self._size)
        step = shorter / _TRUTH_SAMPLES
        corner = [(edge - shorter) / 2 + step / 2 for edge in self._size]
        to_frame = np.array([[step, 0, corner[0]], [0, step, corner[1]], [0, 0, 1]])
        ids = _look(self._world.class_ids, self._view(i) @ to_frame, (_TRUTH_SAMPLES,) * 2,
                    cv2.INTER_NEAREST)
        return clear_majority(ids)

    def _view(self, i: int) -> np.ndarray:
        """Return the 2x3 matrix that takes a pixel of frame `i` to its place on the map."""
        i %= len(self)
        (x, y), (dx, dy) = closed_spline(self._world.tour, i / self._frames_per_patch)
        climb = 1 + _CLIMB * sin(3 * tau * i / len(self))
        scale = SPAN_M * climb * PX_PER_M / min(self._size)
        heading = atan2(dy, dx) + tau / 4  # the upper image edge points along the flight
        c, s = scale * cos(heading), scale * sin(heading)
        mx, my = ((edge - 1) / 2 for edge in self._size)
        return np.array([[c, -s, x - c * mx + s * my], [s, c, y - s * mx - c * my]])

    def _noise_of(self, i: int) -> np.ndarray:
        """Return the sensor noise of frame `i`: a window of one large sheet."""
        left, top = np.random.default_rng(i % len(self)).integers(_NOISE_SHIFT, size=2)
        width, height = self._size
        return self._noise[top:top + height, left:left + width]


def clear_majority(ids: np.ndarray) -> int | None:
    """Return the id that fills at least `CLEAR_SHARE` of `ids`, or None."""
    counts = np.bincount(ids.ravel())
    return int(counts.argmax()) if counts.max() >= CLEAR_SHARE * ids.size else None


def closed_spline(points: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Return place and direction at `t` (points passed) on a closed Catmull-Rom spline."""
    k = floor(t)
    a, b, c, d = (points[(k + j) % len(points)] for j in (-1, 0, 1, 2))
    w = t - k
    c1, c2, c3 = (c - a) / 2, a - 2.5 * b + 2 * c - d / 2, (d - a + 3 * (b - c)) / 2
    return b + w * (c1 + w * (c2 + w * c3)), c1 + w * (2 * c2 + w * 3 * c3)


def _look(image: np.ndarray, view: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    return cv2.warpAffine(image, view, size, flags=how | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REFLECT_101)
