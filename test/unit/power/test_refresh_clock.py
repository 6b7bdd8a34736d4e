from collections.abc import Callable, Container
from typing import Any

import numpy as np
import pytest

from offload_perception.power.energy.refresh_clock import RefreshClock


def follow(period_s: float, poll_s: float, *, skip: Container[int] = (),
           value: Callable[..., Any] = float) -> np.ndarray:
    """Poll a meter that shows `value(number of its refresh)`; true and found numbers, times."""
    clock, rows = RefreshClock(), []
    for number, t_s in enumerate(np.arange(1.0, 120.0, poll_s)):
        true = int((t_s - 0.23) / period_s)
        if number not in skip and (refresh := clock.see(t_s, value(true))) is not None:
            rows.append((true, refresh.number, 0.23 + true * period_s, refresh.middle_s))
    return np.array(rows).T


@pytest.mark.parametrize('period_s', [0.492, 0.5, 0.505, 0.51])
@pytest.mark.parametrize('poll_s', [1 / 2.1, 1 / 3, 1 / 7])
def test_refreshes_are_numbered_without_slip_and_placed_within_half_a_poll(
        period_s: float, poll_s: float) -> None:
    true, found, true_s, found_s = follow(period_s, poll_s)
    assert len(set(true - found)) == 1
    assert np.all(np.abs(found_s - true_s) <= poll_s / 2 + 1e-9)


def test_missed_polls_do_not_lose_count() -> None:
    true, found, _, _ = follow(0.5, 1 / 3, skip={50, 51, 52, 53, 120, 200, 201})
    assert len(set(true - found)) == 1


def test_values_that_stay_equal_for_a_while_do_not_lose_count() -> None:
    true, found, _, _ = follow(0.5, 1 / 7, value=lambda n: 0.0 if 40 < n < 60 else float(n))
    assert len(set(true - found)) == 1


def test_a_value_seen_again_is_not_new() -> None:
    clock = RefreshClock()
    assert [clock.see(t, v) is None for t, v in ((0.0, 1.0), (0.3, 2.0), (0.6, 2.0))] == [
        True, False, True]


@pytest.mark.parametrize('poll_s', [1 / 3, 1 / 7])
def test_a_steady_value_is_renewed_as_well(poll_s: float) -> None:
    true, found, true_s, found_s = follow(0.5, poll_s, value=lambda n: 2.0)
    assert len(found) > 0.9 * (true[-1] - true[0])
    assert found_s - true_s == pytest.approx(np.zeros(len(found)), abs=3.0)
