"""Play a camera source from a thread of its own, and open it again if it has failed."""

import time
from collections.abc import Callable
from threading import Lock

from offload_perception.cadence import Cadence
from offload_perception.camera import CameraImage, Source
from offload_perception.errors import SourceEnded, SourceError
from offload_perception.threads import FOREVER, Worker

BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 10.0)


class Player:
    """Plays the frames of one source, in one thread at a time, which alone reads and closes it.

    A source that fails is closed, and opened again after pauses that grow to 10 s. `problem` says
    in words what is wrong, `ended` that all was shown; `reopened` counts the outages that are
    over.
    """

    def __init__(self, open_: Callable[[], Source], show: Callable[[CameraImage], None],
                 say: Callable[[str], None] = lambda text: None) -> None:
        """Open the source.

        :param show: is called in the thread with each frame, `say` with what is to be logged.
        :raises SourceError: if it cannot be opened.
        """
        self._open, self._show, self._say = open_, show, say
        self._lock = Lock()
        self._busy = self._close_after = False
        self._failures = self.reopened = 0
        self.problem = self.ended = ''
        self._source: Source | None = open_()
        self.source = self._source  # the last one, for its description and counters
        self._worker: Worker | None = None
        self.cadence = self._make_cadence()

    @property
    def busy(self) -> bool:
        """Return whether the thread still has the source."""
        return self._busy

    def start(self) -> None:
        """Start to play.

        :raises SourceError: while the thread before still waits for a frame of the source.
        """
        with self._lock:
            self.check_free()
            self._busy = True
        if self.ended:  # from the start again
            self._drop()
        self._failures, self.ended = 0, ''
        self.cadence = self._make_cadence()
        self._worker = Worker('camera', self._beat, patience=FOREVER)
        self._worker.start()

    def check_free(self) -> None:
        """Raise SourceError while the thread still waits for a frame of the source."""
        if self._busy:
            raise SourceError(f'{self.source.description} was stopped and still waits for a '
                              f'frame; {self.source.hangs}, then try again')

    def stop(self, timeout_s: float) -> bool:
        """Stop playing; False if the thread still waits for a frame, and ends after it."""
        return self._worker is None or self._worker.stop(timeout_s)

    def close(self) -> None:
        """Close the source: now, or as soon as the thread has ended."""
        with self._lock:
            self._close_after = True
            if not self._busy:
                self._drop()

    def _make_cadence(self) -> Cadence | None:
        """Return the cadence of a source that does not set the pace itself."""
        rate_hz = self.source.rate_hz
        return Cadence(1.0 / rate_hz, time.monotonic()) if rate_hz else None

    def _beat(self) -> bool:
        """Show one frame; False at the end."""
        worker = self._worker
        assert worker is not None  # it calls this
        try:
            if worker.stopping.wait(self._pause_s()):
                return self._leave()
            frame = self._next()
            if worker.stopping.is_set():
                return self._leave()
        except SourceEnded as e:
            self.ended = str(e)
            return self._leave()
        except Exception as e:  # report it, else the camera would seem to run
            self._fail(str(e) if isinstance(e, SourceError) else f'{type(e).__name__}: {e}')
            return True
        self._show(frame)
        return True

    def _pause_s(self) -> float:
        if self._failures:
            return BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1]
        return self.cadence.wait_s(time.monotonic()) if self.cadence else 0.0

    def _next(self) -> CameraImage:
        if self._source is None:
            self.source = self._source = self._open()
        frame = self._source.next()
        if self._failures:
            self._failures, self.problem = 0, ''
            self.reopened += 1
            self._say(f'showing {self.source.description} again')
        return frame

    def _fail(self, why: str) -> None:
        self._failures += 1
        if why != self.problem:
            self._say(f'{why}; trying again, every {BACK_OFF_S[-1]:.0f} s in the end')
        self.problem = why
        self._drop()

    def _leave(self) -> bool:
        with self._lock:
            self._busy = False
            if self._close_after:
                self._drop()
        return False

    def _drop(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()
