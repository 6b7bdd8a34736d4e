"""Worker threads with a last resort: none ends by an exception without a report.

A Worker counts as this process's from `start` until it has ended well or its owner has stopped
it; `troubled` returns those that fail or have died, so that a node can report them.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from math import inf
from queue import SimpleQueue
from threading import Event, Lock, Thread, current_thread
from typing import TypeVar

PATIENCE = 30  # failures in a row, in about 25 s, after which a loop is hopeless
FOREVER = inf
_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0)  # the first is none: often only one job fails

log = logging.getLogger(__name__)
_lock = Lock()
_workers: list['Worker'] = []
Result = TypeVar('Result')


def _report(error: Exception) -> None:
    log.error('thread %s: %s', current_thread().name, error, exc_info=error)


class Worker:
    """A named daemon thread that calls `step` again and again until that returns False or None.

    What a step raises is passed to `failed`, and the next step follows after a growing pause.
    `patience` failures in a row end the thread: it is `dead`.

    :ivar trouble: the exception of the last step, if it raised one, in words; else ''.
    :param vital: whether the process cannot go on without this thread.
    """

    def __init__(self, name: str, step: Callable[[], bool | None], *, patience: float = 1,
                 failed: Callable[[Exception], None] = _report, vital: bool = False) -> None:
        self.name, self.vital, self.trouble, self.dead = name, vital, '', False
        self.stopping = Event()
        self._step, self._patience, self._failed, self._failures = step, patience, failed, 0
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        with _lock:
            _workers.append(self)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Set `stopping`, wait for the end, and forget its cause; False if it takes longer.

        May be called twice, before `start`, and by the thread itself, which then goes on to its
        end.
        """
        self.stopping.set()
        if self._thread.ident is not None and self._thread is not current_thread():
            self._thread.join(timeout_s)
            if self.alive:
                return False
        self._forget()
        return True

    def _run(self) -> None:
        try:
            while self._stepped():
                pass
        except BaseException as e:  # SystemExit too: a thread has no other way to say that
            self.trouble, self.dead = self.trouble or _words(e), True
            log.critical('thread %s has ended: %s', self.name, self.trouble, exc_info=e)
        else:
            self._forget()

    def _stepped(self) -> bool:
        """Make a step; return whether another one follows."""
        try:
            more = bool(self._step())
        except Exception as e:
            self._failures += 1
            self.trouble = _words(e)
            if self._failures >= min(self._patience, PATIENCE if self.stopping.is_set() else inf):
                raise
            self._report_failure(e)
            self.stopping.wait(_PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1])
            return True
        self._failures, self.trouble = 0, ''
        return more

    def _report_failure(self, error: Exception) -> None:
        try:
            self._failed(error)
        except Exception as e:  # the callback that reports may be what fails
            _report(e)

    def _forget(self) -> None:
        with _lock:
            if self in _workers:
                _workers.remove(self)


class JobQueue(Worker):
    """A worker that does its jobs in order; a job that raises does not stop the others."""

    def __init__(self, name: str, *, patience: float = PATIENCE,
                 failed: Callable[[Exception], None] = _report, vital: bool = False) -> None:
        super().__init__(name, self._next, patience=patience, failed=failed, vital=vital)
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def submit(self, job: Callable[[], object]) -> None:
        """Queue `job`."""
        self._jobs.put(job)

    def stop(self, timeout_s: float | None = None) -> bool:
        """Do the queued jobs, then end; see `Worker.stop`."""
        self._jobs.put(None)
        return super().stop(timeout_s)

    def _next(self) -> bool:
        job = self._jobs.get()
        if job is not None:
            job()
        return job is not None


def troubled() -> list[Worker]:
    """Return the workers of this process that fail now, or have died."""
    with _lock:
        return [w for w in _workers if w.trouble]


def running() -> bool:
    """Return whether a worker of this process has not ended."""
    with _lock:
        return any(w.alive for w in _workers)


def fulfil(future: Future[Result], job: Callable[[], Result]) -> None:
    """Run `job`, and give `future` its result or its exception."""
    try:
        future.set_result(job())
    except BaseException as e:
        future.set_exception(e)


def _words(error: BaseException) -> str:
    return f'{type(error).__name__}: {error}'
