from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import MeterError
from offload_perception.power.energy.frame_time import TimedFrame
from offload_perception.power.energy.integral import integrate
from offload_perception.power.energy.least_squares import Solution
from offload_perception.power.energy.power_trace import PowerTrace
from offload_perception.power.energy.stage_regression import StageFit
from offload_perception.power.energy.stage_time import Span

STEP_S = 0.0002
TIMES_S = np.arange(0.0, 1.0, STEP_S)
IDLE_W, STAGES, EXTRA_W = 2.0, ('head', 'link'), (3.0, 0.5)
FIT = StageFit(STAGES, Solution(np.array([IDLE_W, *EXTRA_W]), np.zeros((3, 3)), np.empty((3, 0))),
               samples=100, residual_w=0.1, mean_w=3.0)


def window(start_s: float, end_s: float, *spans: tuple[str, float, float]) -> TimedFrame:
    return TimedFrame(None, start_s, end_s, tuple(Span(*s) for s in spans))


def trace(powers_w: np.ndarray, clock_s: float = 0.0) -> PowerTrace:
    return PowerTrace(TIMES_S, powers_w, clock_s)


@given(st.floats(0.0, 0.9), st.floats(0.001, 0.09), st.floats(-5.0, 5.0))
def test_linear_power_is_integrated_over_any_window(start_s: float, length_s: float,
                                                    slope: float) -> None:
    powers_w = 6.0 + slope * TIMES_S
    end_s = start_s + length_s
    found = integrate(trace(powers_w), window(start_s, end_s), fit=FIT)
    assert found.energy_j == pytest.approx(
        6.0 * length_s + slope * (end_s ** 2 - start_s ** 2) / 2, abs=1e-7)
    assert found.idle_j == pytest.approx(IDLE_W * length_s)
    assert found.active_j == pytest.approx(found.energy_j - found.idle_j)
    assert found.method == 'trapezoid'


def coverage(make: Any, clock_s: float = 0.0) -> float:
    """Return how often the interval holds the truth; `make` gives samples, window and truth."""
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        powers_w, frame, true_j = make(rng)
        found = integrate(trace(powers_w, clock_s), frame)
        held.append(abs(found.energy_j - true_j) <= found.uncertainty_j)
    return float(np.mean(held))


def test_the_interval_holds_under_noise() -> None:
    """A third of the difference to every second sample held 20 %."""
    def make(rng: np.random.Generator) -> Any:
        return rng.normal(3.0, 0.05, len(TIMES_S)), window(0.3, 0.35), 3.0 * 0.05
    assert 0.92 <= coverage(make) <= 0.98


def test_the_interval_holds_when_power_jumps_between_samples() -> None:
    def make(rng: np.random.Generator) -> Any:
        ons_s, offs_s = 0.3 + rng.uniform(0.0, STEP_S, 5), 0.301 + rng.uniform(0.0, STEP_S, 5)
        ons_s, offs_s = (t + 0.01 * np.arange(5) for t in (ons_s, offs_s))
        powers_w = sum(2.0 * ((on <= TIMES_S) & (off > TIMES_S))
                       for on, off in zip(ons_s, offs_s, strict=True))
        return powers_w, window(0.29, 0.36), 2.0 * float(np.sum(offs_s - ons_s))
    assert 0.91 <= coverage(make) <= 0.99


def test_the_interval_holds_when_the_samples_come_late() -> None:
    def make(rng: np.random.Generator) -> Any:
        late_s = rng.normal(0.0, 0.001)
        return 2.0 + 3.0 * (0.35 + late_s <= TIMES_S), window(0.3, 0.4), 2.0 * 0.1 + 3.0 * 0.05
    assert 0.91 <= coverage(make, clock_s=0.001) <= 0.98


def test_blocks_that_overlap_are_put_in_order() -> None:
    times_s = np.concatenate([TIMES_S[:2600], TIMES_S[2500:] + 0.0001])
    found = integrate(PowerTrace(times_s, np.full(len(times_s), 3.0), 0.0), window(0.4, 0.6))
    assert found.energy_j == pytest.approx(3.0 * 0.2)


def steps(*on: tuple[float, float, float]) -> np.ndarray:
    """Return samples of idle power and what is on: watts, from, to."""
    powers_w = np.full(len(TIMES_S), IDLE_W)
    for watts, start_s, end_s in on:
        powers_w[(start_s <= TIMES_S) & (end_s > TIMES_S)] += watts
    return powers_w


def test_a_frame_that_is_away_takes_no_part_in_the_next_frames_head() -> None:
    away = window(0.2, 0.6, ('head', 0.2, 0.3), ('link', 0.3, 0.6))
    next_one = window(0.3, 0.6, ('head', 0.3, 0.5), ('link', 0.5, 0.6))
    samples = trace(steps((3.0, 0.2, 0.5), (0.5, 0.3, 0.6)))
    first, second = (integrate(samples, f, [o], FIT)
                     for f, o in ((away, next_one), (next_one, away)))
    assert first.active_j == pytest.approx(3.0 * 0.1 + 0.5 * 0.2 + 0.25 * 0.1, abs=2e-3)
    assert second.active_j == pytest.approx(3.0 * 0.2 + 0.25 * 0.1, abs=2e-3)


