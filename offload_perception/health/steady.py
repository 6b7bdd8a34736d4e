"""Findings that do not flicker, and those worth a line in the log."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from offload_perception.health.finding import Finding, Level

HOLD_S = 5.0
JUST_OVER = ' (just over)'  # suffix of a held finding
LOG_AFTER_S = 3.0  # what ends sooner, such as a server that is discovered late, is not logged


@dataclass
class _Held:
    finding: Finding
    since_s: float
    seen_s: float
    logged: bool = False


class Steady:
    """Keeps a warning or an error for `HOLD_S` after it was last found, and says that it is over.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._over: list[Finding] = []

    def update(self, found: Iterable[Finding], now_s: float) -> tuple[Finding, ...]:
        """Return what was found now, and what is held, the newest first."""
        quiet = []
        for f in found:
            if f.level is Level.OK:
                quiet.append(f)
            elif held := self._held.get(f.name):
                held.finding, held.seen_s = f, now_s
            else:
                self._held[f.name] = _Held(f, now_s, now_s)
        self._drop_old(now_s)
        newest_first = sorted(self._held.values(), key=lambda held: -held.since_s)
        return (*quiet, *(self._shown(held, now_s) for held in newest_first))

    def due(self, now_s: float) -> list[Finding]:
        """Return what to log: each finding once, when it has lasted for a while, and its end.

        The end has level OK.
        """
        due, self._over = self._over, []
        for held in self._held.values():
            if not held.logged and now_s - held.since_s >= LOG_AFTER_S and held.seen_s == now_s:
                held.logged = True
                due.append(held.finding)
        return due

    def clear(self) -> None:
        """Forget everything."""
        self._held, self._over = {}, []

    def _drop_old(self, now_s: float) -> None:
        for name in [n for n, held in self._held.items() if now_s - held.seen_s >= HOLD_S]:
            held = self._held.pop(name)
            if held.logged:
                self._over.append(replace(held.finding, level=Level.OK,
                                          text=f'over: {held.finding.text}'))

    @staticmethod
    def _shown(held: _Held, now_s: float) -> Finding:
        if held.seen_s == now_s:
            return held.finding
        return replace(held.finding, text=held.finding.text + JUST_OVER)
