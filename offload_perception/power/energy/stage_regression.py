"""Joules per stage, from a meter that is too slow to measure single frames.

A USB meter renews a mean over half a second, in which several frames begin and end, so no single
frame can be read from it. But over many refreshes the mean power is a sum over stages,

    mean power = idle power + sum over stages of (extra power of the stage * its share of the time)

whose unknowns a linear regression finds, with confidence intervals, if the shares vary enough to
distinguish the stages. If they do not, the interval is infinite.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from offload_perception.power.drivers.samples import REFRESH_S
from offload_perception.power.energy.frame_energy import REGRESSION, FrameEnergy
from offload_perception.power.energy.least_squares import SINGULAR, Solution, least_squares
from offload_perception.power.energy.refresh_clock import RefreshClock
from offload_perception.power.energy.stage_time import Span, StageTime

MIN_SAMPLES = 60
"""Half a minute of a UM meter; the residual of fewer samples is too uncertain."""
Z_95 = 1.96  # half width of a 95 % interval by the standard deviation, normal distribution
RESOLUTION_W = 0.001
"""Resolution of the power of a UM meter."""
# Search of the delay from the end of an average to its reading: first on this grid, then by
# Gauss-Newton iterations of at most a step of the grid.
_DELAYS_S = np.arange(-0.3, 1.0, 0.05)
_ITERATIONS, _MAX_SHIFT_S = 4, 0.05
_DIFFERENCE_S = 0.002  # step of the numerical derivative

BusyTime = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A fitted value and the half width of its 95 % interval."""

    value: float
    half_width: float


@dataclass(frozen=True)
class StageFit:
    """The outcome: idle power and the extra power of each stage, in the order of `stages`."""

    stages: tuple[str, ...]
    solution: Solution
    samples: int

    @property
    def idle_w(self) -> Estimate:
        """Power while no stage runs."""
        return self._estimate({}, 1.0)

    @property
    def residual_w(self) -> float:
        """Standard deviation of what the stages leave unexplained."""
        return self.solution.residual

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
        """Energy of stages with these times, within this idle time; with 1 s, the power."""
        row = np.array([idle_s, *(runs_s.get(stage, 0.0) for stage in self.stages)])
        value = float(row @ self.solution.coefficients)
        unanswered = np.abs(row @ self.solution.unseen) > SINGULAR * np.linalg.norm(row)
        if not set(runs_s) <= set(self.stages) or np.any(unanswered):
            return Estimate(value, math.inf)
        variance = float(row @ self.solution.covariance @ row)
        return Estimate(value, Z_95 * math.sqrt(max(0.0, variance)))


class StageRegression:
    """Collects spans and power samples in a sliding window, and fits them on demand.

    `averaging_s`: the meter's values are means over this time, and renewed as often. That is how a
    UM meter's display behaves; one that shows an instant instead leaves a larger `residual_w`.
    """

    def __init__(
        self, averaging_s: float = REFRESH_S, max_samples: int = 1200, max_spans: int = 50_000,
    ) -> None:
        self._averaging_s, self._clock = averaging_s, RefreshClock(averaging_s)
        self._rows: deque[tuple[int, float, float]] = deque(maxlen=max_samples)
        self._time = StageTime(max_spans)

    def add_span(self, span: Span) -> None:
        """Take a stage that has run."""
        self._time.add(span)

    def add_power(self, t_s: float, power_w: float) -> None:
        """Take every sample, also repeated ones: they show when values were renewed."""
        if (refresh := self._clock.see(t_s, power_w)) is not None:
            self._rows.append((refresh.number, refresh.middle_s, power_w))

    def fit(self, until_s: float) -> StageFit | None:
        """Fit what is known; None while there are too few samples.

        `until_s`: every span that began before it has been added; the start of the oldest frame
        under way is such a time.
        """
        numbers, middles_s, powers_w = np.array(self._rows).reshape(-1, 3).T
        known_from_s = self._time.known_from_s + self._averaging_s + _DELAYS_S[-1]
        usable = (middles_s <= until_s + _DELAYS_S[0]) & (middles_s >= known_from_s)
        if np.count_nonzero(usable) < MIN_SAMPLES:
            return None
        numbers = numbers[usable] - numbers[usable].mean()
        ends_s = np.polyval(np.polyfit(numbers, middles_s[usable], 1), numbers)
        stages = self._time.stages
        model = _Model([self._time.busy(stage) for stage in stages], self._averaging_s)
        solution = model.fit(ends_s, numbers, powers_w[usable])
        return StageFit(stages, solution.first(1 + len(stages)), len(numbers))


class _Model:
    """Mean power as a function of when the averages ended."""

    def __init__(self, busy: list[BusyTime], averaging_s: float) -> None:
        self._busy, self._averaging_s = busy, averaging_s

    def fit(self, ends_s: np.ndarray, numbers: np.ndarray, powers_w: np.ndarray) -> Solution:
        """Fit powers, delay and refresh period together.

        The delay is searched coarsely; then Gauss-Newton steps refine it with the period. Both
        stay unknowns of the regression, so that their uncertainty widens the intervals.
        """
        def residual(delay_s: float) -> float:
            return least_squares(self._design(ends_s - delay_s), powers_w).residual

        ends_s = ends_s - min(_DELAYS_S, key=residual)
        for _ in range(_ITERATIONS):
            solution = self._linearised(ends_s, numbers, powers_w)
            shift_s = solution.coefficients[-2] + solution.coefficients[-1] * numbers
            ends_s = ends_s + np.clip(shift_s, -_MAX_SHIFT_S, _MAX_SHIFT_S)
        return solution

    def _linearised(
        self, ends_s: np.ndarray, numbers: np.ndarray, powers_w: np.ndarray,
    ) -> Solution:
        """Solve with two more unknowns: a shift of all refreshes, and one per refresh."""
        design = self._design(ends_s)
        coefficients = least_squares(design, powers_w).coefficients
        later, earlier = (self._design(ends_s + step_s) @ coefficients
                          for step_s in (_DIFFERENCE_S, -_DIFFERENCE_S))
        slope = (later - earlier) / (2 * _DIFFERENCE_S)
        return least_squares(np.column_stack([design, slope, slope * numbers]), powers_w,
                             RESOLUTION_W)

    def _design(self, ends_s: np.ndarray) -> np.ndarray:
        """Idle share (always 1) and the share of each stage, for the average before each end."""
        starts_s = ends_s - self._averaging_s
        shares = [(busy(ends_s) - busy(starts_s)) / self._averaging_s for busy in self._busy]
        return np.stack([np.ones_like(ends_s), *shares], axis=1)
