"""The one estimator: levels, noise, drift, jumps."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.estimate import Estimate


def fed(values: list[float] | np.ndarray, **options: object) -> Estimate:
    estimate = Estimate(1.0, **options)  # type: ignore[arg-type]
    for value in values:
        estimate.observe(float(value))
    return estimate


def test_the_first_value_replaces_the_guess() -> None:
    assert fed([20.0]).level == 20.0


def test_level_and_spread_are_those_of_the_values() -> None:
    values = np.exp(np.random.default_rng(1).normal(log(5.0), 0.2, 400))
    estimate = fed(values)
    assert estimate.level == pytest.approx(5.0, rel=0.1)
    assert estimate.spread == pytest.approx(0.2, rel=0.4)


def test_drift_is_followed() -> None:
    assert fed(np.linspace(1.0, 1.5, 200)).level == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize('factor', [10.0, 0.1])
def test_a_single_outlier_hardly_moves_it_and_a_second_in_a_row_does(factor: float) -> None:
    estimate, levels = fed([1.0] * 50), []
    for _ in range(2):
        estimate.observe(factor)
        levels.append(estimate.level)
    assert abs(log(levels[0])) < 0.25 and levels[1] == pytest.approx(factor, rel=0.2)


def test_jumps_of_either_side_need_as_many_outliers_as_it_was_told() -> None:
    for value, needed in ((10.0, 2), (0.1, 1)):
        estimate = fed([1.0] * 50, jumps=(2, 1))
        for _ in range(needed):
            assert abs(log(estimate.level)) < 0.25
            estimate.observe(value)
        assert estimate.level == pytest.approx(value, rel=0.2)


def test_outliers_on_both_sides_are_no_change() -> None:
    estimate = fed([1.0] * 50)
    for value in (10.0, 0.1) * 3:
        estimate.observe(value)
        assert abs(log(estimate.level)) < 0.5


def test_it_is_doubtful_after_one_value_twice_as_large_and_until_the_next() -> None:
    estimate = fed([1.0] * 50, jumps=(3, 1))
    for value, doubtful in ((3.0, True), (1.0, False), (1.3, False), (0.2, False)):
        estimate.observe(value)
        assert estimate.doubtful is doubtful


def sums(estimate: Estimate, a: float, b: float, sizes: list[float], count: int = 60) -> None:
    rng = np.random.default_rng(2)
    for i in range(count):
        n = sizes[i % len(sizes)]
        estimate.observe((a + b * n) * exp(rng.normal(0.0, 0.02)), 1.0, n)


def test_two_figures_are_found_from_sums_of_different_amounts() -> None:
    estimate = Estimate(0.01, 1e-6, spread=(1.0, 2.0), drift=(0.005, 0.05))
    sums(estimate, 0.03, 5e-6, [1000.0, 20_000.0])
    assert estimate.levels == pytest.approx([0.03, 5e-6], rel=0.1)


def test_amounts_of_one_size_leave_open_what_is_which_but_not_their_sum() -> None:
    estimate = Estimate(0.01, 1e-6, spread=(1.0, 2.0), drift=(0.005, 0.05))
    sums(estimate, 0.03, 5e-6, [6000.0])
    assert estimate.predicted(1.0, 6000.0) == pytest.approx(0.06, rel=0.03)
    (p00, p01), (_, p11) = estimate.covariance
    assert p00 > 0.02 and p01 < 0.0 and p11 > 0.01


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(0.0, 1e6)), max_size=60))
def test_nothing_that_is_fed_breaks_it(values: list[tuple[float, float]]) -> None:
    one, two = Estimate(1.0), Estimate(0.01, 1e-6, jumps=(2, 1))
    for value, amount in values:
        one.observe(value)
        two.observe(value, 1.0, amount)
    for estimate in (one, two):
        assert all(np.isfinite(x) and x > 0.0 for x in estimate.levels)
        assert all(estimate.covariance[i][i] >= 0.0 for i in range(len(estimate.levels)))
        assert 0.05 <= estimate.noise <= 0.5


@pytest.mark.parametrize('value', [0.0, -1.0, float('nan'), float('inf'), 1e13])
def test_what_is_absurd_is_ignored(value: float) -> None:
    estimate = fed([2.0, value])
    assert (estimate.level, estimate.count) == (2.0, 1)
