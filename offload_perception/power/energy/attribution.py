"""Energy of each frame of a running drone, from a slow or a fast meter.

Readings of a slow meter are fitted by regression over many frames; samples of a fast one are
integrated over each frame. Both take power and frames as they come, and return frames with their
energy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from offload_perception.power.energy.counter import IdleMeasurement
from offload_perception.power.energy.frame_energy import FrameEnergy, integrate
from offload_perception.power.energy.stage_regression import StageFit, StageRegression
from offload_perception.power.energy.stage_time import Span

REFIT_PERIOD_S = 10.0  # a fit over 10 min of samples takes CPU time from the frames
LONGEST_FRAME_S = 2.0
"""Frames take less; so all frames that began longer ago have been reported, and can be fitted."""
_MAX_WAITING = 1000  # frames without power samples yet; bounded if the meter gives none


@dataclass(frozen=True)
class TimedFrame:
    """A frame that has ended, on the clock that stamps the power (s); `key` is the user's."""

    key: Any
    start_s: float
    end_s: float
    spans: tuple[Span, ...]


def timed_frame(key: Any, end_s: float, total_s: float, stages: dict[str, float]) -> TimedFrame:
    """Return a frame whose stages ran one after the other until `end_s`.

    :param stages: seconds of each stage in order; what of `total_s` they leave was before them.
    """
    spans, at = [], end_s - sum(stages.values())
    for stage, seconds in stages.items():
        if seconds > 0.0:
            spans.append(Span(stage, at, at + seconds))
        at += max(seconds, 0.0)
    return TimedFrame(key, end_s - total_s, end_s, tuple(spans))


class RegressionAttribution:
    """For meters of a few readings a second; returns no energy before the first fit."""

    def __init__(self, refit_period_s: float = REFIT_PERIOD_S) -> None:
        self._regression, self._period_s = StageRegression(), refit_period_s
        self._fit: StageFit | None = None
        self._next_fit_s = -np.inf

    @property
    def fit(self) -> StageFit | None:
        """Return the newest fit: power of each stage with its interval."""
        return self._fit

    def add_power(self, t_s: float, power_w: float) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Take a sample; no frame waits for it."""
        self._regression.add_power(t_s, power_w)
        if t_s >= self._next_fit_s:
            self._next_fit_s = t_s + self._period_s
            self._fit = self._regression.fit(until_s=t_s - LONGEST_FRAME_S) or self._fit
        return iter(())

    def add_frame(self, frame: TimedFrame) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Take a frame, and give it back at once if there is a fit."""
        for span in frame.spans:
            self._regression.add_span(span)
        if self._fit is not None:
            yield frame, self._fit.frame_energy(frame.spans, frame.start_s, frame.end_s)


class IntegralAttribution:
    """For meters with many readings in a frame; a frame waits until they reach over it."""

    def __init__(self, keep_s: float = 10.0) -> None:
        self._keep_s = keep_s
        self._blocks: deque[tuple[np.ndarray, np.ndarray]] = deque()
        self._waiting: deque[TimedFrame] = deque(maxlen=_MAX_WAITING)
        self._busy_until_s = -np.inf
        self._idle = IdleMeasurement()

    def add_power(self, times_s: np.ndarray, powers_w: np.ndarray,
                  ) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Take consecutive samples, and give back the frames that they complete."""
        if len(times_s) == 0:
            return
        self._blocks.append((times_s, powers_w))
        while times_s[-1] - self._blocks[0][0][-1] > self._keep_s:
            self._blocks.popleft()
        if times_s[0] > self._busy_until_s + LONGEST_FRAME_S and not self._waiting:
            self._idle.add(float(powers_w.mean()))
        while self._waiting and self._waiting[0].end_s <= times_s[-1]:
            yield from self._attribute(self._waiting.popleft())

    def add_frame(self, frame: TimedFrame) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Take a frame; its energy comes with the samples after it."""
        self._busy_until_s = max(self._busy_until_s, frame.end_s)
        self._waiting.append(frame)
        return iter(())

    def _attribute(self, frame: TimedFrame) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        times_s = np.concatenate([t for t, _ in self._blocks])
        powers_w = np.concatenate([p for _, p in self._blocks])
        if times_s[0] <= frame.start_s:  # else its samples are forgotten already
            baseline = self._idle.baseline
            idle_w = baseline.power_w if baseline else np.nan
            yield frame, integrate(times_s, powers_w, frame.start_s, frame.end_s, idle_w)
