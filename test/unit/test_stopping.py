"""A command ends at a point of its own choosing after one signal, and at once after two."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

COMMAND = """
import time
from offload_perception.stopping import StopSignal
stop = StopSignal()
print(stop.wait(0.0), flush=True)
print(stop.wait(60.0), stop.wait(0.0), flush=True)
time.sleep(600)
"""


@pytest.fixture
def command() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, '-c', COMMAND], text=True, stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_a_wish_and_a_second_one_ends_the_command(
        command: subprocess.Popen[str], sent: Any) -> None:
    assert command.stdout.readline() == 'False\n'
    command.send_signal(sent)
    assert command.stdout.readline() == 'True True\n'
    assert command.poll() is None
    command.send_signal(sent)
    assert command.wait(60) == -sent
