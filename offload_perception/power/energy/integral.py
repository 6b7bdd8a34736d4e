"""Energy of single frames from the samples of a fast meter, of which each frame has many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from offload_perception.errors import MeterError
from offload_perception.power.energy.frame_energy import TRAPEZOID, FrameEnergy
from offload_perception.power.energy.frame_time import TimedFrame
from offload_perception.power.energy.power_trace import PowerTrace
from offload_perception.power.energy.stage_regression import Z_95, StageFit

_FAINT_W = 1e-6  # power above idle while no stage runs: all frames that are open share it
_LEAST_W = 1e-3  # of a stage, whose estimate may be negative
_STEP_W = 1e-4  # of the numerical derivative


@dataclass(frozen=True)
class _Shares:
    """The window of a frame in pieces, in each of which the same stages of all frames run.

    `edges_s` is float64 [pieces + 1]. Of the power of each stage `own` is the frame's part, and
    `running` says whether any frame is in it, float64 [stages, pieces]; `open` counts the frames
    that have arrived and not ended, [pieces].
    """

    edges_s: np.ndarray
    own: np.ndarray
    running: np.ndarray
    open: np.ndarray

    def of(self, extra_w: np.ndarray) -> np.ndarray:
        """Return the frame's share of the power above idle, by the power of each stage."""
        weights = np.maximum(extra_w, _LEAST_W)
        shares: np.ndarray = ((weights @ self.own + _FAINT_W / self.open)
                              / (weights @ self.running + _FAINT_W))
        return shares


def _shares(frame: TimedFrame, others: Sequence[TimedFrame], stages: Sequence[str]) -> _Shares:
    frames = (frame, *others)
    edges_s = np.unique(np.clip([
        frame.start_s, frame.end_s, *(t for f in others for t in (f.start_s, f.end_s)),
        *(t for f in frames for s in f.spans for t in (s.start_s, s.end_s))],
        frame.start_s, frame.end_s))
    middles_s = (edges_s[1:] + edges_s[:-1]) / 2
    counts = np.array([[_inside(f, stage, middles_s) for stage in stages] for f in frames])
    together = counts.sum(axis=0)
    return _Shares(
        edges_s, counts[0] / np.maximum(together, 1.0), np.minimum(together, 1.0),
        np.sum([(f.start_s <= middles_s) & (middles_s < f.end_s) for f in frames], axis=0))


def _inside(frame: TimedFrame, stage: str, moments_s: np.ndarray) -> np.ndarray:
    """Return 1.0 for moments at which a frame is in a stage, else 0.0."""
    inside = np.zeros(len(moments_s))
    for s in frame.spans:
        if s.stage == stage:
            inside[(s.start_s <= moments_s) & (moments_s < s.end_s)] = 1.0
    return inside


def integrate(trace: PowerTrace, frame: TimedFrame, others: Sequence[TimedFrame] = (),
              fit: StageFit | None = None) -> FrameEnergy | None:
    """Integrate power over a frame's window by the trapezoidal rule.

    While `others` overlap it, they share the power above idle: in proportion to the powers of
    the stages that each is in, as `fit` has them, and equally while no stage runs. So the active
    energies of all frames add up to the integral above idle. None if frames overlap and no fit
    says how they share.

    The uncertainty is that of noise, sampling, clock and, if frames overlap, of the fit.

    :raises MeterError: if the samples do not cover the window.
    """
    if not trace.covers(np.array([frame.start_s, frame.end_s])).all():
        raise MeterError(
            f'no power samples over the whole window {frame.start_s:.3f} to {frame.end_s:.3f} s: '
            'keep samples for longer, or ask for the frame later')
    if others and fit is None:
        return None
    stages = fit.stages if fit else ()
    pieces = _shares(frame, others, stages)
    lengths_s = np.diff(pieces.edges_s)

    def energy_j(powers_w: np.ndarray, late_s: float = 0.0) -> float:
        drawn_j = trace.drawn_j(pieces.edges_s + late_s)
        if not others:
            return float(drawn_j.sum())
        own = pieces.of(powers_w[1:])
        return float(own @ drawn_j + powers_w[0] * ((1 - own) @ lengths_s))

    powers_w = fit.solution.coefficients if fit else np.full(1, nan)
    found_j = energy_j(powers_w)
    own = pieces.of(powers_w[1:]) if others else np.ones(len(lengths_s))
    variance_j2 = float(own ** 2 @ trace.variances_j2(pieces.edges_s))
    variance_j2 += sum((energy_j(powers_w, late_s) - found_j) ** 2 / 2
                       for late_s in (-trace.clock_s, trace.clock_s))
    spread_j = sqrt(variance_j2)
    if others and fit:
        row = np.array([(energy_j(powers_w + step_w) - found_j) / _STEP_W
                        for step_w in _STEP_W * np.eye(len(powers_w))])
        spread_j = float(np.hypot(spread_j, fit.spread(row)))
    return FrameEnergy(
        found_j, float(powers_w[0]) * (frame.end_s - frame.start_s), Z_95 * spread_j, TRAPEZOID,
        residual_w=fit.residual_w if fit else nan)
