"""Synthetic truth: a pipeline of known watts, seen through a meter that averages over 0.5 s."""

import functools
import math
import random
from typing import Any

import numpy as np
import pytest

from offload_perception.power.energy.stage_regression import SampledRegression, StageRegression
from offload_perception.power.energy.stage_time import Span, StageTime

IDLE_W = 1.9
EXTRA_W = {'preprocess': 0.9, 'head': 2.4, 'encode': 1.3, 'wait': 0.15}
RUNS_S = {'preprocess': (0.005, 0.02), 'head': (0.02, 0.25), 'encode': (0.005, 0.05),
          'wait': (0.01, 0.1)}
MINUTES = 3
END_S = 60.0 * MINUTES
NOISE_W = 0.005
SEEDS = range(8)


def varied_pipeline(chance: random.Random) -> list[Span]:
    """Frames whose stages vary, with a changing split and some pauses."""
    spans, t_s, split = [], 0.0, 1.0
    while t_s < END_S:
        split = chance.choice([0.1, 0.5, 1.0]) if chance.random() < 0.05 else split
        for stage, limits in RUNS_S.items():
            end_s = t_s + chance.uniform(*limits) * (split if stage == 'head' else 1.0)
            spans.append(Span(stage, t_s, end_s))
            t_s = end_s
        t_s += chance.choice([0.0, 0.0, 0.03, 0.2]) + 3.0 * (chance.random() < 0.01)
    return spans


def even_pipeline(_: None) -> list[Span]:
    """Frames all alike, five to the refresh: preprocess and head always in the same proportion."""
    return [span for t in np.arange(0.0, END_S, 0.1) for span in (
        Span('preprocess', t, t + 0.01), Span('head', t + 0.01, t + 0.06))]


def regression_over(spans: list[Span], seed: int, *, period_s: float = 0.5, poll_hz: float = 3.0,
                    delay_s: float = 0.0) -> StageRegression:
    """Feed a regression what a meter with its own clock would show of these spans."""
    regression, time = StageRegression(), StageTime(len(spans))
    for span in spans:
        regression.add_span(span)
        time.add(span)
    renewed_s = np.arange(0.23, END_S, period_s)
    shown_w = np.full(len(renewed_s), IDLE_W) + sum(
        EXTRA_W[stage] * time.within(
            stage, renewed_s - delay_s - 0.5, renewed_s - delay_s) / 0.5
        for stage in time.stages)
    shown_w += np.random.default_rng(seed).normal(0.0, NOISE_W, len(shown_w))
    for t_s in np.arange(1.0, END_S, 1 / poll_hz):
        regression.add_power(t_s, shown_w[np.searchsorted(renewed_s, t_s, 'right') - 1])
    return regression


@functools.cache
def fitted(seed: Any, period_s: float) -> Any:
    spans = varied_pipeline(random.Random(seed))
    return spans, regression_over(spans, seed, period_s=period_s).fit(END_S)


@pytest.mark.parametrize('period_s', [0.5, 0.505])
def test_joules_per_stage_lie_within_the_stated_intervals(period_s: float) -> None:
    """Of 95 % intervals, at least 85 % of the ones tried here must hold the truth."""
    held = []
    for seed in SEEDS:
        _, fit = fitted(seed, period_s)
        held.append(abs(fit.idle_w.value - IDLE_W) <= fit.idle_w.half_width)
        held += [abs((found := fit.extra_w(stage)).value - true_w) <= found.half_width
                 for stage, true_w in EXTRA_W.items()]
    assert np.mean(held) >= 0.85


@pytest.mark.parametrize('period_s', [0.5, 0.505])
def test_intervals_are_narrow_enough_to_be_of_use(period_s: float) -> None:
    for seed in SEEDS:
        _, fit = fitted(seed, period_s)
        assert fit.extra_w('head').half_width < 0.01
        assert fit.extra_w('wait').half_width < 0.05
        assert fit.residual_w == pytest.approx(NOISE_W, rel=0.3)


