from typing import Any

import numpy as np
import pytest

from offload_perception.errors import ConfigError
from offload_perception.terrain import generated_flight as flight_module
from offload_perception.terrain import terrain_map as world_module
from offload_perception.terrain.crops import flight_crops
from offload_perception.terrain.generated_flight import (
    GeneratedFlight,
    clear_majority,
    closed_spline,
)
from offload_perception.terrain.painters import CLASSES
from offload_perception.terrain.terrain_map import World


@pytest.fixture(scope='module')
def flight() -> GeneratedFlight:
    return GeneratedFlight(seed=1)


def two_halves(rng: Any) -> Any:
    """Return a map that is class 0 on the left and class 1 on the right, in plain colours."""
    ids = np.zeros((2000, 2000), np.uint8)
    ids[:, 1000:] = 1
    rgb = np.stack([50 + 150 * ids] * 3, -1)
    return World(rgb, ids, np.array([(500.0, 500), (500, 1500), (1500, 1500), (1500, 500)]))


@pytest.fixture
def small_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make maps of four patches, for tests in which a map is made again."""
    monkeypatch.setattr(world_module, 'GRID', 2)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> GeneratedFlight:
    monkeypatch.setattr(flight_module, 'build_world', two_halves)
    return GeneratedFlight(width=160, height=120, frames_per_patch=10)


def test_frame_shape_and_type(flight: GeneratedFlight) -> None:
    assert flight.frame(0).shape == (480, 640, 3) and flight.frame(0).dtype == np.uint8


def test_frames_depend_on_seed_and_number_alone(small_maps: None) -> None:
    flight, again = GeneratedFlight(seed=1), GeneratedFlight(seed=1)
    assert np.array_equal(again.frame(77), flight.frame(77))
    assert again.truth(77) == flight.truth(77)
    assert not np.array_equal(GeneratedFlight(seed=2).frame(77), flight.frame(77))


def test_splits_fly_over_different_maps(small_maps: None) -> None:
    train, test = (GeneratedFlight(seed=1, split=split).frame(0) for split in ('train', 'test'))
    assert not np.array_equal(train, test)


def test_the_loop_closes(flight: GeneratedFlight) -> None:
    count = len(flight)
    assert np.array_equal(flight.frame(0), flight.frame(count))
    assert np.array_equal(flight.frame(-1), flight.frame(count - 1))
    ends, steps = (np.abs(flight._view(a) - flight._view(b)).max()
                   for a, b in ((count - 1, 0), (10, 11)))
    assert ends < 5 * steps + 1


def test_a_frame_is_the_callers_own(flight: GeneratedFlight) -> None:
    flight.frame(5)[:] = 0
    assert flight.frame(5).any()


def test_the_flight_crosses_every_class(flight: GeneratedFlight) -> None:
    seen = {flight.truth(i) for i in range(0, len(flight), 30)}
    assert set(range(len(CLASSES))) <= seen


def test_truth_and_picture_belong_together(plain: GeneratedFlight) -> None:
    truths = [plain.truth(i) for i in range(len(plain))]
    assert {0, 1} <= set(truths)
    for i, truth in enumerate(truths):
        if truth is not None:
            bright = plain.frame(i)[:, 20:140] > 125  # the centre square of 160x120
            assert bright.mean() == pytest.approx(truth, abs=0.31)


def test_a_border_has_no_truth(plain: GeneratedFlight) -> None:
    assert plain.truth(15) is None  # half way from the left half to the right
    assert plain.truth(0) == 0 and plain.truth(20) == 1


@pytest.mark.parametrize(('share', 'found'), [(0.69, None), (0.7, 3), (1.0, 3)])
def test_clear_majority(share: float, found: int | None) -> None:
    ids = np.full(100, 5, np.uint8)
    ids[:round(100 * share)] = 3
    assert clear_majority(ids) == found


def test_spline_passes_its_points_and_turns_without_a_kink() -> None:
    points = np.array([(0.0, 0), (4, 0), (4, 4), (0, 4)])
    assert np.allclose([closed_spline(points, k)[0] for k in range(4)], points)
    before, after = (closed_spline(points, 2 + e)[1] for e in (-1e-6, 1e-6))
    assert np.allclose(before, after, atol=1e-4)


def test_a_world_has_every_class_and_its_tour_stays_inside(flight: GeneratedFlight) -> None:
    world = flight._world
    assert set(np.unique(world.class_ids)) == set(range(len(CLASSES)))
    assert (world.tour > 0).all() and (world.tour < len(world.rgb)).all()


def test_crops_are_labelled_by_the_truth(small_maps: None) -> None:
    images, labels = flight_crops('val', 12, range(1), size=32)
    assert images.shape[1:] == (32, 32, 3) and len(images) == len(labels) > 4


@pytest.mark.parametrize('change', [{'width': 0}, {'frames_per_patch': 0}, {'split': 'x'},
                                    {'seed': -1}])
def test_nonsense_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match='use'):
        GeneratedFlight(**change)
