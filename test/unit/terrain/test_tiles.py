import hashlib
from typing import Any

import numpy as np
import pytest

from offload_perception.errors import ConfigError
from offload_perception.terrain.painters import CLASSES
from offload_perception.terrain.seeds import SPLITS
from offload_perception.terrain.tiles import tiles


def digests(images: np.ndarray) -> set[str]:
    return {hashlib.sha256(image).hexdigest() for image in images}


def test_same_arguments_same_tiles() -> None:
    first, second = tiles('train', 20, seed=3), tiles('train', 20, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_longer_run_starts_with_the_shorter() -> None:
    assert np.array_equal(tiles('val', 12)[0][:4], tiles('val', 4)[0])


def test_splits_and_seeds_share_no_tile() -> None:
    sets = [digests(tiles(split, 20, seed)[0]) for split in SPLITS for seed in (0, 1)]
    assert len(set.union(*sets)) == 20 * len(sets)


def test_classes_are_balanced() -> None:
    _, labels = tiles('test', 5 * len(CLASSES), size=16)
    assert (np.bincount(labels) == 5).all() and labels.dtype == np.int64


@pytest.mark.parametrize('size', [8, 33, 64, 96])
def test_shape_and_type(size: int) -> None:
    images, labels = tiles('train', 11, size=size)
    assert images.shape == (11, size, size, 3) and images.dtype == np.uint8
    assert labels.shape == (11,)


def test_no_tiles_is_an_empty_set() -> None:
    assert tiles('train', 0, size=32)[0].shape == (0, 32, 32, 3)


def test_tiles_of_a_class_differ() -> None:
    images, labels = tiles('train', 6 * len(CLASSES))
    for label in range(len(CLASSES)):
        means = images[labels == label].reshape(6, -1, 3).mean(1)
        assert means.std(0).max() > 5


@pytest.mark.parametrize('arguments', [('holdout', 1), ('train', -1), ('train', 1, 0, 4),
                                       ('train', 1, -1)])
def test_nonsense_is_named(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match='use'):
        tiles(*arguments)
