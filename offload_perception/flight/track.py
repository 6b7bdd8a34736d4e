"""What a value was at a moment in the past, from the samples before and after it."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import remainder
from operator import itemgetter
from typing import Generic, TypeVar

from offload_perception.flight.vehicle_state import Position

Value = TypeVar('Value')
_stamp = itemgetter(0)


@dataclass(frozen=True)
class Fix(Generic[Value]):
    """A value at a moment, or the reason why there is none.

    `age_s` is the time from the moment to the nearer sample, `gap_s` that between the samples.
    """

    value: Value | None = None
    reason: str = ''
    age_s: float = float('nan')
    gap_s: float = float('nan')


class Track(Generic[Value]):
    """The samples of the last seconds, in order of their stamps.

    `between(a, b, share)` interpolates; samples further apart than `max_gap_s` are not
    interpolated. Stamps are seconds of one clock.
    """

    def __init__(self, name: str, between: Callable[[Value, Value, float], Value], *,
                 keep_s: float, max_gap_s: float) -> None:
        self._name, self._between = name, between
        self._keep_s, self._max_gap_s = keep_s, max_gap_s
        self._samples: deque[tuple[float, Value]] = deque()

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, stamp_s: float, value: Value) -> None:
        """Add a sample; one that is not newer than the newest is ignored.

        If the clock was set back by more than the buffer holds, the buffer is cleared.
        """
        samples = self._samples
        if samples and stamp_s < samples[-1][0] - self._keep_s:
            samples.clear()
        if samples and stamp_s <= samples[-1][0]:
            return
        samples.append((stamp_s, value))
        while samples[0][0] < stamp_s - self._keep_s:
            samples.popleft()

    def covers(self, stamp_s: float) -> bool:
        """Return whether waiting cannot improve `at(stamp_s)` any more."""
        return bool(self._samples) and self._samples[-1][0] >= stamp_s

    def at(self, stamp_s: float) -> Fix[Value]:
        """Return the value at `stamp_s`."""
        samples = self._samples
        if not samples:
            return self._none('none received')
        oldest_s, newest_s = samples[0][0], samples[-1][0]
        if stamp_s < oldest_s:
            return self._none(f'the image is {oldest_s - stamp_s:.3f} s older than the oldest '
                              'one kept')
        if stamp_s > newest_s:
            return self._none(f'the newest one is {stamp_s - newest_s:.3f} s older than the '
                              'image')
        i = bisect_left(samples, stamp_s, key=_stamp)
        after_s, after = samples[i]
        if after_s == stamp_s:
            return Fix(after, age_s=0.0, gap_s=0.0)
        before_s, before = samples[i - 1]
        gap_s = after_s - before_s
        if gap_s > self._max_gap_s:
            return self._none(f'{gap_s:.3f} s between the two around the image, more than '
                              f'{self._max_gap_s:g} s')
        value = self._between(before, after, (stamp_s - before_s) / gap_s)
        return Fix(value, age_s=min(stamp_s - before_s, after_s - stamp_s), gap_s=gap_s)

    def _none(self, reason: str) -> Fix[Value]:
        return Fix(reason=f'no {self._name}: {reason}')


def between_positions(a: Position, b: Position, share: float) -> Position:
    """Return the position that is `share` (0 .. 1) of the way; linear in each coordinate.

    Over the few metres between two samples that is the straight line. The 180th meridian is
    crossed the short way.
    """
    east = remainder(b.longitude - a.longitude, 360.0)
    longitude = remainder(a.longitude + share * east, 360.0)
    return Position(a.latitude + share * (b.latitude - a.latitude), longitude,
                    a.altitude + share * (b.altitude - a.altitude))
