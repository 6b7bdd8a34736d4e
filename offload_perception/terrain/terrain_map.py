"""A map of generated terrain: patches of all classes side by side, to fly over."""

from dataclasses import dataclass

import cv2
import numpy as np

from offload_perception.terrain.ground import Ground
from offload_perception.terrain.painters import CLASSES, PAINTERS

PX_PER_M = 3.2
PATCH_M = 160.0  # typical edge of a patch
GRID = 4  # patches a side; even, so that a closed tour visits each once
_MARGIN_M = 40.0
_TRACK_M = 2.5
_ROWS = 16  # that are worked on at a time: they stay in the processor's cache


@dataclass(frozen=True)
class World:
    """The map and what it shows.

    `rgb` is uint8 (S, S, 3) at `PX_PER_M`; `class_ids` is uint8 (S, S), the true class of every
    point; `tour` holds one point in each patch, float (N, 2), x and y in pixels of the map, in
    the order of a round trip.
    """

    rgb: np.ndarray
    class_ids: np.ndarray
    tour: np.ndarray


def build_world(rng: np.random.Generator) -> World:
    """Return a new map; every class has at least one patch."""
    tour = _tour(rng)
    patches = _nearest(tour, round((GRID * PATCH_M + 2 * _MARGIN_M) * PX_PER_M), rng)
    names = _classes_along(len(tour), rng)
    sun = rng.uniform(0, 2 * np.pi)
    rgb = np.zeros((*patches.shape, 3), np.uint8)
    for number, name in enumerate(names):
        _paint(rgb, patches == number, name, rng, sun)
    _draw_borders(rgb, patches)
    ids = np.array([CLASSES.index(name) for name in names], np.uint8)
    return World(cv2.LUT(rgb, weather(rng)), ids[patches], tour)


def weather(rng: np.random.Generator) -> np.ndarray:
    """Return a table (256, 1, 3) from true to seen colours: exposure, white balance, haze."""
    gain = rng.uniform(0.8, 1.15) * (1 + rng.normal(0, 0.03, 3))
    haze = rng.uniform(0, 0.2)
    seen = np.arange(256.0)[:, None] * gain * (1 - haze) + haze * np.array((190, 200, 212))
    return np.clip(seen, 0, 255).astype(np.uint8)[:, None]


def _tour(rng: np.random.Generator) -> np.ndarray:
    """Return the middle of each patch, in the order of a closed tour over the grid."""
    cells = [(column, 0) for column in range(GRID)]
    for row in range(1, GRID):
        columns = range(1, GRID)
        cells += [(c, row) for c in (columns if row % 2 == 0 else reversed(columns))]
    cells += [(0, row) for row in range(GRID - 1, 0, -1)]
    middles = np.array(cells) + 0.5 + rng.uniform(-0.15, 0.15, (len(cells), 2))
    return (middles * PATCH_M + _MARGIN_M) * PX_PER_M


def _nearest(points: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return the index of the nearest point for each pixel: patches with bent borders."""
    bend = [10 * PX_PER_M * cv2.resize(rng.standard_normal((12, 12), np.float32), (size, size),
                                       interpolation=cv2.INTER_CUBIC) for _ in 'xy']
    x = np.arange(size, dtype=np.float32)[None, :] + bend[0]
    y = np.arange(size, dtype=np.float32)[:, None] + bend[1]
    index = np.zeros((size, size), np.uint8)
    for top in range(0, size, _ROWS):
        rows = np.s_[top:top + _ROWS]
        _put_nearest(index[rows], points.astype(np.float32), x[rows], y[rows])
    return index


def _put_nearest(index: np.ndarray, points: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Put the number of the point that is nearest to each place `x`, `y` into `index`."""
    best = np.full(x.shape, np.inf, np.float32)
    for number, (px, py) in enumerate(points):
        distance = (x - px) ** 2 + (y - py) ** 2
        np.copyto(index, number, where=distance < best)
        np.minimum(best, distance, out=best)


def _classes_along(count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` class names: all of them in random order, then again, never twice running."""
    names = list(rng.permutation(CLASSES))
    while len(names) < count:
        more = list(rng.permutation(CLASSES))
        names += more if more[0] != names[-1] else more[1:]
    return names[:count]


def _paint(rgb: np.ndarray, where: np.ndarray, name: str, rng: np.random.Generator,
           sun_rad: float) -> None:
    """Paint terrain of class `name` into `rgb` where the mask says."""
    x, y, width, height = cv2.boundingRect(where.astype(np.uint8))
    ground = Ground(rng, height, width, PX_PER_M, sun_rad)
    PAINTERS[name](ground)
    window = np.s_[y:y + height, x:x + width]
    np.copyto(rgb[window], ground.rgb, where=where[window][..., None])


def _draw_borders(rgb: np.ndarray, patches: np.ndarray) -> None:
    """Draw a farm track where two patches meet."""
    kernel = np.ones((round(_TRACK_M * PX_PER_M),) * 2, np.uint8)
    rgb[cv2.morphologyEx(patches, cv2.MORPH_GRADIENT, kernel) > 0] = (142, 126, 100)
