"""Keeps a session with a device alive from a thread: back-off, status and a quick stop."""

from __future__ import annotations

from collections.abc import Callable

from offload_perception.power.drivers.samples import Event, MeterStatus, State
from offload_perception.threads import FOREVER, Worker

BACK_OFF_S = (0.2, 10.0)
"""First and longest pause between sessions; each is twice the one before."""
STOP_TIMEOUT_S = 0.25
"""For a stop; a read in progress ends within `port.READ_SLICE_S`."""


class Supervisor:
    """Runs `session` again and again until stopped.

    `session` returns whether it worked for a while; while it does not, or raises, the pause before
    the next one grows. `on_event` runs in the thread.
    """

    def __init__(
        self, session: Callable[[], bool], on_event: Callable[[Event], None],
        clock: Callable[[], float], back_off_s: tuple[float, float] = BACK_OFF_S,
    ) -> None:
        self._session, self._on_event, self._clock = session, on_event, clock
        self._back_off_s, self._pause_s = back_off_s, 0.0
        self._worker = Worker('meter', self._step, patience=FOREVER, failed=self._failed)
        self.stopping = self._worker.stopping
        self.status = MeterStatus(State.CONNECTING, 'not connected yet', clock())

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def stop(self) -> bool:
        """Ask the thread to end; False when something still holds it.

        It is a daemon, so it never holds up the end of the process.
        """
        return self._worker.stop(STOP_TIMEOUT_S)

    def enter(self, state: State, kind: str, message: str) -> None:
        """Change the state, and report it."""
        self.status = MeterStatus(state, message, self._clock())
        self.emit(kind, message)

    def emit(self, kind: str, message: str) -> None:
        """Hand over an event."""
        self._on_event(Event(self._clock(), kind, message))

    def _step(self) -> bool:
        """Run one session after the pause that is due; return False when stopped."""
        if self.stopping.wait(self._pause_s):
            self.enter(State.STOPPED, 'stopped', 'stopped on request')
            return False
        first_s, longest_s = self._back_off_s
        self._pause_s = min(max(2 * self._pause_s, first_s), longest_s)
        if self._session():
            self._pause_s = first_s
        return True

    def _failed(self, e: Exception) -> None:
        self.enter(State.FAULTY, 'failed', f'{type(e).__name__}: {e}')
