"""A call at a steady rate, in a thread of its own that nothing else delays."""

import time
from collections.abc import Callable

from offload_perception.threads import FOREVER, Worker


class Ticker:
    """Calls `tick` once a period from `start` to `stop`; missed calls are not made up for.

    `failed` is called with what a call raises; the calls go on.
    """

    def __init__(self, name: str, period_s: float, tick: Callable[[], None],
                 failed: Callable[[Exception], None]) -> None:
        self._period_s, self._tick = period_s, tick
        self._next_s = time.monotonic()
        self._worker = Worker(name, self._step, patience=FOREVER, failed=failed)

    def start(self) -> None:
        """Start with the first call."""
        self._worker.start()

    def stop(self) -> None:
        """Stop after the current call."""
        self._worker.stop()

    def _step(self) -> bool:
        if self._worker.stopping.wait(max(self._next_s - time.monotonic(), 0.0)):
            return False
        try:
            self._tick()
        finally:
            self._next_s = max(self._next_s + self._period_s, time.monotonic())
        return True
