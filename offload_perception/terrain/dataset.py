"""The data set of the bundled model: tiles, and crops of flights as a drone sees them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np

from offload_perception.terrain.crops import flight_crops
from offload_perception.terrain.tiles import tiles

TILES_PER_PART, FRAMES_PER_FLIGHT = 500, 240
PARTS = {'train': (24, 24), 'val': (2, 3), 'test': (4, 6)}  # parts of tiles, flights
Labelled = tuple[np.ndarray, np.ndarray]


def dataset(split: str, size: int = 64, workers: int = 2,
            progress: Callable[[str], None] = lambda text: None) -> Labelled:
    """Return a split: images, uint8 RGB (N, size, size, 3), and class ids, int64 (N,).

    `train` has about 16 000 images, `val` 1500, `test` 3100; a third are crops of flights. The
    drawing is shared among `workers` processes, which does not change the result.
    """
    images, labels = zip(*_drawn(split, size, workers, progress), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _drawn(split: str, size: int, workers: int,
           progress: Callable[[str], None]) -> Iterator[Labelled]:
    tile_parts, flights = PARTS[split]
    jobs = [partial(tiles, split, TILES_PER_PART, seed, size) for seed in range(tile_parts)]
    jobs += [partial(flight_crops, split, FRAMES_PER_FLIGHT, range(seed, seed + 1), size)
             for seed in range(flights)]
    with ProcessPoolExecutor(workers, get_context('spawn'), _one_thread) as pool:
        for done, part in enumerate(pool.map(_run, jobs), 1):
            progress(f'drawing {split}: {done} of {len(jobs)} parts')
            yield part


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _run(job: Callable[[], Labelled]) -> Labelled:
    return job()
