from math import isnan, nan
from typing import Any

import numpy as np
import pytest

from offload_perception.serving.server_load import Load, LoadMeter


def snapshot(meter: LoadMeter, now_s: float) -> Load:
    return meter.snapshot(now_s, queue_length=0, backlog_s=0.0)


def steady_loads(rate: float, service_s: np.ndarray, seed: int = 0) -> Any:
    """Snapshots, taken at random moments, of a Poisson stream of tensors served in order."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, service_s.size))
    meter, loads, free_s = LoadMeter(cuts=1, now_s=0.0), [], 0.0
    events = []
    for arrival_s, s in zip(arrivals, service_s, strict=True):
        started_s = max(arrival_s, free_s)
        free_s = started_s + s
        events += [(arrival_s, None), (free_s, (started_s, free_s))]
    for n, (now_s, done) in enumerate(sorted(events, key=lambda e: e[0])):
        if done is None:
            meter.count_arrival(now_s)
        else:
            meter.observe_tail(0, done[1] - done[0], done[1], tail_s=done[1] - done[0])
        if now_s > 30.0 and n % 50 == 0:
            loads.append(snapshot(meter, now_s))
    return loads


@pytest.mark.parametrize('rho', [0.2, 0.5, 0.7])
@pytest.mark.parametrize('kind', ['M/D/1', 'M/M/1'])
def test_expected_wait_of_a_queue_is_that_of_theory(kind: str, rho: float) -> None:
    rate, n = 400.0, 40_000
    mean_s = rho / rate
    service_s = (np.full(n, mean_s) if kind == 'M/D/1'
                 else np.random.default_rng(1).exponential(mean_s, n))
    loads = steady_loads(rate, service_s)
    wait_s = rho * mean_s / (1 - rho) * (0.5 if kind == 'M/D/1' else 1.0)
    assert np.mean([x.arrival_rate for x in loads]) == pytest.approx(rate, rel=0.03)
    assert np.mean([x.utilisation for x in loads]) == pytest.approx(rho, rel=0.03)
    assert np.median([x.expected_wait_s for x in loads]) == pytest.approx(wait_s, rel=0.1)


def test_an_idle_server_has_no_wait_and_unknown_tail_times() -> None:
    load = snapshot(LoadMeter(cuts=3, now_s=0.0), 5.0)
    assert (load.arrival_rate, load.utilisation, load.expected_wait_s) == (0.0, 0.0, 0.0)
    assert len(load.tail_times_s) == 3 and all(map(isnan, load.tail_times_s))


def test_the_work_that_waits_bounds_the_wait_from_below() -> None:
    meter = LoadMeter(cuts=1, now_s=0.0)
    for k in range(10):
        meter.count_arrival(k * 1.0)
        meter.observe_tail(0, 0.1, k * 1.0 + 0.1, tail_s=0.1)
    assert snapshot(meter, 10.0).expected_wait_s < 0.02
    load = meter.snapshot(10.0, queue_length=7, backlog_s=0.7, backlogs_s=(0.6, nan))
    assert load.expected_wait_s == 0.7 and load.queue_length == 7
    assert load.expected_waits_s == pytest.approx((0.6, nan), nan_ok=True)


def test_rates_are_unbiased_from_the_first_second_on() -> None:
    meter = LoadMeter(cuts=1, now_s=0.0)
    for k in range(1, 301):
        meter.count_arrival(k * 0.01)
        meter.observe_tail(0, 0.004, k * 0.01, tail_s=0.004)
        if k in (100, 200, 300):
            load = snapshot(meter, k * 0.01)
            assert load.arrival_rate == pytest.approx(100, rel=0.02)
            assert load.utilisation == pytest.approx(0.4, rel=0.02)


def test_load_is_forgotten() -> None:
    meter = LoadMeter(cuts=1, now_s=0.0)
    for k in range(300):
        meter.count_arrival(k * 0.01)
        meter.observe_tail(0, 0.005, k * 0.01 + 0.005, tail_s=0.005)
    assert snapshot(meter, 3.0).utilisation > 0.3
    load = snapshot(meter, 60.0)
    assert load.utilisation < 1e-6 and load.arrival_rate < 1e-5
    assert load.tail_times_s == pytest.approx((0.005,))


def test_a_server_that_is_always_busy_has_a_finite_wait() -> None:
    meter = LoadMeter(cuts=1, now_s=0.0)
    for k in range(100):
        meter.count_arrival(k * 0.1)
        meter.observe_tail(0, 0.1, (k + 1) * 0.1, tail_s=0.1)
    load = snapshot(meter, 10.0)
    assert 0.9 < load.utilisation <= 1.0 and 0.5 < load.expected_wait_s <= 3.0

