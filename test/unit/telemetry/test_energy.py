"""Joules a frame: numerator and denominator cover the same span, and gaps are left out."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offload_perception.telemetry.energy import FrameEnergy, FrameEnergyCounter


def fly(powers: list[tuple[float, float]], ends: list[tuple[float, bool]],
        took_s: float = 0.1) -> FrameEnergy:
    """Feed samples (time, joules) and ends of frames (time, result) in the order of time."""
    counter = FrameEnergyCounter()
    events = sorted([(t, 0, j) for t, j in powers] + [(t, 1, r) for t, r in ends])
    for t, kind, value in events:
        if kind:
            counter.add_frame(t, took_s, bool(value))
        else:
            counter.add_power(t, value)
    return counter.energy


def every(step_s: float, until_s: float, watts: float) -> list[tuple[float, float]]:
    return [(n * step_s, n * step_s * watts) for n in range(round(until_s / step_s) + 1)]


def test_only_the_time_from_the_first_frame_to_the_last_one_counts() -> None:
    ends = [(10.1 + n, True) for n in range(10)]  # 10.0 .. 19.1 s
    energy = fly(every(0.5, 60.0, 5.0), ends)
    assert energy.per_result_j == pytest.approx(5.0 * 9.1 / 10)
    assert energy.metered == pytest.approx(1.0) and energy.span_s == pytest.approx(9.1)


def test_a_silent_meter_takes_its_time_and_its_results_out() -> None:
    powers = [(t, j) for t, j in every(0.5, 10.0, 4.0)]
    powers += [(21.0 + t, 40.0 + j) for t, j in every(0.5, 9.0, 4.0)]  # silent for 11 s
    ends = [(0.5 * n, True) for n in range(1, 60)]  # 2 a second, of 4 W
    energy = fly(powers, ends, took_s=0.5)
    assert energy.per_result_j == pytest.approx(2.0, rel=0.05)
    assert energy.metered == pytest.approx(1 - 11 / 29.5, abs=0.02)


def test_a_meter_that_began_again_is_no_negative_energy() -> None:
    powers = every(1.0, 10.0, 3.0) + [(11.0 + t, j) for t, j in every(1.0, 10.0, 3.0)]
    energy = fly(powers, [(n + 0.5, True) for n in range(1, 20)], took_s=1.0)
    assert energy.per_result_j == pytest.approx(3.0, rel=0.06)
    assert 0.9 < energy.metered < 1.0


def test_samples_that_were_lost_on_the_way_are_no_gap() -> None:
    powers = [(0.0, 0.0), (8.0, 40.0)]  # the meter's node has integrated them
    energy = fly(powers, [(n, True) for n in range(2, 7)], took_s=1.0)
    assert energy.joules == pytest.approx(25.0) and energy.metered == 1.0


def test_frames_after_the_last_sample_take_no_part() -> None:
    energy = fly(every(1.0, 5.0, 2.0), [(n + 0.5, True) for n in range(1, 10)], took_s=0.5)
    assert energy.results == 4 and energy.joules == pytest.approx(2.0 * 3.5)
    assert energy.metered == pytest.approx(3.5 / 8.5)


def test_nothing_metered_is_not_known() -> None:
    assert fly([], [(1.0, True)]).per_result_j is None
    assert fly(every(1.0, 5.0, 2.0), []).per_result_j is None
    assert fly(every(1.0, 5.0, 2.0), [(2.5, False)]).per_result_j is None


def test_what_is_kept_for_later_is_bounded() -> None:
    before = fly(every(1.0, 5001.0, 2.0), [(5000.0, True)], took_s=4000.0)
    assert before.metered == pytest.approx(1023 / 4000)  # samples before the first frame's end
    frames = 70_000
    waiting = fly([(0.0, 0.0), (frames + 1.0, 10.0)], [(n, True) for n in range(1, frames + 1)])
    assert waiting.results == 65_536  # ends since the last sample


@example(powers=[(0.0, 0.0), (5e-324, 1.0)], ends=[(0.0, False)])
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1000)), max_size=30),
       st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30))
def test_no_order_of_events_gives_what_cannot_be(powers: list[tuple[float, float]],
                                                 ends: list[tuple[float, bool]]) -> None:
    energy = fly(powers, ends)
    assert energy.joules >= 0 and 0 <= energy.metered <= 1
    assert energy.results <= sum(result for _, result in ends)
