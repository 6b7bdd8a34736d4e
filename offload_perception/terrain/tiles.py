"""Labelled tiles of generated terrain, to train and to measure a classifier with."""

import cv2
import numpy as np

from offload_perception.errors import ConfigError
from offload_perception.terrain.camera import expose
from offload_perception.terrain.ground import Ground
from offload_perception.terrain.painters import CLASSES, PAINTERS
from offload_perception.terrain.seeds import stream

SPAN_M = (70.0, 150.0)  # edge of the ground that a tile shows
_OVERSAMPLING = 2


def tiles(split: str, count: int, seed: int = 0, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` tiles, uint8 RGB (count, size, size, 3), and class ids, int64 (count,).

    Classes follow each other in turn, so that they are balanced. Tile `i` depends on `split`,
    `seed` and `i` alone; no two splits share a random stream.

    :raises ConfigError: if the split is unknown, or a number makes no sense.
    """
    if count < 0 or size < 8:
        raise ConfigError(f'{count} tiles of {size} px: use a count >= 0 and a size >= 8')
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    images = np.empty((count, size, size, 3), np.uint8)
    for i, label in enumerate(labels):
        images[i] = tile(CLASSES[label], stream('tile', split, seed, i), size)
    return images, labels


def tile(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """Return one tile of class `name`, uint8 RGB (size, size, 3)."""
    fine = size * _OVERSAMPLING
    ground = Ground(rng, fine, fine, px_per_m=fine / rng.uniform(*SPAN_M))
    PAINTERS[name](ground)
    return expose(cv2.resize(ground.rgb, (size, size), interpolation=cv2.INTER_AREA), rng)
