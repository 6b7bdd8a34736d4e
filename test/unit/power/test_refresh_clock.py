from collections.abc import Callable, Container
from typing import Any

import numpy as np
import pytest

from offload_perception.power.energy.refresh_clock import refreshes


def follow(period_s: float, poll_s: float, *, skip: Container[int] = (), jitter_s: float = 0.0,
           seconds: float = 300.0, value: Callable[..., Any] = float) -> tuple[np.ndarray, ...]:
    """Poll a meter that shows `value(number of its refresh)`; true and found ends, values."""
    polls_s = np.arange(1.0, seconds, poll_s)
    shown = np.floor((polls_s - 0.23) / period_s).astype(int)
    late_s = np.random.default_rng(0).uniform(-jitter_s, jitter_s, len(polls_s))
    taken = [i for i in range(len(polls_s)) if i not in skip]
    found = refreshes((polls_s + late_s)[taken], np.array([value(n) for n in shown[taken]]), 0.5)
    numbers = np.round((found.ends_s - 0.23) / period_s)
    return 0.23 + numbers * period_s, found.ends_s, found.values, numbers


@pytest.mark.parametrize('period_s', [0.492, 0.5, 0.505, 0.51])
@pytest.mark.parametrize('poll_s', [1 / 2.1, 1 / 3, 1 / 7])
def test_each_value_is_that_of_its_refresh(period_s: float, poll_s: float) -> None:
    true_s, found_s, values, numbers = follow(period_s, poll_s)
    assert list(values) == list(numbers)
    assert found_s == pytest.approx(true_s, abs=0.06)
    assert len(values) > 0.7 * 299 / period_s


def test_polls_that_come_late_or_early_do_not_lose_count() -> None:
    true_s, found_s, values, numbers = follow(0.4951, 1 / 3, jitter_s=0.1)
    assert list(values) == list(numbers)
    assert found_s == pytest.approx(true_s, abs=0.02)
    assert len(values) > 0.9 * 299 / 0.4951


@pytest.mark.parametrize('skip', [{50, 51, 52, 53, 120, 200, 201}, range(300, 500)])
def test_missed_polls_do_not_lose_count(skip: Container[int]) -> None:
    _, _, values, numbers = follow(0.505, 1 / 3, skip=skip)
    assert list(values) == list(numbers)


def test_values_that_stay_equal_for_a_while_do_not_lose_count() -> None:
    def value(n: int) -> float:
        return 0.0 if 40 < n < 60 else float(n)
    _, _, values, numbers = follow(0.5, 1 / 7, value=value)
    assert list(values) == [value(n) for n in numbers]
    assert np.count_nonzero(values == 0.0) > 15


def test_a_value_seen_again_is_not_new() -> None:
    found = refreshes(np.array([0.0, 0.3, 0.6]), np.array([1.0, 2.0, 2.0]), 0.5)
    assert len(found.values) <= 1


@pytest.mark.parametrize('poll_s', [1 / 3, 1 / 7])
def test_a_steady_value_is_renewed_as_well(poll_s: float) -> None:
    _, found_s, values, _ = follow(0.5, poll_s, value=lambda n: 2.0)
    assert set(values) == {2.0}
    assert np.diff(found_s) == pytest.approx(0.5)
    assert len(found_s) > 0.95 * 299 / 0.5


@pytest.mark.parametrize('count', [0, 1, 30])
def test_polls_at_one_moment_give_no_refreshes(count: int) -> None:
    found = refreshes(np.zeros(count), np.arange(float(count)), 0.5)
    assert (len(found.numbers), len(found.ends_s), len(found.values)) == (0, 0, 0)
