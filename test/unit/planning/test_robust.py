import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.robust import RobustLevel


def test_converges_on_noise() -> None:
    rng, level = np.random.default_rng(1), RobustLevel(1.0, 0.5)
    for value in rng.normal(2.0, 0.1, 200):
        level.add(float(value))
    assert level.level == pytest.approx(2.0, abs=0.1)
    assert level.spread == pytest.approx(0.1, rel=0.5)


def steady() -> RobustLevel:
    level = RobustLevel(1.0, 0.05)
    for _ in range(30):
        level.add(1.0)
    return level


def test_single_outlier_hardly_moves_it() -> None:
    level = steady()
    level.add(50.0)
    assert level.level < 1.05


@pytest.mark.parametrize('step', [0.3, 3.0])
def test_step_is_followed_within_three(step: float) -> None:
    level = steady()
    for _ in range(3):
        level.add(step)
    assert level.level == pytest.approx(step)


def test_outliers_on_both_sides_are_no_step() -> None:
    level = steady()
    for value in (5.0, 0.1) * 5:
        level.add(value)
    assert 0.8 < level.level < 1.2


def test_cold_first_figure_is_forgotten_at_the_second() -> None:
    level = RobustLevel(9.0, 0.9)
    for value in (1.1, 1.0, 1.2):
        level.add(value)
        assert level.level <= 1.1


def test_after_a_jump_the_figures_since_then_count() -> None:
    level = steady()
    for value in (9.0, 6.0, 5.0, 4.0, 4.0):
        level.add(value)
    assert level.level <= 5.0


def test_times_are_taken_for_their_median() -> None:
    rng = np.random.default_rng(1)
    values = 1.0 + rng.exponential(0.5, 400) ** 2
    mean, median = RobustLevel(1.0, 0.5), RobustLevel.of_times(1.0, 0.5)
    errors = np.zeros(2)
    for value in map(float, values):
        errors += abs(mean.level - value) / value, abs(median.level - value) / value
        mean.add(value)
        median.add(value)
    assert errors[1] < 0.97 * errors[0]


def test_slow_drift_is_followed() -> None:
    level = steady()
    for value in np.linspace(1.0, 2.0, 200):
        level.add(float(value))
    assert level.level == pytest.approx(2.0, rel=0.05)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50))
def test_nothing_that_is_fed_breaks_it(values: list[float]) -> None:
    level = RobustLevel(1.0, 0.1)
    for value in values:
        level.add(value)
    assert np.isfinite(level.level) and level.level >= 0
    assert np.isfinite(level.spread) and level.spread >= 0
