from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from offload_perception.power.energy.attribution import (
    IntegralAttribution,
    RegressionAttribution,
    TimedFrame,
    timed_frame,
)
from offload_perception.power.energy.frame_energy import REGRESSION, TRAPEZOID

IDLE_W, HEAD_W = 2.0, 3.0


def flight(seconds: float) -> Iterator[Any]:
    """Frames of a drone whose cut changes: heads of 0.1 to 0.6 s, one a second."""
    rng = np.random.default_rng(0)
    for second in range(int(seconds)):
        head_s = float(rng.uniform(0.1, 0.6))
        yield timed_frame(second, second + 0.1 + head_s, 0.1 + head_s, {'head': head_s})


def power_at(times_s: np.ndarray, frames: list[TimedFrame]) -> np.ndarray:
    power = np.full(len(times_s), IDLE_W)
    for frame in frames:
        span, = frame.spans
        power[(times_s >= span.start_s) & (times_s < span.end_s)] += HEAD_W
    return power


def test_stages_end_where_the_frame_ends() -> None:
    frame = timed_frame('key', 10.0, 1.0, {'preprocess': 0.1, 'head': 0.6})
    assert (frame.start_s, frame.end_s) == (9.0, 10.0)
    preprocess, head = frame.spans
    assert preprocess.start_s == pytest.approx(9.3)
    assert head.end_s == pytest.approx(10.0)
    assert head.duration_s == pytest.approx(0.6)


def test_a_stage_that_took_no_time_has_no_span() -> None:
    assert timed_frame('key', 1.0, 1.0, {'head': 0.0}).spans == ()


def test_regression_finds_the_power_of_a_stage_from_two_readings_a_second() -> None:
    frames = list(flight(120))
    fine_s = np.arange(0, 120, 0.001)
    fine_w = power_at(fine_s, frames)
    attribution = RegressionAttribution(refit_period_s=10.0)
    done = []
    for k in range(239):
        start_s, end_s = k / 2, (k + 1) / 2
        mean_w = fine_w[(fine_s >= start_s) & (fine_s < end_s)].mean()
        list(attribution.add_power(end_s, float(mean_w)))
        for frame in frames:
            if start_s < frame.end_s <= end_s:
                done += attribution.add_frame(frame)
    assert done, 'a fit has to come within two minutes'
    frame, energy = done[-1]
    truth_j = IDLE_W * (frame.end_s - frame.start_s) + HEAD_W * frame.spans[0].duration_s
    assert energy.method == REGRESSION
    assert energy.energy_j == pytest.approx(truth_j, abs=max(energy.uncertainty_j, 0.02))
    assert energy.idle_j == pytest.approx(IDLE_W * (frame.end_s - frame.start_s), rel=0.05)


def test_regression_gives_nothing_before_it_has_a_fit() -> None:
    attribution = RegressionAttribution()
    list(attribution.add_power(0.5, IDLE_W))
    assert list(attribution.add_frame(timed_frame('key', 1.0, 0.5, {'head': 0.5}))) == []


def test_a_fast_meter_is_integrated_over_the_frame_once_its_samples_reach_over_it() -> None:
    attribution = IntegralAttribution()
    frame = timed_frame('key', 1.5, 0.4, {'head': 0.4})
    times_s = np.arange(0, 3, 0.0002)
    powers_w = power_at(times_s, [frame])
    assert list(attribution.add_power(times_s[:5000], powers_w[:5000])) == []
    assert list(attribution.add_frame(frame)) == []
    (found, energy), = attribution.add_power(times_s[5000:], powers_w[5000:])
    assert found is frame
    assert energy.method == TRAPEZOID
    assert energy.energy_j == pytest.approx((IDLE_W + HEAD_W) * 0.4, rel=0.01)
    assert np.isnan(energy.idle_j), 'no idle power was measured yet'


def test_a_fast_meter_learns_the_idle_power_between_the_frames() -> None:
    attribution = IntegralAttribution()
    times_s = np.arange(0, 5, 0.0002)
    frame = timed_frame('key', 4.5, 0.4, {'head': 0.4})
    powers_w = power_at(times_s, [frame])
    for block in range(40):
        at = slice(block * 500, (block + 1) * 500)
        list(attribution.add_power(times_s[at], powers_w[at]))
    list(attribution.add_frame(frame))
    (_, energy), = attribution.add_power(times_s[20000:], powers_w[20000:])
    assert energy.active_j == pytest.approx(HEAD_W * 0.4, rel=0.01)


def test_a_frame_whose_samples_are_forgotten_is_given_up_and_the_next_one_is_metered() -> None:
    attribution = IntegralAttribution(keep_s=0.5)
    old, new = (timed_frame(key, end_s, total_s, {'head': 0.1})
                for key, end_s, total_s in (('old', 3.0, 2.5), ('new', 3.1, 0.2)))
    times_s = np.arange(0, 4, 0.001)
    powers_w = np.full(len(times_s), IDLE_W)
    for at in range(0, 3000, 100):
        list(attribution.add_power(times_s[at:at + 100], powers_w[at:at + 100]))
    for frame in (old, new):
        list(attribution.add_frame(frame))
    done = list(attribution.add_power(times_s[3000:3200], powers_w[3000:3200]))
    assert [frame.key for frame, _ in done] == ['new']
    assert done[0][1].energy_j == pytest.approx(IDLE_W * 0.2)


def test_a_meter_that_gives_no_power_keeps_a_bounded_number_of_frames() -> None:
    attribution = IntegralAttribution()
    for n in range(1500):
        list(attribution.add_frame(timed_frame(n, 2.0, 0.1, {'head': 0.1})))
    times_s = np.arange(0, 3, 0.1)
    done = list(attribution.add_power(times_s, np.full(len(times_s), IDLE_W)))
    assert [frame.key for frame, _ in done] == list(range(500, 1500))
