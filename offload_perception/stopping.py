"""End a command on Ctrl-C or SIGTERM at a point of its own choosing."""

import signal
from queue import Empty, SimpleQueue


class StopSignal:
    """Set by SIGINT or SIGTERM; the main thread waits on it. A second signal acts as usual."""

    def __init__(self) -> None:
        # Not an Event: setting one is not reentrant, and a second signal may arrive during it.
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._stopped = False
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.put(number)
        signal.signal(number, signal.SIG_DFL)

    def wait(self, timeout_s: float) -> bool:
        """Wait; return whether the command is to stop."""
        if not self._stopped:
            try:
                self._signals.get(timeout=max(timeout_s, 0.0))
                self._stopped = True
            except Empty:
                pass
        return self._stopped
