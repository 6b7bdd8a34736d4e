"""A drone, a server and all who count frames, as processes; faults in flight; the accounts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from graph.command import FLYING, LIVE, Command, closing
from waits import WAIT_S

from offload_perception.bringup.dds import profile_environment
from offload_perception.frames import Outcome
from offload_perception.recording import BagReader
from offload_perception.report.recorded_flight import load_flights
from offload_perception.telemetry.summary import LOST_WITH_NODE

TIMES = int(os.environ.get('FAULT_TIMES', '1'))
"""How often a case injects its fault."""
LOG = os.environ.get('FAULT_LOG', '')
"""File that gets a line of JSON for each case; see faults/outcomes.py."""
LONG = partial(pytest.param, marks=pytest.mark.long)
"""A parameter of a test that is only for scripts/soak.sh."""
RUNS_ON = FLYING + r'.*split block4_pool'
SERVER, DRONE = '/server', '/drone1'


def pause(seconds: float) -> None:
    """Let a fault last."""
    Event().wait(seconds)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep cores busy with processes that do nothing else."""
    started = [subprocess.Popen([sys.executable, '-c', 'while True: pass'])
               for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.send_signal(signal.SIGKILL)
            process.wait()


class Frames(NamedTuple):
    """Recorded frames, one row each: when the image came [s since the epoch], when the frame
    ended by the recorder's clock [s], and its outcome."""

    began_s: np.ndarray
    ended_s: np.ndarray
    outcome: np.ndarray


class Flight:
    """The processes of one flight.

    :ivar dropped_since: why frames were dropped whose image came after the first fault had begun.
    :param around: words before the command of a node, such as `ip netns exec`.
    """

    def __init__(self, run: Callable[..., Command], model: Path, folder: Path,
                 around: dict[str, Sequence[str]] | None = None, **env: str) -> None:
        self._run, self._folder, self._around = run, folder, around or {}
        self._model = [f'model:={model}', 'runtime:=litert', 'threads:=1']
        self._env = {**profile_environment(), **env}
        self._nodes: dict[str, Command] = {}
        self._commands: dict[str, tuple[str, ...]] = {}
        self._faults: list[tuple[float, float]] = []
        self._bags, self.dropped_since = 0, set[str]()

    # -- nodes ------------------------------------------------------------------------------

    def start(self, name: str, *parameters: str, namespace: str = DRONE, executable: str = '',
              **env: str) -> Command:
        """Start a node; without parameters as before."""
        command = (executable or f'{name}_node', '--ros-args', '-r', f'__ns:={namespace}',
                   *(word for p in parameters for word in ('-p', p)))
        if parameters or name not in self._commands:
            self._commands[name] = command
        self._nodes[name] = self._run(*self._around.get(name, ()), *self._commands[name],
                                      env={**self._env, **env})
        return self._nodes[name]

    def start_server(self, *parameters: str, model: Path | None = None, **env: str) -> Command:
        """Start the server, and wait until it serves."""
        own = [f'model:={model}', *self._model[1:]] if model else self._model
        node = self.start('remote_inference', *own, *parameters, namespace=SERVER, **env)
        node.said(f'serving {SERVER}/features')
        return node

    def start_drone(self, source: str, *parameters: str, rate: float = 10.0,
                    env: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start recorder, viewer and the drone's node, and wait until frames have results."""
        self.start_recorder()
        self._nodes['monitor'] = self._run(*self._around.get('monitor', ()), 'monitor',
                                           '--namespace', DRONE[1:], env=self._env)
        self._nodes['monitor'].said(LIVE)
        self.start('edge_inference', *self._model, f'rate:={rate}',
                   *([f'source:={source}'] if source else []), *parameters, **env)
        if source:
            self.flies()

    def start_recorder(self) -> Command:
        """Start the recorder with a bag of its own."""
        self._bags += 1
        node = self.start('recorder', f'bag:={self._folder}/bag{self._bags}', 'min_free:=0',
                          'server:=/server')
        node.said('recording into')
        return node

    def __getitem__(self, name: str) -> Command:
        return self._nodes[name]

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process of a node itself."""
        executable = self._commands[name][0]
        self._nodes[name].child(executable).send_signal(number)

    def kill(self, name: str) -> None:
        """Kill a node by SIGKILL."""
        self.send(name, signal.SIGKILL)
        self._nodes[name].process.wait(WAIT_S)

    # -- faults -----------------------------------------------------------------------------

    @contextmanager
    def fault(self) -> Iterator[None]:
        """The time of a fault: what is done in it."""
        began_s = time.time()
        yield
        self._faults.append((began_s, time.time()))

    def flies(self, pattern: str = FLYING, seconds: int = 2) -> None:
        """Wait until `seconds` lines of the viewer in a row match: frames have results again."""
        monitor, in_a_row = self._nodes['monitor'], 0
        give_up_s = time.monotonic() + WAIT_S
        while in_a_row < seconds:
            assert time.monotonic() < give_up_s, monitor.output
            monitor.said(LIVE, after=(n := len(monitor.lines)))
            in_a_row = in_a_row + 1 if any(
                re.search(pattern, line) for line in monitor.lines[n:]) else 0

    # -- the end ----------------------------------------------------------------------------

    def land(self, name: str, *, recorded_all: bool = True) -> dict[str, int]:
        """End all nodes, the source first; check the accounts, and log the case `name`.

        Return the reasons of dropped frames.

        :param recorded_all: whether the bags have to hold all frames that were reported.
        """
        self._end('camera')
        self._end('edge_inference')
        for other in [n for n in self._nodes if n != 'monitor']:
            self._end(other)
        self._end('monitor')
        said = self._nodes['monitor'].output
        seen = captured, remote, local, dropped, reasons, under_way = closing(said)
        assert captured > 0 and under_way == 0, said
        assert captured == remote + local + dropped and sum(reasons.values()) == dropped, said
        frames, reported = self._recorded(), captured - reasons.get(LOST_WITH_NODE, 0)
        assert len(frames.outcome) <= reported
        if recorded_all:
            assert len(frames.outcome) == reported
        if recorded_all and self._bags == 1 and 'camera' not in self._nodes:
            flight, = load_flights(self._folder / 'bag1')
            assert flight.summary.adds_up(), (said, flight.closing_lines)
            assert closing('\n'.join(flight.closing_lines)) == seen, (said, flight.closing_lines)
        self._log(name, frames, seen)
        return reasons

    def _end(self, name: str) -> None:
        """End a node as Ctrl-C does, and check that it ended well."""
        if (command := self._nodes.get(name)) is None or command.process.poll() is not None:
            return
        for process in command.family():
            process.send_signal(signal.SIGINT)
        assert command.wait() == 0, command.output
        assert 'Traceback' not in command.output, command.output

    def _recorded(self) -> Frames:
        rows = dict[Any, Any]()  # a recorder that starts gets the last frames from before, too
        for n in range(1, self._bags + 1):
            for m in BagReader(self._folder / f'bag{n}'):
                if m.topic == f'{DRONE}/frame_latency':
                    frame, at_s = m.decode(), 1e-9 * m.time_ns
                    rows.setdefault((frame.end, frame.sequence),
                                    (at_s - frame.total, at_s, frame.outcome))
                    if self._faults and at_s - frame.total > self._faults[0][0]:
                        self.dropped_since |= {frame.reason} - {''}
        began_s, ended_s, outcome = np.array(sorted(rows.values(), key=lambda row: row[1])).T
        return Frames(began_s, ended_s, outcome)

    def _log(self, name: str, frames: Frames, seen: tuple[Any, ...]) -> None:
        if not LOG:
            return
        inside = np.zeros(len(frames.outcome), bool)
        for began_s, ended_s in self._faults:
            inside |= (frames.ended_s >= began_s) & (frames.began_s <= ended_s)
        outcomes, counts = np.unique(frames.outcome[~inside], return_counts=True)
        usual = outcomes[np.argmax(counts)]
        recovered_s = []
        for _, ended_s in self._faults:
            after = frames.ended_s[(frames.began_s > ended_s) & (frames.outcome == usual)]
            recovered_s.append(float(after[0] - ended_s) if len(after) else None)
        line = {'fault': name, 'times': len(self._faults), 'frames': seen[0],
                'in_fault': {o.name.lower(): int((frames.outcome[inside] == o).sum())
                             for o in Outcome},
                'reasons': seen[4], 'recovered_s': recovered_s}
        with open(LOG, 'a') as log:
            log.write(json.dumps(line) + '\n')

