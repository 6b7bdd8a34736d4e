"""Keeps a session with a device alive from a thread: back-off, status and a quick stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from offload_perception.power.samples import Event, State, Status

BACK_OFF_S = (0.2, 10.0)
"""First and longest pause between sessions; each is twice the one before."""
STOP_TIMEOUT_S = 0.25


class Supervisor:
    """Runs `session` again and again until stopped.

    `session` returns whether it worked for a while; the pause before the next one grows while
    none does. `on_event` runs in the thread.
    """

    def __init__(
        self, session: Callable[[], bool], on_event: Callable[[Event], None],
        clock: Callable[[], float], back_off_s: tuple[float, float] = BACK_OFF_S,
    ) -> None:
        self._session, self._on_event, self._clock = session, on_event, clock
        self._back_off_s = back_off_s
        self._thread = threading.Thread(target=self._run, name='meter', daemon=True)
        self.stopping = threading.Event()
        self.status = Status(State.CONNECTING, 'not connected yet', clock())

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> bool:
        """Ask the thread to end; False when something still holds it.

        It is a daemon, so it never holds up the end of the process.
        """
        self.stopping.set()
        self._thread.join(STOP_TIMEOUT_S)
        return not self._thread.is_alive()

    def enter(self, state: State, kind: str, message: str) -> None:
        """Change the state, and tell."""
        self.status = Status(state, message, self._clock())
        self.tell(kind, message)

    def tell(self, kind: str, message: str) -> None:
        """Hand over an event."""
        self._on_event(Event(self._clock(), kind, message))

    def _run(self) -> None:
        first_s, longest_s = self._back_off_s
        pause_s = 0.0
        while not self.stopping.wait(pause_s):
            worked = self._session()
            pause_s = first_s if worked else min(max(2 * pause_s, first_s), longest_s)
        self.enter(State.STOPPED, 'stopped', 'stopped on request')
