from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from offload_perception.power.energy.attribution import (
    KEEP_S,
    IntegralAttribution,
    RegressionAttribution,
)
from offload_perception.power.energy.frame_energy import REGRESSION, TRAPEZOID, FrameEnergy
from offload_perception.power.energy.frame_time import TimedFrame
from offload_perception.power.energy.stage_time import Span

IDLE_W, HEAD_W = 2.0, 3.0
STEP_S = 0.0002
BLOCK = 500


def frame(key: Any, end_s: float, head_s: float) -> TimedFrame:
    """Return a frame that queues for 0.1 s and then runs its head."""
    span = Span('head', end_s - head_s, end_s)
    return TimedFrame(key, span.start_s - 0.1, end_s, (span,))


def flight(seconds: float) -> Iterator[TimedFrame]:
    """Frames of a drone whose cut changes: heads of 0.1 to 0.6 s, one a second."""
    rng = np.random.default_rng(0)
    for second in range(int(seconds)):
        head_s = float(rng.uniform(0.1, 0.6))
        yield frame(second, second + 0.1 + head_s, head_s)


def power_at(times_s: np.ndarray, frames: list[TimedFrame]) -> np.ndarray:
    power = np.full(len(times_s), IDLE_W)
    for f in frames:
        span, = f.spans
        power[(times_s >= span.start_s) & (times_s < span.end_s)] += HEAD_W
    return power


def feed(attribution: IntegralAttribution, times_s: np.ndarray, powers_w: np.ndarray,
         frames: list[TimedFrame]) -> list[tuple[TimedFrame, FrameEnergy]]:
    """Give blocks of samples, and each frame after its end; return what comes."""
    done = []
    for at in range(0, len(times_s), BLOCK):
        block = slice(at, at + BLOCK)
        for f in frames:
            if times_s[block][0] <= f.end_s < times_s[block][-1] + STEP_S:
                attribution.add_frame(f)
        done += attribution.add_power(times_s[block], powers_w[block])
    return done


@pytest.mark.parametrize('refresh_s', [0.5, 1.0])
def test_regression_finds_the_power_of_a_stage_from_slow_readings(
        refresh_s: float) -> None:
    """From two a second, or one, as of a battery."""
    frames = list(flight(120))
    fine_s = np.arange(0, 120, 0.001)
    fine_w = power_at(fine_s, frames)
    attribution = RegressionAttribution(refit_period_s=10.0, refresh_s=refresh_s)
    done = []
    for end_s in np.arange(refresh_s, 119.6, refresh_s).tolist():
        start_s = end_s - refresh_s
        mean_w = fine_w[(fine_s >= start_s) & (fine_s < end_s)].mean()
        done += attribution.add_power(end_s, float(mean_w))
        for f in frames:
            if start_s < f.end_s <= end_s:
                attribution.add_frame(f)
    assert done, 'a fit has to come within two minutes'
    found, energy = done[-1]
    truth_j = IDLE_W * (found.end_s - found.start_s) + HEAD_W * found.spans[0].duration_s
    assert energy.method == REGRESSION
    assert energy.energy_j == pytest.approx(truth_j, abs=max(energy.uncertainty_j, 0.02))
    assert energy.idle_j == pytest.approx(IDLE_W * (found.end_s - found.start_s), rel=0.05)
    assert energy.residual_w == attribution.fit.residual_w < 0.1
    assert attribution.metered == len(done)
    assert attribution.early > 20 and attribution.unmetered == 0


def test_a_fast_meter_is_integrated_once_no_frame_that_overlaps_can_come() -> None:
    attribution = IntegralAttribution()
    wanted = frame('key', 1.5, 0.4)
    times_s = np.arange(0, 4, STEP_S)
    powers_w = power_at(times_s, [wanted])
    assert feed(attribution, times_s[:15000], powers_w[:15000], [wanted]) == []
    (found, energy), = feed(attribution, times_s[15000:], powers_w[15000:], [])
    assert found is wanted
    assert energy.method == TRAPEZOID
    assert energy.energy_j == pytest.approx(IDLE_W * 0.5 + HEAD_W * 0.4, rel=0.01)
    assert np.isnan(energy.idle_j), 'no idle power is known yet'


def test_a_fast_meter_learns_the_idle_power() -> None:
    frames = list(flight(20))
    times_s = np.arange(0, 20, STEP_S)
    attribution = IntegralAttribution(refit_period_s=1.0)
    done = feed(attribution, times_s, power_at(times_s, frames), frames)
    found, energy = done[-1]
    assert energy.active_j == pytest.approx(HEAD_W * found.spans[0].duration_s, rel=0.01)


def test_frames_of_a_fast_meter_that_overlap_share_the_power() -> None:
    frames = [f for head in flight(20) for f in (
        head, TimedFrame(head.key + 0.5, head.end_s - 0.05, head.end_s + 0.2, ()))]
    times_s = np.arange(0, 20, STEP_S)
    attribution = IntegralAttribution(refit_period_s=1.0)
    done = feed(attribution, times_s, power_at(times_s, frames[::2]), frames)
    assert attribution.early > 0, 'without a fit it is not known how they share'
    (head, all_of_it), (_, none_of_it) = done[-2:]
    assert all_of_it.active_j == pytest.approx(HEAD_W * head.spans[0].duration_s, rel=0.01)
    assert none_of_it.active_j == pytest.approx(0.0, abs=0.005)


def test_the_error_of_the_times_is_in_the_interval() -> None:
    wanted, times_s = frame('key', 1.5, 0.4), np.arange(0, 4, STEP_S)
    for error_s in (0.001, 0.01):
        attribution = IntegralAttribution()
        attribution.add_frame(wanted)
        (_, energy), = attribution.add_power(times_s, power_at(times_s, [wanted]), error_s)
        assert energy.uncertainty_j == pytest.approx(1.96 * HEAD_W * error_s / 2 ** 0.5, rel=0.1)


def test_a_silent_meter_leaves_frames_without_an_energy_and_keeps_few() -> None:
    attribution = IntegralAttribution()
    for n in range(3000):
        attribution.add_frame(frame(n, 2.0 + 0.001 * n, 0.1))
    assert attribution.unmetered == 2000
    times_s = np.arange(20.0, 21.0, STEP_S)
    assert feed(attribution, times_s, power_at(times_s, []), []) == []
    assert attribution.unmetered == 3000 and attribution.metered == 0


def test_a_frame_waits_for_the_meter_no_longer_than_samples_are_kept() -> None:
    attribution = RegressionAttribution()
    attribution.add_frame(frame('old', 1.0, 0.1))
    attribution.add_frame(frame('new', 1.0 + KEEP_S + 0.1, 0.1))
    assert attribution.unmetered == 1
    assert list(attribution.add_power(14.0, IDLE_W)) == []
    assert attribution.unmetered == 1 and attribution.early == 1


def test_frames_after_a_gap_in_the_samples_are_metered_and_those_in_it_are_not() -> None:
    frames = [frame('before', 1.0, 0.1), frame('in', 1.9, 0.5), frame('after', 4.0, 0.1)]
    times_s = np.arange(0, 8, STEP_S)
    kept = (times_s < 1.5) | (times_s >= 3.0)
    attribution = IntegralAttribution()
    for f in frames:
        attribution.add_frame(f)
    done = feed(attribution, times_s[kept], power_at(times_s[kept], frames), [])
    assert [f.key for f, _ in done] == ['before', 'after']
    assert attribution.unmetered == 1
