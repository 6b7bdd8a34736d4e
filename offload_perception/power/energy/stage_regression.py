"""Joules per stage, from a meter that is too slow to measure single frames.

A USB meter renews a mean over half a second, in which several frames begin and end, so no single
frame can be read from it. But over many refreshes the mean power is a sum over stages,

    mean power = idle power + sum over stages of (extra power of the stage * its share of the time)

whose unknowns a linear regression finds, with confidence intervals, if the shares vary enough to
distinguish the stages. If they do not, the interval is infinite.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from offload_perception.power.drivers.samples import REFRESH_S
from offload_perception.power.energy.frame_energy import REGRESSION, FrameEnergy
from offload_perception.power.energy.least_squares import (
    SINGULAR,
    Solution,
    least_squares,
    persistence,
    student_95,
    whitened,
)
from offload_perception.power.energy.power_trace import LONG_GAP_S, PowerTrace
from offload_perception.power.energy.refresh_clock import Refreshes, refreshes
from offload_perception.power.energy.stage_time import Span, StageTime, shared_s

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
_MOST_POLLS = 10_000


@dataclass(frozen=True)
class Estimate:
    """A fitted value and the half width of its 95 % interval."""

    value: float
    half_width: float


@dataclass(frozen=True)
class StageFit:
    """The outcome: idle power and the extra power of each stage, in the order of `stages`.

    `residual_w` is the root mean square of what they leave unexplained, `mean_w` the mean power.
    """

    stages: tuple[str, ...]
    solution: Solution
    samples: int
    residual_w: float
    mean_w: float

    @property
    def idle_w(self) -> Estimate:
        """Power while no stage runs."""
        return self.energy({}, 1.0)

    def extra_w(self, stage: str) -> Estimate:
        """Power of a stage beyond idle."""
        return self.energy({stage: 1.0}, 0.0)

    def frame_energy(self, spans: Iterable[Span], others: Iterable[Span], start_s: float,
                     end_s: float) -> FrameEnergy:
        """Attribute energy to a frame between two times, with these spans of its own.

        It is what such a frame costs on average; the uncertainty is that of the average. Time in
        which `others`, spans of other frames, are in the same stage is shared with them.
        """
        runs_s: dict[str, float] = {}
        for span in spans:
            runs_s[span.stage] = runs_s.get(span.stage, 0.0) + shared_s(span, others)
        whole = self.energy(runs_s, end_s - start_s)
        return FrameEnergy(
            whole.value, self.idle_w.value * (end_s - start_s), whole.half_width, REGRESSION,
            {stage: self.extra_w(stage).value * run_s for stage, run_s in runs_s.items()},
            self.residual_w)

    def energy(self, runs_s: Mapping[str, float], idle_s: float) -> Estimate:
        """Return the energy of stages with these times, within this idle time; of 1 s, a power."""
        row = np.array([idle_s, *(runs_s.get(stage, 0.0) for stage in self.stages)])
        known = set(runs_s) <= set(self.stages)
        return Estimate(float(row @ self.solution.coefficients),
                        Z_95 * self.spread(row) if known else math.inf)

    def spread(self, row: np.ndarray) -> float:
        """Return the standard deviation of `row @ coefficients`; infinite if not determined."""
        if np.any(np.abs(row @ self.solution.unseen) > SINGULAR * np.linalg.norm(row)):
            return math.inf
        return math.sqrt(max(0.0, float(row @ self.solution.covariance @ row)))


class Regression(ABC):
    """Spans and mean powers of the last minutes, fitted on demand.

    `averaging_s`: each power is a mean over this time, and there is one for each such time.
    `delays_s`: by so much a mean may seem to end later than it did.
    """

    def __init__(self, averaging_s: float, delays_s: np.ndarray, max_spans: int) -> None:
        self._averaging_s, self._delays_s = averaging_s, delays_s
        self._time = StageTime(max_spans)

    def add_span(self, span: Span) -> None:
        """Take a stage that has run."""
        self._time.add(span)

    def fit(self, until_s: float) -> StageFit | None:
        """Fit what is known; None while there are too few samples.

        `until_s`: every span that began before it has been added; the start of the oldest frame
        under way is such a time.
        """
        means = self._means()
        known_from_s = self._time.known_from_s + self._averaging_s + self._delays_s[-1]
        usable = (means.ends_s <= until_s + self._delays_s[0]) & (means.ends_s >= known_from_s)
        if np.count_nonzero(usable) < MIN_SAMPLES:
            return None
        model = _Model(self._time, self._averaging_s, means.numbers[usable], means.values[usable])
        return model.fit(means.ends_s[usable], self._delays_s)

    @abstractmethod
    def _means(self) -> Refreshes:
        """Return the mean powers [W], and when each ended."""


class StageRegression(Regression):
    """Of a UM meter, whose display shows means and renews them as often as they are long.

    A meter that shows an instant instead leaves a larger `residual_w`.
    """

    def __init__(self, averaging_s: float = REFRESH_S, window_s: float = 600.0,
                 max_spans: int = 50_000) -> None:
        super().__init__(averaging_s, _DELAYS_S, max_spans)
        self._window_s = window_s
        self._polls: deque[tuple[float, float]] = deque(maxlen=_MOST_POLLS)

    def add_power(self, t_s: float, power_w: float) -> None:
        """Take every sample, also repeated ones: they show when values were renewed."""
        self._polls.append((t_s, power_w))
        while t_s - self._polls[0][0] > self._window_s:
            self._polls.popleft()

    def _means(self) -> Refreshes:
        times_s, powers_w = np.array(self._polls).reshape(-1, 2).T
        return refreshes(times_s, powers_w, self._averaging_s)


class SampledRegression(Regression):
    """Of a fast meter: means over `averaging_s`.

    They are short enough to tell a frame's stages apart, and hold five samples at 50 Hz: what is
    smeared over the edges of a mean makes the powers of the stages too small.
    """

    def __init__(self, averaging_s: float = 0.1, max_means: int = 3000,
                 max_spans: int = 50_000) -> None:
        super().__init__(averaging_s, np.zeros(1), max_spans)
        self._rows: deque[tuple[int, float]] = deque(maxlen=max_means)
        self._number = 0  # of the newest mean, or of the time up to which there is none
        self._rest = np.empty(0), np.empty(0)  # times and powers from there on

    def add_power(self, times_s: np.ndarray, powers_w: np.ndarray) -> None:
        """Take consecutive samples, float64 of one length.

        Means are over even pieces of time; a piece that samples do not cover has none.
        """
        if len(self._rest[0]) and times_s[0] - self._rest[0][-1] <= LONG_GAP_S:
            times_s, powers_w = (np.concatenate(both) for both in zip(
                self._rest, (times_s, powers_w), strict=True))
        numbers = np.arange(max(self._number, math.ceil(times_s[0] / self._averaging_s)),
                            math.floor(times_s[-1] / self._averaging_s) + 1)
        if len(numbers) > 1:
            self._number = int(numbers[-1])
            trace, edges_s = PowerTrace(times_s, powers_w, 0.0), self._averaging_s * numbers
            means_w = trace.drawn_j(edges_s) / self._averaging_s
            known = trace.covers(edges_s)
            self._rows.extend(zip(numbers[1:][known].tolist(), means_w[known].tolist(),
                                  strict=True))
            kept = max(0, int(np.searchsorted(times_s, edges_s[-1], 'right')) - 1)
            times_s, powers_w = times_s[kept:], powers_w[kept:]
        self._rest = times_s, powers_w

    def _means(self) -> Refreshes:
        numbers, means_w = np.array(self._rows).reshape(-1, 2).T
        return Refreshes(numbers, self._averaging_s * numbers, means_w)


class _Model:
    """Mean power as a function of when the averages ended.

    `numbers` are the numbers of the averages, from one to the next of which errors may persist:
    those of other programs' load do, for many of them.
    """

    def __init__(self, time: StageTime, averaging_s: float, numbers: np.ndarray,
                 powers_w: np.ndarray) -> None:
        self._stages = time.stages
        self._busy = [time.busy(stage) for stage in self._stages]
        self._averaging_s, self._powers_w = averaging_s, powers_w
        self._numbers, self._centred = numbers, numbers - numbers.mean()
        self._left = self._residual_w = 0.0

    def fit(self, ends_s: np.ndarray, delays_s: np.ndarray) -> StageFit:
        """Fit powers, delay and period of the averages together.

        The delay is searched coarsely; then Gauss-Newton steps refine it with the period. Both
        stay unknowns of the regression, so that their uncertainty widens the intervals.
        """
        for _ in range(2):  # the errors of the first fit show how they persist
            delay_s = min(delays_s, key=lambda d: self._unexplained(ends_s - d))
            self._solve(self._design(ends_s - delay_s))
        ends_s = ends_s - delay_s
        for _ in range(_ITERATIONS):
            solution = self._linearised(ends_s)
            shift_s = solution.coefficients[-2] + solution.coefficients[-1] * self._centred
            ends_s = ends_s + np.clip(shift_s, -_MAX_SHIFT_S, _MAX_SHIFT_S)
        solution = solution.first(1 + len(self._stages))
        return StageFit(
            self._stages, solution.widened(0, self._doubt), len(self._numbers),
            self._residual_w, float(self._powers_w.mean()))

    @property
    def _doubt(self) -> float:
        """Factor on the interval of the idle power, which few independent samples determine.

        Of errors that persist, as many samples are worth one as an autoregression says.
        """
        worth = len(self._numbers) * (1 - self._left) / (1 + self._left)
        return student_95(worth - 1.0) / Z_95

    def _unexplained(self, ends_s: np.ndarray) -> float:
        """Squares of what is left when the powers are fitted."""
        design = self._whitened(self._design(ends_s))
        powers_w = self._whitened(self._powers_w)
        solution = np.linalg.lstsq(design, powers_w, SINGULAR)[0]
        return float(np.sum((powers_w - design @ solution) ** 2))

    def _linearised(self, ends_s: np.ndarray) -> Solution:
        """Solve with two more unknowns: a shift of all refreshes, and one per refresh."""
        design = self._design(ends_s)
        coefficients = self._solve(design).coefficients
        later, earlier = (self._design(ends_s + step_s) @ coefficients
                          for step_s in (_DIFFERENCE_S, -_DIFFERENCE_S))
        slope = (later - earlier) / (2 * _DIFFERENCE_S)
        return self._solve(np.column_stack([design, slope, slope * self._centred]))

    def _solve(self, design: np.ndarray) -> Solution:
        """Solve for errors that persist as those of the last solution did."""
        solution = least_squares(self._whitened(design), self._whitened(self._powers_w),
                                 RESOLUTION_W)
        residuals_w = self._powers_w - design @ solution.coefficients
        self._residual_w = math.sqrt(float(np.mean(residuals_w ** 2)))
        told = self._residual_w > RESOLUTION_W  # else it is the rounding of the readings
        self._left = persistence(residuals_w, self._numbers) if told else 0.0
        return solution

    def _whitened(self, values: np.ndarray) -> np.ndarray:
        return whitened(values, self._numbers, self._left)

    def _design(self, ends_s: np.ndarray) -> np.ndarray:
        """Idle share (always 1) and the share of each stage, for the average before each end."""
        starts_s = ends_s - self._averaging_s
        shares = [(busy(ends_s) - busy(starts_s)) / self._averaging_s for busy in self._busy]
        return np.stack([np.ones_like(ends_s), *shares], axis=1)
