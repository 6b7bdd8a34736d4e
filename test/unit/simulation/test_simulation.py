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
    OURS,
    Scenario,
    Summary,
    build,
    measured,
    policies,
    simulate,
    statics,
)

FAST = Scenario(speed=3.0, rate_hz=4.0, deadline_s=0.5, bandwidth=30e3, duration_s=20.0,
                server_macs_per_s=100e9, link='steady')
IMAGE = 'input jpeg:90'


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


@pytest.mark.parametrize(('changes', 'says'), [({'model': 'vgg16'}, 'measure_codecs'),
                                               ({'radio': 'laser'}, 'wifi, lte, none')])
def test_what_was_never_measured_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        build(replace(FAST, **changes))


@pytest.mark.parametrize('model', ['aerial', 'aerial_split'])
def test_sizes_and_agreements_are_those_that_were_measured(model: str) -> None:
    shape, sizes = measured(model)
    world, _ = build(replace(FAST, model=model, agreement_floor=0.95))
    assert world.shape == shape and len(world.pairs) > 10
    assert all(sizes.column(*pair)[4] >= 0.95 for pair in world.pairs)
    learned = 'latent' if model == 'aerial_split' else 'transform'
    assert any(codec.startswith(learned) for _, codec in world.pairs)


def test_every_frame_ends_once_and_same_seeds_give_the_same() -> None:
    scenario = replace(FAST, drones=3, link='wifi')
    world, links = build(scenario)
    for policy in policies(scenario).values():
        drones = fly(world, links, policy, duration_s=20, rate_hz=4, deadline_s=0.5)
        arrivals = [r.arrival_s for d in drones for r in d.records]
        assert len(arrivals) == len(set(arrivals)) == 3 * 80
    assert flown(scenario, OURS) == flown(scenario, OURS)


def test_on_board_takes_what_the_profile_says() -> None:
    (board,) = flown(FAST, 'all on board')
    world, _ = build(FAST)
    assert board.energy_j == pytest.approx(world.profile.head_j[-1], rel=0.02)
    assert board.latency_s == pytest.approx(world.profile.head_s[-1], rel=0.05)


def test_no_static_choice_beats_the_clairvoyant_one_at_equal_misses() -> None:
    scenario = replace(FAST, link='wifi', duration_s=10.0)
    world, _ = build(scenario)
    (best,) = flown(scenario, 'clairvoyant')
    for name, policy in statics(world).items():
        static = simulate(scenario, policy, name)
        assert static.met < best.met or static.energy_j >= 0.97 * best.energy_j, name


def test_every_rival_finishes_its_frames_on_board_in_time() -> None:
    """The link stops for good after a second; each policy that sends hedges."""
    scenario = replace(FAST, link='steady', duration_s=10.0)
    world, (link,) = build(scenario)
    dead = LinkTrace(np.append(link.bandwidth[:10], 0.0), link.round_trip_s)
    for name, policy in policies(scenario).items():
        drone, = fly(world, [dead], policy, duration_s=10.0, rate_hz=4, deadline_s=0.5)
        met = sum(r.met for r in drone.records) / len(drone.records)
        assert met > 0.75, name


def test_ours_is_near_the_clairvoyant_on_a_steady_link() -> None:
    ours, best = flown(replace(FAST, duration_s=60.0), OURS, 'clairvoyant')
    assert ours.energy_j <= 1.03 * best.energy_j
    assert ours.met >= best.met - 0.01


def test_ours_moves_with_a_collapsing_link() -> None:
    scenario = replace(FAST, link='collapse', duration_s=120.0)
    ours, image, board = flown(scenario, OURS, IMAGE, 'all on board')
    assert ours.energy_j < 1.02 * board.energy_j < image.energy_j
    assert ours.met > 0.98 and len(ours.choices) > 1


def test_throttled_device_is_slower() -> None:
    (hot,), (cool,) = (flown(replace(FAST, throttled=on), 'all on board') for on in (True, False))
    assert hot.latency_s > 1.2 * cool.latency_s


def test_crowded_server_slows_those_who_use_it() -> None:
    few, many = (flown(replace(FAST, drones=n, server_macs_per_s=1e9), IMAGE)[0] for n in (1, 20))
    assert many.latency_s > 1.2 * few.latency_s


def test_a_radio_s_tail_is_drawn_once_for_frames_that_follow_each_other() -> None:
    lte, wifi, none = (flown(replace(FAST, radio=radio), IMAGE)[0].energy_j
                       for radio in ('lte', 'wifi', 'none'))
    assert none < 0.01 < wifi < lte
    on_s = FAST.duration_s + 11.6  # all the time, and after the last one
    assert 1.06 * on_s / 80 < lte < 1.06 * on_s / 80 + 0.12


def test_network_that_does_not_fit_is_counted_as_lost() -> None:
    """The published profile of the Pi alone does not hold its own network's last layers."""
    scenario = replace(FAST, duration_s=20.0)
    world, links = build(scenario)
    cuts = (*world.profile.cuts[:-1], replace(world.profile.cuts[-1], fits=False))
    small = replace(world, profile=replace(world.profile, cuts=cuts))
    drone, = fly(small, links, policies(scenario)['all on board'], duration_s=20, rate_hz=4,
                 deadline_s=0.5)
    assert all(r.latency_s == inf and not r.met and r.energy_j == 0.0 for r in drone.records)
