"""Recent growth, limits with hysteresis, and conditions that last."""

from collections import Counter, deque
from collections.abc import Mapping
from math import inf

WINDOW_S = 10.0


class Recent:
    """The growth of running totals, which start at zero, within a window [s]."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.window_s = window_s
        self._seen: deque[tuple[float, Counter[str]]] = deque()

    def increase(self, totals: Mapping[str, int], now_s: float) -> Counter[str]:
        """Take the totals at `now_s`; return their growth since the start of the window."""
        self._seen.append((now_s, Counter(totals)))
        while len(self._seen) > 1 and self._seen[1][0] <= now_s - self.window_s:
            self._seen.popleft()
        started_s, then = self._seen[0]
        return Counter(totals) - (then if started_s <= now_s - self.window_s else Counter())


class Hysteresis:
    """True from the limit `on` until the value is back at `off`; `on` may lie below `off`."""

    def __init__(self, on: float, off: float) -> None:
        self._on, self._off = on, off
        self.is_on = False

    def update(self, value: float) -> bool:
        """Take a value."""
        limit = self._off if self.is_on else self._on
        self.is_on = value > limit if self._on > self._off else value < limit
        return self.is_on


class Lasting:
    """True after something has held for a time [s] without a break."""

    def __init__(self, for_s: float) -> None:
        self._for_s, self._since_s = for_s, inf

    def update(self, so: bool, now_s: float) -> bool:
        """Take whether the condition holds at `now_s`; return whether it has lasted."""
        self._since_s = min(self._since_s, now_s) if so else inf
        return now_s - self._since_s >= self._for_s
