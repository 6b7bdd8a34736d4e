"""When each stage of a frame ran, from the frame's message."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

from offload_perception.frames import Outcome
from offload_perception.power.energy.stage_time import Span

LINK = 'link'
"""Stage of a frame that is away: the radio is on, and the processor waits."""


@dataclass(frozen=True)
class TimedFrame:
    """A frame that has ended, in seconds of the monotonic clock that stamps the power.

    `key` is the user's; `spans` are the stages that ran on board, and the time it was away.
    """

    key: Any
    start_s: float
    end_s: float
    spans: tuple[Span, ...]


def timed_frame(m: Any) -> TimedFrame:
    """Lay the stages of a frame in time, from its arrival on.

    It was away from the end of its encoding to its end, or to the layers that its hedge ran on
    board: also when no reply came, so that no time of the link is known.

    :param m: has the fields of FrameLatency; the frame is its key.
    """
    spans, at_s = [], m.end - m.total

    def add(stage: str, seconds: float) -> None:
        nonlocal at_s
        until_s = min(at_s + seconds, m.end)
        if until_s > at_s:
            spans.append(Span(stage, at_s, until_s))
            at_s = until_s

    at_s += _seconds(m.queue)
    for stage in ('preprocess', 'head', 'encode'):
        add(stage, _seconds(getattr(m, stage)))
    tail_s = _seconds(m.tail) if m.outcome == Outcome.LOCAL else 0.0
    if m.bytes:
        add(LINK, m.end - tail_s - at_s)
    at_s = max(at_s, m.end - tail_s)
    add('tail', tail_s)
    return TimedFrame(m, m.end - m.total, m.end, tuple(spans))


def _seconds(stage_s: float) -> float:
    """Seconds of a stage; 0 if it did not run."""
    return 0.0 if isnan(stage_s) else stage_s
