"""Something done at a steady rate, in a thread of its own that nothing else holds up."""

import time
from collections.abc import Callable
from threading import Event, Thread


class Ticker:
    """Calls `tick` once a period from `start` to `stop`; what is missed is not made up for.

    `failed` is told of what a call raises; the next one may do better.
    """

    def __init__(self, period_s: float, tick: Callable[[], None],
                 failed: Callable[[Exception], None]) -> None:
        self._period_s, self._tick, self._failed = period_s, tick, failed
        self._stopped = Event()
        self._thread = Thread(target=self._run, name='ticker', daemon=True)

    def start(self) -> None:
        """Begin with the first call."""
        self._thread.start()

    def stop(self) -> None:
        """End behind the call under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._stopped.wait(max(next_s - time.monotonic(), 0.0)):
            try:
                self._tick()
            except Exception as e:
                self._failed(e)
            next_s = max(next_s + self._period_s, time.monotonic())