@given(st.lists(st.tuples(*[st.floats(0.05, 0.9)] * 4).map(sorted), min_size=1, max_size=5),
       st.integers(0, 2**32 - 1))
def test_active_energies_of_all_frames_add_up_to_the_integral_above_idle(
        edges: list[list[float]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    powers_w = rng.uniform(2.0, 6.0, len(TIMES_S))
    frames = [window(a, d, (str(rng.choice(STAGES)), b, c)) for a, b, c, d in edges]
    samples = trace(powers_w)
    found = [integrate(samples, f, [o for o in frames if o is not f], FIT) for f in frames]
    knees_s = np.unique([t for f in frames for t in (f.start_s, f.end_s)])
    middles_s = (knees_s[1:] + knees_s[:-1]) / 2
    anyone = np.any([(f.start_s <= middles_s) & (middles_s < f.end_s) for f in frames], axis=0)
    above_j = samples.drawn_j(knees_s) - IDLE_W * np.diff(knees_s)
    found_j = float(np.sum([f.active_j for f in found]))
    assert found_j == pytest.approx(float(above_j @ anyone), abs=1e-6)


def test_frames_that_overlap_before_a_fit_have_no_energy_yet() -> None:
    one, other = window(0.2, 0.5, ('head', 0.2, 0.4)), window(0.4, 0.6, ('head', 0.4, 0.6))
    assert integrate(trace(steps()), one, [other]) is None
    assert np.isnan(integrate(trace(steps()), one).idle_j)


def test_doubt_about_the_fit_widens_the_interval_of_frames_that_share() -> None:
    away = window(0.2, 0.6, ('link', 0.2, 0.6))
    other = window(0.3, 0.5, ('head', 0.3, 0.5))
    samples = trace(steps((3.0, 0.3, 0.5), (0.5, 0.2, 0.6)))
    doubt = Solution(FIT.solution.coefficients, np.diag([0.0, 0.0, 0.01]), np.empty((3, 0)))
    sharing = integrate(samples, away, [other], StageFit(STAGES, doubt, 100, 0.1, 3.0))
    # Of 3.5 W the frame has 0.5 / 3.5: the derivative by its power is 3 / 3.5.
    assert sharing.uncertainty_j == pytest.approx(1.96 * 0.1 * 0.2 * 3.0 / 3.5, rel=0.05)
    alike = np.array([[0.0], [1.0], [-1.0]])  # head and link always run together
    unseen = Solution(FIT.solution.coefficients, np.zeros((3, 3)), alike)
    blind = integrate(samples, away, [other], StageFit(STAGES, unseen, 100, 0.1, 3.0))
    assert blind.uncertainty_j == np.inf


@pytest.mark.parametrize('limits', [(-0.1, 0.5), (0.5, 1.5), (0.6, 0.5)])
def test_window_without_samples_is_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(MeterError, match='no power samples over the whole window'):
        integrate(trace(TIMES_S), window(*limits))


def test_a_gap_within_the_window_is_refused() -> None:
    kept = (TIMES_S < 0.4) | (TIMES_S > 0.5)
    samples = PowerTrace(TIMES_S[kept], TIMES_S[kept], 0.0)
    assert list(samples.covers(np.array([0.1, 0.3, 0.6, 0.7]))) == [True, False, True]
    with pytest.raises(MeterError):
        integrate(samples, window(0.3, 0.6))


@pytest.mark.parametrize(('step_s', 'missing_s', 'covered'), [
    (0.0002, 0.04, True), (0.0002, 0.06, False), (0.02, 0.07, True), (0.02, 0.12, False),
    (0.09, 0.0, True), (0.12, 0.0, False)])
def test_a_gap_is_one_of_several_steps(step_s: float, missing_s: float, covered: bool) -> None:
    times_s = np.arange(0.0, 2.0, step_s)
    times_s[len(times_s) // 2:] += missing_s
    samples = PowerTrace(times_s, times_s, 0.0)
    assert bool(samples.covers(np.array([0.5, 1.5])).all()) is covered


def test_a_frame_that_was_dropped_at_once_takes_nothing() -> None:
    other = window(0.3, 0.5, ('head', 0.3, 0.5))
    for others in ([], [other]):
        found = integrate(trace(steps((3.0, 0.3, 0.5))), window(0.4, 0.4), others, FIT)
        assert (found.energy_j, found.idle_j, found.uncertainty_j) == (0.0, 0.0, 0.0)


def test_a_frame_that_queues_takes_no_part_in_the_head_that_it_waits_for() -> None:
    queued = window(0.3, 0.5)
    other = window(0.3, 0.5, ('head', 0.3, 0.5))
    found = integrate(trace(steps((3.0, 0.3, 0.5))), queued, [other], FIT)
    assert found.energy_j == pytest.approx(IDLE_W * 0.2, abs=1e-6)
