"""Worker threads: what one job raises is reported, and no dead thread looks well."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from waits import WAIT_S

from offload_perception import threads
from offload_perception.threads import FOREVER, JobQueue, Worker


def in_trouble() -> dict[str, Worker]:
    return {w.name: w for w in threads.troubled()}


@pytest.fixture
def made() -> Iterator[Callable[..., Any]]:
    """Return a function that starts a worker; each is ended with the test."""
    workers = []

    def make(worker: Worker) -> Worker:
        workers.append(worker)
        worker.start()
        return worker
    yield make
    for worker in workers:
        assert worker.stop(WAIT_S)
    assert not threads.troubled()


def join(worker: Worker) -> None:
    worker._thread.join(WAIT_S)
    assert not worker.alive


def test_a_job_that_raises_is_reported_and_the_next_one_is_done(made: Callable[..., Any]) -> None:
    told, done = [], Event()
    queue = made(JobQueue('jobs', failed=told.append))
    queue.submit(lambda: 1 / 0)
    queue.submit(done.set)
    assert done.wait(WAIT_S)
    assert isinstance(told[0], ZeroDivisionError)
    queue.stop()
    assert not in_trouble()


def test_what_waits_in_a_queue_is_done_before_it_stops(made: Callable[..., Any]) -> None:
    done = []
    queue = made(JobQueue('jobs'))
    for i in range(100):
        queue.submit(lambda i=i: done.append(i))
    assert queue.stop() and done == list(range(100))


def test_a_loop_that_fails_for_good_dies_and_is_remembered_until_it_is_stopped(
        made: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    def step() -> bool:
        raise OverflowError('timeout value is too large')
    worker = made(Worker('loop', step, patience=3, failed=lambda e: None, vital=True))
    join(worker)
    dead = in_trouble()['loop']
    assert dead is worker and dead.dead and dead.vital
    assert dead.trouble == 'OverflowError: timeout value is too large'
    assert 'thread loop has ended: OverflowError' in caplog.text
    assert worker.stop() and not in_trouble()


def test_a_failing_loop_is_seen_while_it_fails_and_stops_promptly(
        made: Callable[..., Any]) -> None:
    failed = Event()
    told = []

    def step() -> bool:
        if worker.stopping.is_set():
            return False
        raise OSError('no device')

    def tell(error: Exception) -> None:
        told.append(error)
        if len(told) > 3:
            failed.set()
    worker = made(Worker('loop', step, patience=FOREVER, failed=tell))
    assert failed.wait(WAIT_S)
    assert in_trouble()['loop'].trouble == 'OSError: no device' and not worker.dead
    assert worker.stop(WAIT_S) and not in_trouble()


def test_a_loop_that_recovers_is_well_again(made: Callable[..., Any]) -> None:
    results: Iterator[OSError | bool] = iter([OSError('no device'), True, OSError('no device'),
                                              True, False])
    told = []

    def step() -> bool:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result
    worker = made(Worker('loop', step, patience=2, failed=told.append))
    join(worker)
    assert len(told) == 2 and not worker.dead and not in_trouble()


def test_a_callback_that_reports_may_raise_too(made: Callable[..., Any]) -> None:
    done = Event()

    def failed(error: Exception) -> None:
        raise RuntimeError('the context is not valid')
    queue = made(JobQueue('jobs', failed=failed))
    queue.submit(lambda: 1 / 0)
    queue.submit(done.set)
    assert done.wait(WAIT_S)


@pytest.mark.parametrize('error', [SystemExit(3), MemoryError('a tensor'), KeyError('x')])
def test_a_thread_that_runs_once_dies_of_whatever_it_raises(made: Callable[..., Any],
                                                            error: BaseException) -> None:
    def step() -> None:
        raise error
    worker = made(Worker('once', step))
    join(worker)
    assert worker.dead and type(error).__name__ in worker.trouble


def test_a_thread_may_stop_itself_and_one_that_never_started_too(made: Callable[..., Any]) -> None:
    worker = made(Worker('self', lambda: worker.stop() and None))
    join(worker)
    assert Worker('never', lambda: None).stop()


def test_every_thread_of_the_package_is_a_worker() -> None:
    sources = Path(threads.__file__).parent.rglob('*.py')
    bare = re.compile(r'\b(Thread|ThreadPoolExecutor|Timer)\(')
    assert [p.name for p in sources if bare.search(p.read_text())] == ['threads.py']


def test_one_that_does_not_end_is_said_to_run_still(made: Callable[..., Any]) -> None:
    gate = Event()
    worker = made(Worker('stuck', lambda: not gate.wait(WAIT_S)))
    assert not worker.stop(0.01) and worker.alive
    gate.set()
