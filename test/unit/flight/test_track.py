from math import isclose, isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.flight.track import Track, between_positions
from offload_perception.flight.vehicle_state import Position


def linear(a: float, b: float, share: float) -> float:
    return a + share * (b - a)


def track(*stamps: float, keep_s: float = 10.0, max_gap_s: float = 1.0) -> Track[float]:
    """A track whose value is 3 times its stamp."""
    made = Track('position', linear, keep_s=keep_s, max_gap_s=max_gap_s)
    for s in stamps:
        made.add(s, 3 * s)
    return made


@given(st.lists(st.floats(0.001, 0.9), min_size=1, max_size=30), st.floats(0, 1))
def test_what_is_linear_in_time_is_found_exactly(gaps: list[float], share: float) -> None:
    stamps = [100.0]
    for g in gaps:
        stamps.append(stamps[-1] + g)
    wanted = stamps[0] + share * (stamps[-1] - stamps[0])
    if wanted < stamps[-1] - 9.0:  # perhaps not kept any more
        return
    fix = track(*stamps).at(wanted)
    assert fix.value is not None and not fix.reason
    assert isclose(fix.value, 3 * wanted, rel_tol=1e-9)
    assert 0 <= fix.age_s <= fix.gap_s / 2 + 1e-9 and fix.gap_s < 0.91


def test_the_age_is_to_the_nearer_sample() -> None:
    fix = track(1.0, 1.5).at(1.1)
    assert (fix.value, fix.age_s) == pytest.approx((3.3, 0.1)) and fix.gap_s == 0.5
    assert track(1.0, 1.5).at(1.5).age_s == 0.0


@pytest.mark.parametrize(('made', 'stamp_s', 'reason'), [
    (track(), 1.0, 'no position: none received'),
    (track(5.0, 5.5), 4.75, 'no position: the image is 0.250 s older than the oldest one kept'),
    (track(5.0, 5.5), 6.0, 'no position: the newest one is 0.500 s older than the image'),
    (track(5.0, 7.0), 6.0, 'no position: 2.000 s between the two around the image, more than 1 s'),
])
def test_why_there_is_none(made: Track[float], stamp_s: float, reason: str) -> None:
    fix = made.at(stamp_s)
    assert fix.value is None and fix.reason == reason and isnan(fix.age_s) and isnan(fix.gap_s)


def test_the_buffer_is_bounded() -> None:
    long = track(*(0.1 * n for n in range(1000)), keep_s=2.0)
    assert len(long) <= 21
    assert 'older than the oldest' in long.at(97.0).reason and long.at(99.0).value


def test_late_and_repeated_samples_change_nothing() -> None:
    made = track(1.0, 1.5)
    made.add(1.5, 99.0)
    made.add(1.2, 99.0)
    assert made.at(1.25).value == pytest.approx(3.75)


def test_a_clock_that_was_set_back_starts_the_buffer_anew() -> None:
    made = track(1000.0, 1000.5)
    made.add(3.0, 9.0)
    made.add(3.5, 10.5)
    assert made.at(3.25).value == pytest.approx(9.75) and len(made) == 2


def test_waiting_helps_until_a_later_sample_is_there() -> None:
    made = track(1.0)
    assert not track().covers(0.0) and not made.covers(1.1)
    made.add(1.2, 3.6)
    assert made.covers(1.1) and made.covers(0.0)


COORDINATES = st.builds(Position, st.floats(-90, 90), st.floats(-180, 180), st.floats(-100, 9000))


@given(COORDINATES, COORDINATES, st.floats(0, 1))
def test_positions_between_are_on_the_earth(a: Position, b: Position, share: float) -> None:
    p = between_positions(a, b, share)
    assert min(a.latitude, b.latitude) - 1e-9 <= p.latitude <= max(a.latitude, b.latitude) + 1e-9
    assert -180 <= p.longitude <= 180


def test_the_180th_meridian_is_crossed_the_short_way() -> None:
    a, b = Position(0.0, 179.5, 10.0), Position(2.0, -179.0, 20.0)
    assert between_positions(a, b, 0.5) == pytest.approx((1.0, -179.75, 15.0))
    assert between_positions(b, a, 0.5) == pytest.approx((1.0, -179.75, 15.0))
    assert between_positions(Position(0.0, 8.0, 0.0), Position(0.0, 9.0, 0.0), 0.25
                             ).longitude == 8.25
