"""Results wait, for a bounded time, until the vehicle's pose at their image's stamp is known."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from offload_perception.flight.rotation import slerp
from offload_perception.flight.track import Fix, Track, between_positions
from offload_perception.flight.vehicle_state import Position, Quaternion


@dataclass(frozen=True)
class Geotag:
    """Position and attitude of the vehicle when an image was taken."""

    position: Fix[Position]
    attitude: Fix[Quaternion]

    @property
    def reason(self) -> str:
        """What is missing and why; empty if nothing is."""
        return '; '.join(filter(None, (self.position.reason, self.attitude.reason)))


@dataclass(frozen=True)
class _Waiting:
    stamp_s: float
    give_up_s: float
    result: Any


class Geotagger:
    """Pairs results with poses; each result comes out exactly once, in the order they came in.

    Stamps are seconds of the ROS clock, `now_s` is on a clock that only goes forward.
    """

    def __init__(self, *, keep_s: float, max_gap_s: float, wait_s: float) -> None:
        self.position: Track[Position] = Track('position', between_positions, keep_s=keep_s,
                                               max_gap_s=max_gap_s)
        self.attitude: Track[Quaternion] = Track('attitude', slerp, keep_s=keep_s,
                                                 max_gap_s=max_gap_s)
        self._wait_s = wait_s
        self._waiting: deque[_Waiting] = deque()

    def add(self, stamp_s: float, result: Any, now_s: float) -> None:
        """Take a result whose image was taken at `stamp_s`."""
        self._waiting.append(_Waiting(stamp_s, now_s + self._wait_s, result))

    def ready(self, now_s: float) -> list[tuple[Any, Geotag]]:
        """Return the results whose poses are known, or have been waited for long enough."""
        found = []
        while self._waiting and self._is_ready(self._waiting[0], now_s):
            w = self._waiting.popleft()
            found.append((w.result, Geotag(self.position.at(w.stamp_s),
                                           self.attitude.at(w.stamp_s))))
        return found

    def _is_ready(self, w: _Waiting, now_s: float) -> bool:
        known = self.position.covers(w.stamp_s) and self.attitude.covers(w.stamp_s)
        return known or now_s >= w.give_up_s
