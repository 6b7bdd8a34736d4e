from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import PlanError
from offload_perception.simulation.fleet import fly
from offload_perception.simulation.links import (
    MODELS,
    STEP_S,
    LinkTrace,
    make_link,
)
from offload_perception.simulation.scenario import (
    Scenario,
    Summary,
    build,
    every_static,
    policies,
    simulate,
)

FAST = Scenario(speed=10.0, rate_hz=4.0, deadline_s=0.4, bandwidth=60e3, duration_s=20.0,
                server_macs_per_s=100e9, link='steady')


def flown(scenario: Scenario, *names: str) -> list[Summary]:
    known = policies(scenario)
    return [simulate(scenario, known[name], name) for name in names]


@given(st.lists(st.floats(1e3, 1e6), min_size=1, max_size=50), st.floats(0, 10),
       st.floats(1, 1e6))
def test_link_carries_what_its_bandwidth_allows(values: list[float], start_s: float,
                                                nbytes: float) -> None:
    link = LinkTrace(np.array(values), 0.01)
    end_s = float(link.finish_s(start_s, nbytes))
    steps = np.arange(0.0, end_s, STEP_S / 100)
    at = np.minimum((steps / STEP_S).astype(int), len(values) - 1)
    carried = np.where(steps >= start_s, np.array(values)[at], 0.0).sum() * STEP_S / 100
    assert carried == pytest.approx(nbytes, rel=0.05, abs=2 * max(values) * STEP_S / 100)


@pytest.mark.parametrize('model', MODELS)
def test_models_are_seeded(model: str) -> None:
    def values(seed: Any) -> Any:
        return make_link(model, bandwidth=1e5, round_trip_s=0.01, duration_s=60,
                         seed=seed).bandwidth

    np.testing.assert_array_equal(values(1), values(1))
    assert not np.array_equal(values(1), values(2))


def test_unknown_link_lists_the_known_ones() -> None:
    with pytest.raises(PlanError, match='wifi'):
        make_link('laser', bandwidth=1, round_trip_s=0.01, duration_s=2, seed=0)


@pytest.mark.parametrize('field', ['bandwidth', 'rate_hz', 'deadline_s', 'drones', 'speed'])
def test_absurd_scenario_is_named(field: str) -> None:
    absurd: dict[str, Any] = {field: 0}
    with pytest.raises(PlanError, match=field):
        replace(FAST, **absurd)


def test_every_frame_ends_once_and_same_seeds_give_the_same() -> None:
    scenario = replace(FAST, drones=3, link='wifi')
    world, links = build(scenario)
    for policy in policies(scenario).values():
        drones = fly(world, links, policy, duration_s=20, rate_hz=4, deadline_s=0.4)
        arrivals = [r.arrival_s for d in drones for r in d.records]
        assert len(arrivals) == len(set(arrivals)) == 3 * 80
    assert flown(scenario, 'ours') == flown(scenario, 'ours')


def test_on_board_takes_what_the_profile_says() -> None:
    (board,) = flown(FAST, 'all on board')
    world, _ = build(FAST)
    assert board.energy_j == pytest.approx(world.profile.head_j[-1], rel=0.02)
    assert board.latency_s == pytest.approx(world.profile.head_s[-1], rel=0.05)


def test_no_static_choice_beats_the_oracle_at_equal_misses() -> None:
    scenario = replace(FAST, link='wifi', duration_s=10.0)
    world, _ = build(scenario)
    (oracle,) = flown(scenario, 'oracle')
    for name, policy in every_static(world).items():
        static = simulate(scenario, policy, name)
        assert static.met < oracle.met or static.energy_j >= 0.999 * oracle.energy_j


def test_ours_is_near_the_oracle_on_a_steady_link() -> None:
    ours, oracle = flown(replace(FAST, duration_s=60.0), 'ours', 'oracle')
    assert ours.energy_j <= 1.03 * oracle.energy_j
    assert ours.met >= oracle.met - 0.01


def test_ours_moves_with_a_collapsing_link() -> None:
    scenario = replace(FAST, link='collapse', duration_s=60.0)
    ours, jpeg, board = flown(scenario, 'ours', 'send JPEG', 'all on board')
    assert ours.met > jpeg.met
    assert ours.energy_j < 0.9 * board.energy_j
    assert len(ours.choices) > 1


def test_throttled_device_is_slower() -> None:
    (hot,), (cool,) = (flown(replace(FAST, throttled=on), 'all on board') for on in (True, False))
    assert hot.latency_s > 1.2 * cool.latency_s


def test_crowded_server_slows_those_who_use_it() -> None:
    few, many = (flown(replace(FAST, drones=n, server_macs_per_s=20e9), 'send JPEG')[0]
                 for n in (1, 20))
    assert many.met < few.met


def test_network_that_does_not_fit_is_counted_as_lost() -> None:
    scenario = Scenario(profile='raspberry_pi_3b_plus', duration_s=20.0)
    (board,) = flown(scenario, 'all on board')
    assert board.lost == 1.0 and board.met == 0.0 and board.energy_j < inf
