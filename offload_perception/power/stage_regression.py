"""Joules per stage from a meter that is far too slow to see a frame.

A USB meter renews a mean over half a second, in which several frames begin and end, so no single
frame can be read from it. But over many refreshes the mean power is a sum over stages,

    mean power = idle power + sum over stages of (extra power of the stage * its share of the time)

whose unknowns a linear regression finds, with confidence intervals, wherever the shares vary
enough to tell the stages apart. Where they do not, the interval says so by being infinite.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from offload_perception.power.frame_energy import REGRESSION, FrameEnergy
from offload_perception.power.samples import REFRESH_S
from offload_perception.power.stage_time import Span, StageTime

MIN_SAMPLES = 30
Z_95 = 1.96
_DELAYS_S = np.arange(0.0, 1.01, 0.05)
_SINGULAR = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A fitted value and the half width of its 95 % interval."""

    value: float
    half_width: float


@dataclass(frozen=True)
class StageFit:
    """The outcome of a regression: idle power and the extra power of each stage.

    `coefficients_w` and `covariance` begin with the idle power; `unseen` holds, as columns, the
    directions that the data say nothing about.
    """

    stages: tuple[str, ...]
    coefficients_w: np.ndarray
    covariance: np.ndarray
    unseen: np.ndarray
    samples: int
    delay_s: float
    residual_w: float

    @property
    def idle_w(self) -> Estimate:
        """Power while no stage runs."""
        return self._estimate({}, 1.0)

    def extra_w(self, stage: str) -> Estimate:
        """Power of a stage beyond idle."""
        return self._estimate({stage: 1.0}, 0.0)

    def frame_energy(self, spans: Iterable[Span], start_s: float, end_s: float) -> FrameEnergy:
        """Attribute energy to a frame between two times, with these spans of its own.

        It is what such a frame costs on average; the uncertainty is that of the average.
        """
        runs_s: dict[str, float] = {}
        for span in spans:
            runs_s[span.stage] = runs_s.get(span.stage, 0.0) + span.duration_s
        whole = self._estimate(runs_s, end_s - start_s)
        return FrameEnergy(
            whole.value, self.idle_w.value * (end_s - start_s), whole.half_width, REGRESSION,
            {stage: self.extra_w(stage).value * run_s for stage, run_s in runs_s.items()})

    def _estimate(self, runs_s: dict[str, float], idle_s: float) -> Estimate:
        """Energy of stages running for so long within so much idling; with 1 s, the power."""
        row = np.array([idle_s, *(runs_s.get(stage, 0.0) for stage in self.stages)])
        value = float(row @ self.coefficients_w)
        if not set(runs_s) <= set(self.stages) or np.any(np.abs(row @ self.unseen) > _SINGULAR):
            return Estimate(value, math.inf)
        return Estimate(value, Z_95 * math.sqrt(max(0.0, row @ self.covariance @ row)))


class StageRegression:
    """Collects spans and power samples in a sliding window, and fits them on demand.

    `averaging_s` is how long the meter averages for one value. How long a value takes from the
    end of that average to the reader is unknown, so the delay is fitted too.
    """

    def __init__(
        self, averaging_s: float = REFRESH_S, max_samples: int = 1200, max_spans: int = 50_000,
    ) -> None:
        self._averaging_s = averaging_s
        self._powers: deque[tuple[float, float]] = deque(maxlen=max_samples)
        self._time = StageTime(max_spans)

    def add_span(self, span: Span) -> None:
        """Tell of a stage that has run."""
        self._time.add(span)

    def add_power(self, t_s: float, power_w: float) -> None:
        """Tell of a new power sample; repeated ones must be left out."""
        self._powers.append((t_s, power_w))

    def fit(self, until_s: float) -> StageFit | None:
        """Fit what is known; None while there are too few samples.

        `until_s`: all spans that began before have been told, as before the start of the oldest
        frame still under way.
        """
        times_s, powers_w = np.array(self._powers).reshape(-1, 2).T
        known_from_s = self._time.known_from_s + self._averaging_s + _DELAYS_S[-1]
        usable = (times_s <= until_s) & (times_s >= known_from_s)
        stages = self._time.stages
        if np.count_nonzero(usable) < MIN_SAMPLES + len(stages) + 1:
            return None
        times_s, powers_w = times_s[usable], powers_w[usable]
        fits = (self._fit_with(delay_s, stages, times_s, powers_w) for delay_s in _DELAYS_S)
        return min(fits, key=lambda fit: fit.residual_w)

    def _fit_with(
        self, delay_s: float, stages: tuple[str, ...], times_s: np.ndarray, powers_w: np.ndarray,
    ) -> StageFit:
        ends_s = times_s - delay_s
        shares = [self._time.within(stage, ends_s - self._averaging_s, ends_s) / self._averaging_s
                  for stage in stages]
        design = np.stack([np.ones_like(times_s), *shares], axis=1)
        coefficients_w, covariance, unseen, residual_w = least_squares(design, powers_w)
        return StageFit(
            stages, coefficients_w, covariance, unseen, len(times_s), float(delay_s), residual_w)


def least_squares(
    design: np.ndarray, target: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Solve by singular values.

    `design` is float64 [samples, unknowns], `target` [samples]. Returns the coefficients of least
    norm, their covariance (White's estimate HC1, as the error grows with the changes of load),
    an orthonormal basis of the directions without data as columns, and the residual's deviation.
    """
    count, unknowns = design.shape
    left, singular, right = np.linalg.svd(design, full_matrices=False)
    seen = singular > _SINGULAR * singular[0]
    inverse = (right[seen].T / singular[seen]) @ left[:, seen].T
    coefficients = inverse @ target
    residuals = target - design @ coefficients
    freedom = max(1, count - unknowns)
    weighted = inverse * residuals
    covariance = weighted @ weighted.T * count / freedom
    return (coefficients, covariance, right[~seen].T,
            float(np.sqrt(residuals @ residuals / freedom)))
