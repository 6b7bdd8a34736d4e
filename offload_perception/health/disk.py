"""How long until the disk is full."""

from collections import deque
from math import inf

from offload_perception.health.finding import Finding, span, warning
from offload_perception.health.trend import Hysteresis

WINDOW_S = 30.0
WARN_LEFT_S, CALM_LEFT_S = 600.0, 900.0


class DiskWatch:
    """Follows the free space of a disk that is to keep `min_free` bytes.

    The rate is that of the free space, whatever uses it, over the last `WINDOW_S`.
    """

    def __init__(self, min_free: int) -> None:
        self._min_free = min_free
        self._seen: deque[tuple[float, int]] = deque()
        self._little = Hysteresis(on=2.0 * min_free, off=2.2 * min_free)
        self._soon = Hysteresis(on=WARN_LEFT_S, off=CALM_LEFT_S)
        self.rate = 0.0  # [bytes/s]
        self.left_s = inf

    def check(self, free: int, now_s: float) -> Finding | None:
        """Take the free space [bytes] at `now_s`, monotonic."""
        self._seen.append((now_s, free))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - WINDOW_S:
            self._seen.popleft()
        then_s, then = self._seen[0]
        measured = now_s - then_s >= WINDOW_S / 3
        self.rate = max(then - free, 0) / (now_s - then_s) if measured else 0.0
        self.left_s = max(free - self._min_free, 0) / self.rate if self.rate else inf
        little, soon = self._little.update(free), self._soon.update(self.left_s)
        if not little and not soon:
            return None
        left = f', in {span(self.left_s)} at the present rate' if self.rate else ''
        return warning('disk', f'disk filling: {free / 1e6:.0f} MB are free, recording ends at '
                       f'{self._min_free / 1e6:.0f} MB{left}; free some space')
