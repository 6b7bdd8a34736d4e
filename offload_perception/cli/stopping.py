"""End a command on Ctrl-C or SIGTERM at a point of its own choosing."""

import signal
import threading


class StopSignal:
    """Set by SIGINT or SIGTERM; the main thread waits on it. A second signal acts as usual."""

    def __init__(self) -> None:
        self._event = threading.Event()
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._event.set()
        signal.signal(number, signal.SIG_DFL)

    def wait(self, timeout_s: float) -> bool:
        """Wait; return whether the command is to stop."""
        return self._event.wait(timeout_s)
