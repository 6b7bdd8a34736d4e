"""Times of heads and tails: a prior, the computer's speed, and each cut's own factor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.cut_times import CutTimes

PRIOR_S = np.array([0.0, 0.1, 0.2, 0.3, 0.4, np.inf])
MANY = 25


def fed(times: CutTimes, factors: dict[int, float], count: int = MANY) -> CutTimes:
    for _ in range(count):
        for cut, factor in factors.items():
            times.observe(cut, factor * PRIOR_S[cut])
    return times


def test_it_starts_with_the_prior_and_its_spread() -> None:
    seconds, variance = CutTimes(PRIOR_S, 0.5).times()
    np.testing.assert_array_equal(seconds, PRIOR_S)
    assert np.sqrt(variance[1:5]) == pytest.approx(np.hypot(0.5, 0.14) * PRIOR_S[1:5], rel=0.02)


def test_the_first_times_are_the_cuts_own_and_those_of_its_neighbours() -> None:
    seconds, variance = fed(CutTimes(PRIOR_S, 0.5), {1: 2.0, 3: 4.0}).times()
    assert seconds[1:5] / PRIOR_S[1:5] == pytest.approx([2.0, 3.0, 4.0, 4.0], rel=0.01)
    assert variance[2] / seconds[2] ** 2 > 1.5 * variance[1] / seconds[1] ** 2


def test_later_a_change_at_one_cut_is_expected_of_all() -> None:
    times = fed(CutTimes(PRIOR_S, 0.05), {2: 1.0, 3: 1.0})
    fed(times, {2: 2.0}, 4)
    assert times.times()[0][1:5] == pytest.approx(2.0 * PRIOR_S[1:5], rel=0.15)
    assert times.slowdown == pytest.approx(2.0, rel=0.15)


def test_slow_first_times_of_a_new_cut_change_no_other() -> None:
    """Layers are merged in the background when a cut is used first."""
    times = fed(CutTimes(PRIOR_S, 0.05), {2: 1.0})
    fed(times, {3: 5.0}, 10)
    assert times.times()[0][2] == pytest.approx(PRIOR_S[2], rel=0.02)
    fed(times, {3: 1.0}, 10)
    assert times.times()[0][[2, 3]] == pytest.approx(PRIOR_S[[2, 3]], rel=0.1)


def test_the_first_times_of_a_cut_tell_nothing_about_others_until_it_is_told_so() -> None:
    times = fed(CutTimes(PRIOR_S, 0.05, shared_after=20), {2: 1.5}, 19)
    assert times.times()[0][[2, 4]] == pytest.approx(PRIOR_S[[2, 4]] * [1.5, 1.0], rel=0.02)
    times.observe(2, 1.5 * PRIOR_S[2])
    assert times.times()[0][4] == pytest.approx(1.5 * PRIOR_S[4], rel=0.02)


def test_what_never_fits_never_does_and_cut_0_takes_no_time() -> None:
    seconds, variance = fed(CutTimes(PRIOR_S, 0.5), {0: 1.0, 5: 1.0, 2: 3.0}).times()
    assert seconds[0] == 0.0 and np.isinf(seconds[5]) and np.isfinite(variance).all()


@given(st.lists(st.tuples(st.integers(-5, 30), st.floats(allow_nan=True)), max_size=80))
def test_nothing_that_is_fed_breaks_it(frames: list[tuple[int, float]]) -> None:
    times = CutTimes(PRIOR_S, 0.1)
    for cut, took_s in frames:
        times.observe(cut, took_s)
    seconds, variance = times.times()
    assert np.isfinite(seconds[:5]).all() and np.isfinite(variance).all()
