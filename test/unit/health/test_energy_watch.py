from collections.abc import Container, Iterable
from typing import Any

import numpy as np
import pytest
from unit.power.um_frames import reading

from offload_perception.health import Finding
from offload_perception.health.energy_watch import WINDOW_S, CounterWatch, EnergyWatch
from offload_perception.power.drivers.um25c import JOULES_PER_MWH, Accumulator, Reading
from offload_perception.power.energy.attribution import KEEP_S, RegressionAttribution
from offload_perception.power.energy.frame_time import TimedFrame
from offload_perception.power.energy.least_squares import Solution
from offload_perception.power.energy.stage_regression import StageFit


def names(findings: Iterable[Finding]) -> list[str]:
    return [f.name for f in findings]


def fit(residual_w: float) -> StageFit:
    solution = Solution(np.array([2.0, 3.0]), np.zeros((2, 2)), np.empty((2, 0)))
    return StageFit(('head',), solution, 100, residual_w, mean_w=4.0)


@pytest.fixture
def watched() -> tuple[EnergyWatch, RegressionAttribution]:
    attribution = RegressionAttribution()
    return EnergyWatch(attribution), attribution


def test_a_frame_of_another_computers_clock_is_refused_and_reported(watched: Any) -> None:
    watch, _ = watched
    assert watch.same_clock(99.9, 100.0)
    assert names(watch.findings(100.0)) == []
    for end_s in (100.1, 100.0 - KEEP_S - 0.1, float('nan'), 1e9):
        assert not watch.same_clock(end_s, 100.0)
    found, = watch.findings(101.0)
    assert found.name == 'clock' and '4 frames' in found.text
    assert watch.values()['frames not metered'] == 4
    assert names(watch.findings(101.0 + 2 * WINDOW_S)) == []


def test_frames_that_a_silent_meter_leaves_out_are_reported(watched: Any) -> None:
    watch, attribution = watched
    for n in range(3):
        attribution.add_frame(TimedFrame(n, 20.0 * n, 20.0 * n + 0.1, ()))
    found, = watch.findings(100.0)
    assert found.name == 'energy of frames' and '2 frames' in found.text
    assert watch.values()['frames not metered'] == 2


def test_power_that_the_stages_do_not_explain_is_reported(watched: Any) -> None:
    watch, attribution = watched
    attribution.fit = fit(0.7)
    assert names(watch.findings(0.0)) == []
    attribution.fit = fit(0.9)
    found, = watch.findings(0.0)
    assert found.name == 'residual' and '0.90 W of 4.00 W' in found.text
    assert watch.values()['not explained [W]'] == '0.900'
    assert watch.values()['head above idle [W]'] == '3.000 +- 0.000'


def counted(mwh: float, **changes: Any) -> Reading:
    return reading(groups=(Accumulator(0, int(mwh)),) * 10, **changes)


def flown(watch: CounterWatch, factor: float, seconds: int = 200, *, skip: Container[int] = (),
          other: Container[int] = ()) -> None:
    """Integrate 5 W a second apart while the counter gains `factor` times as much."""
    for t_s in range(seconds):
        if t_s in skip:
            continue
        changes = {'data_group': 1} if t_s in other else {}
        gained_mwh = factor * 5.0 * t_s / JOULES_PER_MWH
        watch.observe(float(t_s), counted(
            1000 + gained_mwh, voltage_v=5.0, current_a=1.0, **changes))


@pytest.mark.parametrize(('factor', 'said'), [(1.0, []), (1.015, []), (1.05, ['counter']),
                                              (0.95, ['counter'])])
def test_an_integral_that_differs_from_the_meters_counter_is_reported(
        factor: float, said: list[str]) -> None:
    watch = CounterWatch(max_gap_s=3.0)
    flown(watch, factor)
    assert names(watch.findings()) == said


def test_too_little_energy_to_compare_says_nothing() -> None:
    watch = CounterWatch(max_gap_s=3.0)
    flown(watch, 1.5, seconds=20)
    assert names(watch.findings()) == []


def test_the_comparison_begins_anew_after_a_gap_and_with_another_counter() -> None:
    for skip, other in ((range(100, 150), ()), ((), range(100, 101))):
        watch = CounterWatch(max_gap_s=3.0)
        flown(watch, 1.0, skip=skip, other=other)
        assert names(watch.findings()) == []
        assert 200.0 < watch.check.counted_j < 500.0
