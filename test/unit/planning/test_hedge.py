"""A hedge: when it starts, and the energy that it is expected to take."""

from math import exp, inf, pi, sqrt
from typing import Any

import numpy as np
import pytest

from offload_perception.planning.hedge import HedgeCost, late_share

DEADLINE_S = 0.8


def cost(seconds: float = 0.3, spread_s: float = 0.02, joules: float = 3.0) -> Any:
    return HedgeCost(np.array([inf, seconds]), np.array([0.0, spread_s]), np.array([0.0, joules]))


@pytest.mark.parametrize('spread_s', [0.0, 0.02, 0.1])
def test_it_starts_early_enough_for_three_spreads_of_its_own_time(spread_s: float) -> None:
    start_s = DEADLINE_S - 0.3 - 3.0 * spread_s
    assert cost(spread_s=spread_s).last_start_s(DEADLINE_S)[1] == pytest.approx(start_s)


@pytest.mark.parametrize('latency_s', [0.2, 0.5, 0.65, 0.8, 2.0])
@pytest.mark.parametrize('spread_s', [1e-3, 0.05, 0.3])
def test_its_energy_is_that_of_the_time_until_the_reply_or_the_deadline(
        latency_s: float, spread_s: float) -> None:
    """The mean working time is the integral of the probability that no reply is there yet."""
    start_s, steps = 0.5, 20_000
    scale_s, step_s = sqrt(3.0) / pi * spread_s, (DEADLINE_S - start_s) / steps
    working_s = 0.0
    for k in range(steps):
        late = (start_s + (k + 0.5) * step_s - latency_s) / scale_s
        working_s += step_s / (1.0 + exp(min(late, 700.0)))
    found = cost().expected_share(np.array([0.5, start_s]), DEADLINE_S, np.array([0.5, latency_s]),
                              np.array([0.1, spread_s]))
    assert found[1] == pytest.approx(working_s / (DEADLINE_S - start_s), rel=1e-3, abs=1e-6)


def test_a_rest_of_no_time_runs_for_no_time() -> None:
    found = cost(0.0, 0.0, 0.0).expected_share(np.array([0.5, DEADLINE_S]), DEADLINE_S,
                                               np.array([0.5, 0.1]), np.array([0.1, 0.0]))
    assert found[1] == 0.0


@pytest.mark.parametrize('spread_s', [1e-3, 0.05, 0.3])
def test_the_share_of_late_replies_is_that_of_a_logistic_law(spread_s: float) -> None:
    late = late_share(np.array([0.5, 0.8, 2.0]), np.full(3, spread_s), 0.8)
    scale_s = sqrt(3.0) / pi * spread_s
    assert late == pytest.approx([1.0 / (1.0 + exp(min(0.3 / scale_s, 50.0))), 0.5,
                                  1.0 / (1.0 + exp(max(-1.2 / scale_s, -50.0)))])
