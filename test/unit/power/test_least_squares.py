import numpy as np
import pytest

from offload_perception.power.energy.least_squares import (
    least_squares,
    persistence,
    student_95,
    whitened,
)


def persistent(rng: np.random.Generator, count: int, left: float) -> np.ndarray:
    """Return a first-order autoregression of unit variance."""
    noise = rng.normal(0.0, np.sqrt(1 - left ** 2), count)
    values = np.empty(count)
    values[0] = rng.normal()
    for i in range(1, count):
        values[i] = left * values[i - 1] + noise[i]
    return values


def test_least_squares_names_what_the_data_do_not_say() -> None:
    design = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [3.0, 6.0, 1.0]])
    solution = least_squares(design, np.array([5.0, 10.0, 22.0]))
    assert design @ solution.coefficients == pytest.approx([5.0, 10.0, 22.0])
    assert design @ solution.unseen == pytest.approx(np.zeros((3, 1)), abs=1e-9)
    assert np.array([1.0, 2.0, 0.0]) @ solution.unseen == pytest.approx([0.0], abs=1e-9)
    assert abs(np.array([1.0, 0.0, 0.0]) @ solution.unseen)[0] > 0.1


def test_intervals_of_a_mean_hold_under_errors_that_persist() -> None:
    """Samples of errors that fade by half are worth a third: White's intervals held 74 %."""
    rng, held = np.random.default_rng(0), []
    for _ in range(300):
        target = persistent(rng, 400, 0.5)
        solution = least_squares(np.ones((400, 1)), target)
        held.append(abs(solution.coefficients[0]) <= 1.96 * np.sqrt(solution.covariance[0, 0]))
    assert 0.89 <= np.mean(held) <= 0.98


@pytest.mark.parametrize('left', [0.5, 0.9, 0.97])
def test_persistence_is_found_under_white_noise(left: float) -> None:
    rng, numbers = np.random.default_rng(1), np.arange(1000)
    found = [persistence(persistent(rng, 1000, left) + 0.5 * rng.normal(size=1000), numbers)
             for _ in range(50)]
    assert np.mean(found) == pytest.approx(left, abs=0.03)


def test_white_noise_does_not_persist() -> None:
    rng = np.random.default_rng(2)
    found = [persistence(rng.normal(size=300), np.arange(300)) for _ in range(100)]
    assert np.mean(np.array(found) > 0.0) < 0.1


def test_missing_steps_are_told_from_steps() -> None:
    rng = np.random.default_rng(3)
    kept = rng.random(4000) < 0.7
    found = persistence(persistent(rng, 4000, 0.9)[kept], np.arange(4000)[kept])
    assert found == pytest.approx(0.9, abs=0.03)


def test_what_is_new_is_white_and_of_one_variance_across_missing_steps() -> None:
    rng = np.random.default_rng(4)
    kept = rng.random(20_000) < 0.5
    numbers = np.arange(20_000)[kept]
    new = whitened(persistent(rng, 20_000, 0.9)[kept], numbers, 0.9)
    after_gap = np.diff(numbers) > 2
    assert np.std(new[after_gap]) == pytest.approx(np.std(new[~after_gap]), rel=0.05)
    assert abs(np.corrcoef(new[1:], new[:-1])[0, 1]) < 0.03


def test_without_persistence_nothing_is_taken_off() -> None:
    values = np.arange(12.0).reshape(6, 2)
    assert whitened(values, np.arange(6), 0.0) == pytest.approx(values[1:])


@pytest.mark.parametrize(('freedom', 'quantile'), [
    (0.1, 12.71), (3.0, 3.182), (10.0, 2.228), (1e9, 1.960)])
def test_quantiles_of_student(freedom: float, quantile: float) -> None:
    assert student_95(freedom) == pytest.approx(quantile, rel=0.03)
