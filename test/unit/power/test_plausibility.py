import pytest
from hypothesis import given
from hypothesis import strategies as st
from um_frames import UM34C_CAPTURE, UM34C_WITHOUT_TAIL, reading

from offload_perception.power.plausibility import Guard, Refusal, implausible
from offload_perception.power.um25c import UM34C, Accumulator, decode


def with_counters(energy_mwh, **changes):
    return reading(groups=(Accumulator(0, energy_mwh),) * 10, **changes)


@pytest.mark.parametrize(('changes', 'refusal'), [
    ({}, None),
    ({'voltage_v': 26.1}, Refusal.VOLTAGE),
    ({'current_a': 5.3}, Refusal.CURRENT),
    ({'power_w': 2.1}, Refusal.POWER),
    ({'power_w': 2.03}, None),
    ({'power_w': 0.0}, Refusal.POWER),
    ({'temperature_f': 81}, Refusal.TEMPERATURE),
    ({'temperature_c': 200, 'temperature_f': 392}, Refusal.TEMPERATURE),
    ({'d_plus_v': 33.0}, Refusal.DATA_LINES),
    ({'data_group': 10}, Refusal.SETTINGS),
    ({'backlight': 6}, Refusal.SETTINGS),
    ({'screen_timeout_min': 10}, Refusal.SETTINGS),
    ({'record_threshold_a': 0.31}, Refusal.SETTINGS),
])
def test_one_reading(changes, refusal):
    assert implausible(reading(**changes)) is refusal


@pytest.mark.parametrize('frame', [UM34C_CAPTURE, UM34C_WITHOUT_TAIL + b'\0\0'])
def test_published_readings_are_plausible(frame):
    assert implausible(decode(frame)) is None


@given(st.floats(4.0, 24.0), st.floats(0.0, 5.0))
def test_truncated_products_are_never_refused(voltage_v, current_a):
    """The meter truncates each word to its own resolution."""
    power_w = int(voltage_v * current_a * 1000) / 1000
    shown = reading(voltage_v=int(voltage_v * 1000) / 1000,
                    current_a=int(current_a * 10000) / 10000, power_w=power_w)
    assert implausible(shown) is None


def test_counter_that_runs_backwards_once_is_refused():
    guard = Guard()
    assert guard.check(with_counters(50), True) is None
    assert guard.check(with_counters(3), True) is Refusal.COUNTERS
    assert guard.check(with_counters(51), True) is None
    assert guard.counter_resets == 0


def test_charge_counter_is_watched_too():
    guard = Guard()
    guard.check(reading(recorded=Accumulator(7, 37)), True)
    assert guard.check(reading(recorded=Accumulator(6, 37)), True) is Refusal.COUNTERS


def test_counters_cleared_at_the_meter_are_believed_at_the_second_reading():
    guard = Guard()
    assert guard.check(with_counters(50), True) is None
    assert guard.check(with_counters(0), True) is Refusal.COUNTERS
    assert guard.check(with_counters(1), True) is None
    assert guard.counter_resets == 1


def test_counters_may_start_anywhere_after_forget():
    guard = Guard()
    guard.check(with_counters(50), True)
    guard.forget()
    assert guard.check(with_counters(0), True) is None


def test_refused_reading_does_not_become_the_measure():
    guard = Guard()
    guard.check(with_counters(50), True)
    assert guard.check(with_counters(9999, voltage_v=60.0), True) is Refusal.VOLTAGE
    assert guard.check(with_counters(51), True) is None


def test_wrong_tail():
    lenient, strict = Guard(), Guard(strict_tail=True)
    assert lenient.check(reading(), False) is None
    assert lenient.tail_warnings == 1
    assert strict.check(reading(), False) is Refusal.TAIL
    assert lenient.check(reading(UM34C), False) is Refusal.TAIL
