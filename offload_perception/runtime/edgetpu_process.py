"""The parent's side of the process that holds the Edge TPU."""

import mmap
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from offload_perception.errors import DeviceError, ModelError
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.edgetpu_child import tensors
from offload_perception.runtime.edgetpu_plan import EdgeTpuPlan
from offload_perception.runtime.edgetpu_refusal import crashed, hung, library_missing, refused
from offload_perception.tensor import Tensors

CHILD = 'offload_perception.runtime.edgetpu_child'
END_S = 2.0


class EdgeTpuProcess:
    """A running child that has loaded a plan.

    The memory between the two is an anonymous file, which vanishes with its last user, however
    that one ends. After a DeviceError the process is gone: make a new one.

    :raises DeviceError: if the device, the library or the versions are at fault.
    :raises ModelError: if a file cannot be loaded.
    """

    def __init__(self, plan: EdgeTpuPlan, *, load_timeout_s: float = 60.0,
                 run_timeout_s: float = 5.0, bus: Bus | None = None) -> None:
        self._plan, self._bus, self._timeout_s = plan, bus or Bus(), run_timeout_s
        self._memory, self._pipe, self._child = _spawn(2 * _page_up(plan.tensor_bytes))
        answer = self._ask(plan, 'loading', load_timeout_s)
        if answer[0] != 'ready':
            self.close()
            raise self._refusal(*answer[1:])

    def run(self, first: int, last: int, xs: Tensors,
            timeout_s: float | None = None) -> tuple[Tensors, list[float]]:
        """Run the files `first` to `last` of the plan, from 1; return outputs and seconds each.

        The outputs are views that hold until the next run.
        """
        for mine, x in zip(tensors(self._memory, 0, self._plan, first - 1), xs, strict=True):
            np.copyto(mine, x)
        answer = self._ask((first, last), 'running', timeout_s or self._timeout_s)
        if answer[0] != 'done':
            self.close()
            raise DeviceError(f'the Edge TPU failed while running: {answer[2] or answer[1]}; '
                              'check cable, hub and supply')
        return tensors(self._memory, 1, self._plan, last), answer[1]

    def close(self) -> None:
        """End the child: politely, then by force."""
        self._pipe.close()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._kill()

    def _ask(self, request: Any, doing: str, timeout_s: float) -> tuple[Any, ...]:
        try:
            self._pipe.send(request)
            if self._pipe.poll(timeout_s):
                answer: tuple[Any, ...] = self._pipe.recv()
                return answer
        except (OSError, EOFError) as e:
            raise self._died(doing) from e
        self._kill()
        raise hung(doing, timeout_s)

    def _died(self, doing: str) -> DeviceError:
        self.close()
        code = self._child.returncode
        return crashed(doing, signal.Signals(-code).name if code < 0 else f'exit code {code}')

    def _kill(self) -> None:
        self._child.kill()
        self._child.wait()
        self._pipe.close()

    def _refusal(self, kind: str, text: str) -> Exception:
        if kind == 'OSError':
            return library_missing(self._plan.library, text)
        if kind == 'ValueError':
            devices = {load.device for load in self._plan.loads if load.device}
            return refused(', '.join(sorted(devices)), self._bus)
        return ModelError(text)


def _spawn(size: int) -> tuple[mmap.mmap, Connection, subprocess.Popen[bytes]]:
    memory = os.memfd_create('offload_perception_tensors')
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.ftruncate(memory, size)
        child = subprocess.Popen(
            [sys.executable, '-m', CHILD, str(theirs.fileno()), str(memory)],
            pass_fds=(theirs.fileno(), memory), stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the node, which then closes the pipe
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(p for p in sys.path if p)})
        mapped = mmap.mmap(memory, size)
        os.close(memory)
        return mapped, Connection(ours.detach()), child


def _page_up(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
