from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.power.um_frames import reading

from offload_perception.errors import ConfigError
from offload_perception.power.drivers.um25c import Accumulator, Reading
from offload_perception.power.energy.counter import (
    EnergyCounter,
    check_against_counters,
)


@given(st.floats(0.0, 5.0), st.floats(-0.5, 0.5),
       st.lists(st.floats(0.01, 0.9), min_size=1, max_size=50))
def test_a_linear_ramp_is_integrated_exactly(start_a: float, slope: float,
                                             steps_s: list[float]) -> None:
    counter, t_s = EnergyCounter(max_gap_s=1.0), 0.0
    counter.add(0.0, 2.0, start_a)
    for step_s in steps_s:
        t_s += step_s
        counter.add(t_s, 2.0, start_a + slope * t_s)
    charge_c = start_a * t_s + slope * t_s ** 2 / 2
    assert counter.charge_c == pytest.approx(charge_c, abs=1e-6)
    assert counter.energy_j == pytest.approx(2.0 * charge_c, abs=1e-6)
    assert counter.covered_s == pytest.approx(t_s)


def test_a_gap_adds_nothing_and_is_reported() -> None:
    counter = EnergyCounter(max_gap_s=1.0)
    for t_s in (0.0, 1.0, 5.0, 6.0):
        counter.add(t_s, 5.0, 1.0)
    assert (counter.energy_j, counter.covered_s, counter.gap_s) == (10.0, 2.0, 4.0)


def test_time_that_stands_still_is_ignored_and_counted() -> None:
    counter = EnergyCounter(max_gap_s=1.0)
    for t_s in (0.0, 1.0, 1.0, 0.5, 2.0):
        counter.add(t_s, 5.0, 1.0)
    assert (counter.energy_j, counter.ignored) == (10.0, 2)


def test_gap_limit_must_be_positive() -> None:
    with pytest.raises(ConfigError, match='max_gap_s'):
        EnergyCounter(0.0)


def counted(energy_mwh: int, **changes: Any) -> Reading:
    return reading(groups=(Accumulator(0, energy_mwh),) * 10, **changes)


def test_integral_against_the_meters_own_counter() -> None:
    check = check_against_counters(360.0, counted(50), counted(149))
    assert check.counted_j == pytest.approx(99 * 3.6)
    assert check.difference_j == pytest.approx(3.6)
    assert check.agrees()
    assert not check_against_counters(400.0, counted(50), counted(149)).agrees()


def test_a_group_that_is_not_known_says_nothing() -> None:
    known, unknown = reading(), reading(data_group=None)
    assert check_against_counters(5.0, known, unknown) is None
    assert check_against_counters(5.0, unknown, unknown) is None


def test_counter_that_was_cleared_or_left_says_nothing() -> None:
    assert check_against_counters(1.0, counted(50), counted(0)) is None
    assert check_against_counters(1.0, counted(50), counted(60, data_group=1)) is None
