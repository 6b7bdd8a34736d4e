"""When which stage of the pipeline ran, and how much of any stretch of time it took.

Frames overlap: while one is away, the next one is computed. A stage draws its power once, however
many frames are in it, and they share it in equal parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """One run of one stage, in seconds of the monotonic clock that also stamps the samples."""

    stage: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it ran."""
        return self.end_s - self.start_s

    def overlaps(self, start_s: float, end_s: float) -> bool:
        """Whether it has any time in a stretch."""
        return self.start_s < end_s and self.end_s > start_s


class StageTime:
    """Remembers the latest spans."""

    def __init__(self, max_spans: int) -> None:
        self._spans: deque[Span] = deque(maxlen=max_spans)

    def add(self, span: Span) -> None:
        """Remember a span that has ended."""
        self._spans.append(span)

    @property
    def known_from_s(self) -> float:
        """Since when all spans are known."""
        if not self._spans:
            return np.inf
        full = len(self._spans) == self._spans.maxlen
        return self._spans[0].end_s if full else self._spans[0].start_s

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of all stages seen, sorted."""
        return tuple(sorted({span.stage for span in self._spans}))

    def within(self, stage: str, starts_s: np.ndarray, ends_s: np.ndarray) -> np.ndarray:
        """Seconds that a stage ran within each of the stretches, float64 of the same length."""
        busy = self.busy(stage)
        seconds: np.ndarray = busy(ends_s) - busy(starts_s)
        return seconds

    def busy(self, stage: str) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function from moments to the seconds that a stage ran before each of them.

        It is a polyline with a knee at each start and end, made once for many evaluations. Time
        in which several frames were in the stage counts once.
        """
        spans = [(span.start_s, span.end_s) for span in self._spans if span.stage == stage]
        edges = np.array(spans).reshape(-1, 2).T.ravel()
        order = np.argsort(edges, kind='stable')
        running = np.cumsum(np.repeat([1, -1], len(spans))[order]) > 0
        knees_s = edges[order]
        busy_s = np.concatenate([[0.0], np.cumsum(running[:-1] * np.diff(knees_s))])
        return lambda moments_s: np.interp(moments_s, knees_s, busy_s)


def shared_s(span: Span, others: Iterable[Span]) -> float:
    """Return the seconds of a span, of which each moment is shared with `others` of its stage."""
    same = [o for o in others if o.stage == span.stage and o.overlaps(span.start_s, span.end_s)]
    if not same:
        return span.duration_s
    edges_s = np.unique(np.clip([span.start_s, span.end_s, *(
        t for o in same for t in (o.start_s, o.end_s))], span.start_s, span.end_s))
    middles_s = (edges_s[1:] + edges_s[:-1]) / 2
    sharing = 1 + sum(((o.start_s <= middles_s) & (middles_s < o.end_s)).astype(int) for o in same)
    return float(np.sum(np.diff(edges_s) / sharing))
