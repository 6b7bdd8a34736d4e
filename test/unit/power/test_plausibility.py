from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.power.um_frames import UM34C_CAPTURE, UM34C_WITHOUT_TAIL, reading

from offload_perception.power.drivers.plausibility import (
    Guard,
    Refusal,
    implausible,
    without_impossible,
)
from offload_perception.power.drivers.um25c import UM34C, Accumulator, Reading, decode


def with_counters(energy_mwh: int, **changes: Any) -> Reading:
    return reading(groups=(Accumulator(0, energy_mwh),) * 10, **changes)


@pytest.mark.parametrize(('changes', 'refusal'), [
    ({}, None),
    ({'voltage_v': 26.1}, Refusal.VOLTAGE),
    ({'current_a': 5.3}, Refusal.CURRENT),
    ({'power_w': 2.1}, Refusal.POWER),
    ({'power_w': 2.03}, None),
    ({'power_w': 0.0}, Refusal.POWER),
])
def test_one_reading(changes: dict[str, Any], refusal: Refusal | None) -> None:
    assert implausible(reading(**changes)) is refusal


BOTH_TEMPERATURES = {'temperature_c', 'temperature_f'}


@pytest.mark.parametrize(('changes', 'unknown'), [
    ({}, set()),
    ({'temperature_c': -10, 'temperature_f': 14}, set()),
    ({'temperature_c': -5, 'temperature_f': 23}, set()),
    ({'temperature_c': 5, 'temperature_f': 23}, BOTH_TEMPERATURES),  # other ways to send -5 deg C
    ({'temperature_c': 0, 'temperature_f': 23}, BOTH_TEMPERATURES),
    ({'temperature_c': 251, 'temperature_f': 23}, BOTH_TEMPERATURES),
    ({'temperature_c': 0, 'temperature_f': 0}, BOTH_TEMPERATURES),
    ({'temperature_f': 81}, BOTH_TEMPERATURES),
    ({'temperature_c': 200, 'temperature_f': 392}, BOTH_TEMPERATURES),
    ({'temperature_c': -40, 'temperature_f': -40}, BOTH_TEMPERATURES),
    ({'d_plus_v': 33.0}, {'d_plus_v'}),
    ({'d_minus_v': 33.0}, {'d_minus_v'}),
    ({'data_group': 10}, {'data_group'}),
    ({'backlight': 6}, {'backlight'}),
    ({'screen_timeout_min': 10}, {'screen_timeout_min'}),
    ({'record_threshold_a': 0.31}, {'record_threshold_a'}),
    ({'resistance_ohm': 4e8}, {'resistance_ohm'}),
])
def test_a_field_that_cannot_be_is_not_known_and_the_power_stays(
        changes: dict[str, Any], unknown: set[str]) -> None:
    sent = reading(**changes)
    assert implausible(sent) is None
    known = without_impossible(sent)
    assert set(known.unknown) == unknown
    assert (known.voltage_v, known.current_a, known.power_w) == (5.0, 0.4, 2.0)
    assert (known.selected is None) == ('data_group' in unknown)


def test_a_field_that_is_unknown_already_stays_unknown() -> None:
    unknown = without_impossible(reading(temperature_f=81, backlight=6))
    assert without_impossible(unknown) == unknown


@pytest.mark.parametrize('frame', [UM34C_CAPTURE, UM34C_WITHOUT_TAIL + b'\0\0'])
def test_published_readings_are_plausible(frame: bytes) -> None:
    assert implausible(decode(frame)) is None


@given(st.floats(4.0, 24.0), st.floats(0.0, 5.0))
def test_truncated_products_are_never_refused(voltage_v: float, current_a: float) -> None:
    """The meter truncates each word to its own resolution."""
    power_w = int(voltage_v * current_a * 1000) / 1000
    shown = reading(voltage_v=int(voltage_v * 1000) / 1000,
                    current_a=int(current_a * 10000) / 10000, power_w=power_w)
    assert implausible(shown) is None


def test_counter_that_runs_backwards_once_is_refused() -> None:
    guard = Guard()
    assert guard.check(with_counters(50), True) is None
    assert guard.check(with_counters(3), True) is Refusal.COUNTERS
    assert guard.check(with_counters(51), True) is None
    assert guard.counter_resets == 0


def test_charge_counter_is_watched_too() -> None:
    guard = Guard()
    guard.check(reading(recorded=Accumulator(7, 37)), True)
    assert guard.check(reading(recorded=Accumulator(6, 37)), True) is Refusal.COUNTERS


def test_counters_cleared_at_the_meter_are_believed_at_the_second_reading() -> None:
    guard = Guard()
    assert guard.check(with_counters(50), True) is None
    assert guard.check(with_counters(0), True) is Refusal.COUNTERS
    assert guard.check(with_counters(1), True) is None
    assert guard.counter_resets == 1


def test_counters_may_start_anywhere_after_forget() -> None:
    guard = Guard()
    guard.check(with_counters(50), True)
    guard.forget()
    assert guard.check(with_counters(0), True) is None


def test_refused_reading_does_not_become_the_measure() -> None:
    guard = Guard()
    guard.check(with_counters(50), True)
    assert guard.check(with_counters(9999, voltage_v=60.0), True) is Refusal.VOLTAGE
    assert guard.check(with_counters(51), True) is None


def test_wrong_tail() -> None:
    lenient, strict = Guard(), Guard(strict_tail=True)
    assert lenient.check(reading(), False) is None
    assert lenient.tail_warnings == 1
    assert strict.check(reading(), False) is Refusal.TAIL
    assert lenient.check(reading(UM34C), False) is Refusal.TAIL
