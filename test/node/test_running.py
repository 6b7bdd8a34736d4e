"""When the main of a node ends, and with which code."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from waits import WAIT_S

from offload_perception.nodes import running
from offload_perception.nodes.running import SAME_WISH_S, _Wish
from offload_perception.threads import Worker


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time at which signals come, set by hand."""
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(time, 'monotonic', lambda: clock.now_s)
    return clock


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Codes with which the process would have ended at once."""
    codes: list[int] = []
    monkeypatch.setattr(os, '_exit', codes.append)
    return codes


@pytest.fixture
def wish() -> Iterator[Any]:
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    yield _Wish()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_one_wish_may_arrive_twice_and_a_second_wish_ends_at_once(
        wish: Any, clock: SimpleNamespace, exits: list[Any], sent: Any) -> None:
    signal.raise_signal(sent)
    clock.now_s += 0.9 * SAME_WISH_S
    signal.raise_signal(signal.SIGINT)  # by the terminal, and by the launcher
    assert wish.wait() == 0 and not exits
    clock.now_s += 0.2 * SAME_WISH_S
    signal.raise_signal(sent)
    assert exits == [128 + sent]


def test_the_first_reason_to_end_counts(wish: Any) -> None:
    wish.end(1)
    signal.raise_signal(signal.SIGTERM)
    assert wish.wait() == 1


@pytest.mark.parametrize('vital', [True, False])
def test_a_vital_thread_that_is_dead_ends_the_node_and_another_does_not(
        wish: Any, monkeypatch: pytest.MonkeyPatch, vital: bool) -> None:
    monkeypatch.setattr(running, 'WATCH_PERIOD_S', 0.01)
    worker = Worker('lame', lambda: bool(1 / 0), vital=vital)
    worker.start()
    worker._thread.join(20.0)
    try:
        if not vital:
            wish.end(0)
        assert wish.wait() == vital
    finally:
        worker.stop()


STUCK = """
import os, signal, sys, threading
from offload_perception.nodes import running
from offload_perception.nodes.camera import CameraNode

class Stuck(CameraNode):
    def __init__(self):
        super().__init__()
        self.create_timer(0.01, lambda: os.kill(os.getpid(), signal.SIGINT))

    def destroy_node(self):
        threading.Event().wait()

running.LEAVE_S = 0.5
sys.exit(running.run(Stuck))
"""


def test_a_middleware_that_does_not_end_is_left_with_a_report() -> None:
    done = subprocess.run([sys.executable, '-c', STUCK, '--ros-args', '-p', 'autostart:=false'],
                          stderr=subprocess.PIPE, text=True, timeout=WAIT_S)
    assert done.returncode == 1 and 'in destroy_node' in done.stderr
