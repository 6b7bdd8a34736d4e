"""Energy of each frame of a running drone, from a slow or a fast meter.

Readings of a slow meter are fitted by regression over many frames; samples of a fast one are
integrated over each frame. Both take power and frames as they come, and return frames with their
energy. A frame waits until the frames that overlapped it have ended too, since they share power.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator

import numpy as np

from offload_perception.errors import MeterError
from offload_perception.power.drivers.block_clock import CLOCK_S
from offload_perception.power.drivers.samples import REFRESH_S
from offload_perception.power.energy.frame_energy import FrameEnergy
from offload_perception.power.energy.frame_time import TimedFrame
from offload_perception.power.energy.integral import integrate
from offload_perception.power.energy.power_trace import PowerTrace
from offload_perception.power.energy.stage_regression import (
    Regression,
    SampledRegression,
    StageFit,
    StageRegression,
)

REFIT_PERIOD_S = 10.0  # a fit over 10 min of samples takes CPU time from the frames
LONGEST_FRAME_S = 2.0
"""Frames take less; so all frames that began longer ago have been reported, and can be fitted."""
KEEP_S = 10.0
"""Frames and samples are kept for this time; a frame that has no energy by then gets none."""
_MOST = 1000  # frames that wait, or are kept: more than a camera gives in that time
_MARGIN_S = 0.1  # of samples around a frame: its edges are moved by the error of the times


class Attribution(ABC):
    """Frames that wait for their energy.

    :ivar metered: frames that got an energy so far.
    :ivar early: frames without one, since the powers that it needs were not known yet.
    :ivar unmetered: frames without one, since there was no power for them in time.
    :ivar fit: the newest fit, power of each stage with its interval; None before there is one.
    """

    def __init__(self, regression: Regression, refit_period_s: float) -> None:
        self._regression, self._period_s = regression, refit_period_s
        self._next_fit_s = -np.inf
        self._waiting: deque[TimedFrame] = deque()
        self._ended: deque[TimedFrame] = deque(maxlen=_MOST)
        self.fit: StageFit | None = None
        self.metered = self.early = self.unmetered = 0

    def add_frame(self, frame: TimedFrame) -> None:
        """Take a frame; its energy comes with power samples after it."""
        for span in frame.spans:
            self._regression.add_span(span)
        self._ended.append(frame)
        self._waiting.append(frame)
        self._give_up(frame.end_s - KEEP_S)

    def _give_up(self, until_s: float) -> None:
        """End the wait of frames that ended before `until_s`, and of those that are too many."""
        while self._waiting and (self._waiting[0].end_s < until_s or len(self._waiting) > _MOST):
            self._waiting.popleft()
            self.unmetered += 1

    def _release(self, now_s: float) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Give back the frames that the power until `now_s` completes."""
        if now_s >= self._next_fit_s:
            self._next_fit_s = now_s + self._period_s
            self.fit = self._regression.fit(until_s=now_s - LONGEST_FRAME_S) or self.fit
        self._give_up(now_s - KEEP_S)
        while self._ended and self._ended[0].end_s < now_s - 2 * KEEP_S:
            self._ended.popleft()
        while self._waiting and self._waiting[0].end_s <= now_s - LONGEST_FRAME_S:
            frame = self._waiting.popleft()
            try:
                energy = self._energy(frame, [
                    f for f in self._ended if f is not frame
                    and f.start_s < frame.end_s and f.end_s > frame.start_s])
            except MeterError:
                self.unmetered += 1
                continue
            if energy is None:
                self.early += 1
            else:
                self.metered += 1
                yield frame, energy

    @abstractmethod
    def _energy(self, frame: TimedFrame, others: list[TimedFrame]) -> FrameEnergy | None:
        """Return the energy of a frame that `others` overlap; None before there is a fit.

        :raises MeterError: if there is no power for it.
        """


class RegressionAttribution(Attribution):
    """For meters of a few readings a second; gives no energy before the first fit.

    Their values are means over `refresh_s`, and are renewed as often.
    """

    def __init__(self, refit_period_s: float = REFIT_PERIOD_S, *,
                 refresh_s: float = REFRESH_S) -> None:
        self._slow = StageRegression(refresh_s)
        super().__init__(self._slow, refit_period_s)

    def add_power(self, t_s: float, power_w: float) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Take a sample, and give back the frames that it completes."""
        self._slow.add_power(t_s, power_w)
        yield from self._release(t_s)

    def _energy(self, frame: TimedFrame, others: list[TimedFrame]) -> FrameEnergy | None:
        if self.fit is None:
            return None
        return self.fit.frame_energy(frame.spans, [s for f in others for s in f.spans],
                                     frame.start_s, frame.end_s)


class IntegralAttribution(Attribution):
    """For meters with many readings in a frame; frames that overlap need a fit to share power."""

    def __init__(self, refit_period_s: float = REFIT_PERIOD_S) -> None:
        self._fast = SampledRegression()
        super().__init__(self._fast, refit_period_s)
        self._blocks: deque[tuple[np.ndarray, np.ndarray, float]] = deque()

    def add_power(self, times_s: np.ndarray, powers_w: np.ndarray, error_s: float = CLOCK_S,
                  ) -> Iterator[tuple[TimedFrame, FrameEnergy]]:
        """Take consecutive samples, and give back the frames that they complete.

        :param error_s: standard deviation of the times' common error.
        """
        if len(times_s) == 0:
            return
        self._fast.add_power(times_s, powers_w)
        self._blocks.append((times_s, powers_w, error_s))
        while times_s[-1] - self._blocks[0][0][-1] > KEEP_S:
            self._blocks.popleft()
        yield from self._release(float(times_s[-1]))

    def _energy(self, frame: TimedFrame, others: list[TimedFrame]) -> FrameEnergy | None:
        near = [block for block in self._blocks if block[0][-1] >= frame.start_s - _MARGIN_S
                and block[0][0] <= frame.end_s + _MARGIN_S]
        if not near:
            raise MeterError('the samples for this frame are not there any more')
        times_s, powers_w, errors_s = zip(*near, strict=True)
        trace = PowerTrace(np.concatenate(times_s), np.concatenate(powers_w), max(errors_s))
        return integrate(trace, frame, others, self.fit)