def test_energy_of_a_frame() -> None:
    for seed in SEEDS:
        spans, fit = fitted(seed, 0.5)
        frame = spans[400:404]
        start_s, end_s = frame[0].start_s, frame[-1].end_s
        found = fit.frame_energy(frame, [], start_s, end_s)
        active_j = sum(EXTRA_W[span.stage] * span.duration_s for span in frame)
        assert found.active_j == pytest.approx(active_j, abs=0.002)
        assert found.idle_j == pytest.approx(IDLE_W * (end_s - start_s), abs=0.002)
        assert sum(found.stages_j.values()) == pytest.approx(found.active_j)
        assert 0.0 < found.uncertainty_j < 0.003
        assert found.method == 'regression'


def test_stages_that_never_vary_apart_are_said_to_be_inseparable() -> None:
    spans = even_pipeline(None)
    fit = regression_over(spans, 0, period_s=0.5).fit(END_S)
    assert fit.extra_w('head').half_width > 0.5
    assert fit.extra_w('preprocess').half_width > 0.5


def test_a_steady_reading_says_what_a_frame_draws() -> None:
    regression = StageRegression()
    for t_s in np.arange(0.0, END_S, 0.1):
        regression.add_span(Span('preprocess', t_s, t_s + 0.003))
    for t_s in np.arange(-60.0, END_S, 1 / 3):  # what ran before the first span is unknown
        regression.add_power(t_s, IDLE_W if t_s >= 0 else 4.0 + np.sin(t_s))
    fit = regression.fit(END_S)
    found = fit.frame_energy([Span('preprocess', 0.0, 0.003)], [], 0.0, 0.1)
    assert found.energy_j == pytest.approx(0.1 * IDLE_W, abs=found.uncertainty_j)
    assert 0.0 < found.uncertainty_j < 0.001


def test_unknown_stage_has_no_interval() -> None:
    _, fit = fitted(0, 0.5)
    assert fit.extra_w('decode').half_width == math.inf
    assert fit.frame_energy([Span('decode', 0.0, 1.0)], [], 0.0, 1.0).uncertainty_j == math.inf


def test_values_that_are_shown_late() -> None:
    spans = varied_pipeline(random.Random(1))
    fit = regression_over(spans, 1, delay_s=0.7).fit(END_S)
    assert fit.extra_w('head').value == pytest.approx(EXTRA_W['head'], abs=0.01)
    assert fit.residual_w == pytest.approx(NOISE_W, rel=0.3)


def test_too_few_samples_give_no_fit() -> None:
    regression = StageRegression()
    assert regression.fit(100.0) is None
    regression.add_span(Span('head', 0.0, 1.0))
    for t_s in range(40):
        regression.add_power(float(t_s), float(t_s))
    assert regression.fit(100.0) is None


def test_a_gap_in_the_samples_of_a_fast_meter_is_left_out_of_the_fit() -> None:
    rng, spans = np.random.default_rng(0), varied_pipeline(random.Random(0))
    regression, time = SampledRegression(), StageTime(len(spans))
    for span in spans:
        regression.add_span(span)
        time.add(span)
    times_s = np.arange(0.0, 60.0, 0.001)
    powers_w = IDLE_W + rng.normal(0.0, NOISE_W, len(times_s)) + sum(
        EXTRA_W[stage] * np.gradient(time.busy(stage)(times_s), 0.001) for stage in time.stages)
    for at in range(0, len(times_s), 500):
        if not 20.03 < times_s[at] < 27.33:  # no whole number of means
            block = slice(at, at + 500)
            regression.add_power(times_s[block] + (at % 3) * 0.001, powers_w[block])
    fit = regression.fit(58.0)
    assert fit.samples == pytest.approx((58.0 - 7.5) / 0.1, abs=10)
    for stage, true_w in EXTRA_W.items():
        assert fit.extra_w(stage).value == pytest.approx(true_w, abs=0.1)


def test_samples_after_the_known_spans_are_left_out() -> None:
    spans = varied_pipeline(random.Random(0))
    regression = regression_over(spans, 0)
    assert regression.fit(END_S / 2).samples < 0.6 * regression.fit(END_S).samples
