"""Starts the meter emulator as a process of its own and steers it."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import offload_perception
from offload_perception.errors import MeterError
from offload_perception.power.emulation.faults import Fault

COMMAND = 'offload_perception.cli.um25c_emulator'
START_TIMEOUT_S = 20.0  # ample: it imports this package on a busy, small computer
_ANSWER_TIMEOUT_S = 2.0


class EmulatorControl:
    """Sends control messages to a running emulator, whichever process started it."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind('')  # an address of its own (Linux picks one), so that answers arrive
        self._socket.settimeout(_ANSWER_TIMEOUT_S)

    def set_stage(self, name: str = '', extra_w: float | None = None) -> None:
        """Draw idle power plus `extra_w` from now on; without a name follow the CPU load again."""
        self._send(f'stage {name} {"" if extra_w is None else extra_w}')

    def set_load(self, load: float) -> None:
        """Draw the power of this CPU load, 0..1, instead of the measured one."""
        self._ask(f'load {load}')

    def inject(self, fault: Fault, count: int = 1) -> None:
        """Spoil the next `count` replies."""
        self._ask(f'fault {fault.value} {count}')

    def stats(self) -> dict[str, Any]:
        """Return 'requests', 'faults' by name, 'energy_j' (the truth) and 'stage'."""
        stats: dict[str, Any] = json.loads(self._ask('stats'))
        return stats

    def close(self) -> None:
        """Close the socket; the emulator goes on."""
        self._socket.close()

    def _send(self, message: str) -> None:
        try:
            self._socket.sendto(message.encode(), self._path)
        except OSError as e:
            raise MeterError(f'no emulator listens at {self._path} ({e}): start it again') from e

    def _ask(self, message: str) -> str:
        self._send(message)
        try:
            answer = self._socket.recv(65536).decode()
        except TimeoutError as e:
            raise MeterError(f'the emulator at {self._path} does not answer: restart it') from e
        if answer.startswith('error: '):
            raise MeterError(f'the emulator refuses {message!r}: {answer[7:]}')
        return answer


class EmulatorProcess(EmulatorControl):
    """An emulator that this program started; a context manager that ends it.

    `port` stays the same path when the emulated meter is unplugged and plugged again.
    """

    def __init__(self, process: subprocess.Popen[str],
                 folder: tempfile.TemporaryDirectory[str]) -> None:
        self._process, self._folder = process, folder
        self.port = str(Path(folder.name, 'meter'))
        super().__init__(Path(folder.name, 'control'))

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and remove its port; may be called twice."""
        super().close()
        self._process.terminate()
        try:
            self._process.wait(_ANSWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> EmulatorProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def spawn_emulator(**options: object) -> EmulatorProcess:
    """Start `um25c_emulator` and wait until its port is there.

    `options` are its command-line options: `spawn_emulator(model='UM34C', idle_w=1.9)`. Raises
    `MeterError` when it does not come up.
    """
    folder = tempfile.TemporaryDirectory(prefix='um25c_')
    paths = {'link': f'{folder.name}/meter', 'control': f'{folder.name}/control'}
    process = subprocess.Popen(
        [sys.executable, '-m', COMMAND, *_arguments(options | paths)],
        stdout=subprocess.PIPE, env=_environment(), text=True)
    output = process.stdout
    assert output is not None
    if not select.select([output], [], [], START_TIMEOUT_S)[0] or not output.readline():
        process.kill()
        process.wait()
        output.close()
        folder.cleanup()
        raise MeterError('the meter emulator did not start: run `um25c_emulator` to see why')
    return EmulatorProcess(process, folder)


def _arguments(options: dict[str, object]) -> list[str]:
    return [f'--{name.replace("_", "-")}={value}' for name, value in options.items()]


def _environment() -> dict[str, str]:
    """Let the child import this very package, installed or not."""
    root = str(Path(offload_perception.__file__).parents[1])
    inherited = os.environ.get('PYTHONPATH')
    return os.environ | {'PYTHONPATH': f'{root}{os.pathsep}{inherited}' if inherited else root}
