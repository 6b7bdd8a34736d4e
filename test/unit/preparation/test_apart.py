"""A model that is built in a process of its own: what becomes of it, and that it can be ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from offload_perception.errors import CancelledError, ModelError
from offload_perception.preparation.apart import building_apart
from offload_perception.preparation.wishes import Progress, Wishes


@dataclass(frozen=True)
class Stub:
    """A source that cannot be built, in the way that `end` names."""

    end: str
    folder: Path
    name = 'stub'
    weights = 'seed:0'
    trained = False

    def identity(self) -> dict[str, Any]:
        return {}

    def write(self, folder: Path, wishes: Wishes, progress: Progress) -> None:
        progress('begun')
        (self.folder / 'pid').write_text(str(os.getpid()))
        if self.end == 'refused':
            raise ModelError('no layers; add some')
        if self.end == 'fault':
            raise ZeroDivisionError('division by zero')
        if self.end == 'killed':
            os.kill(os.getpid(), 9)
        time.sleep(200)  # who waits for the end has failed


def build(stub: Stub, raise_if_cancelled: Callable[[], None] = lambda: None,
          progress: Progress = lambda text: None) -> None:
    building_apart(raise_if_cancelled)(stub, stub.folder / 'model', Wishes(), progress=progress)


@pytest.mark.parametrize(('end', 'text'), [
    ('refused', '^no layers; add some$'), ('fault', 'ZeroDivisionError: division by zero'),
    ('killed', 'ended with SIGKILL; is there enough memory')])
def test_what_goes_wrong_there_is_reported_here(tmp_path: Path, end: str, text: str) -> None:
    told = []
    with pytest.raises(ModelError, match=text):
        build(Stub(end, tmp_path), progress=told.append)
    assert told == ['begun']


def test_it_can_be_ended_at_any_moment(tmp_path: Path) -> None:
    building = Event()

    def raise_if_cancelled() -> None:
        if building.is_set() and (child := pid_in(tmp_path)):
            sessions.append(os.getsid(child))
            raise CancelledError('the process is to end')
    sessions: list[int] = []
    with pytest.raises(CancelledError):
        build(Stub('never', tmp_path), raise_if_cancelled, progress=lambda text: building.set())
    child = pid_in(tmp_path)
    assert sessions == [child]  # of its own: Ctrl-C goes to us alone
    assert not psutil.pid_exists(child)


PARENT = """
import sys
from pathlib import Path
from test_apart import Stub, build
build(Stub('never', Path(sys.argv[1])))
"""


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, '-c', PARENT, str(tmp_path)], env={
        **os.environ, 'PYTHONPATH': os.pathsep.join([str(Path(__file__).parent), *sys.path])})
    try:
        give_up_s = time.monotonic() + 60
        while not (child := pid_in(tmp_path)):
            assert time.monotonic() < give_up_s and parent.poll() is None
            time.sleep(0.05)
        building = psutil.Process(child)
    finally:
        parent.kill()
        parent.wait()
    assert not psutil.wait_procs([building], timeout=60)[1]


def pid_in(folder: Path) -> int:
    """Return the process that builds, 0 before it has said so."""
    file = folder / 'pid'
    return int(file.read_text() or 0) if file.is_file() else 0
