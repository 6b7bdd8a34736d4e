import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
from waits import WAIT_S

from offload_perception.bringup import process_runner
from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.process_runner import (
    STAY_INACTIVE,
    GraphRunner,
    NodeProcess,
    command_of,
    parse_arguments,
)
from offload_perception.errors import ConfigError

EDGE = next(n for n in DRONE if n.name == 'edge_inference')


class Lines(list[str]):
    """Collects lines from a reader thread; `seen(text)` waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self._event = Event()

    def __call__(self, line: str) -> None:
        self.append(line)
        self._event.set()

    def seen(self, text: str) -> bool:
        while not any(text in line for line in self):
            self._event.clear()
            if any(text in line for line in self):
                break
            assert self._event.wait(WAIT_S), list(self)
        return True


@pytest.fixture
def lines() -> Any:
    return Lines()


@pytest.fixture
def start(lines: Lines) -> Iterator[Any]:
    started = []

    def make(code: str) -> NodeProcess:
        command = [sys.executable, '-u', '-c', textwrap.dedent(code)]
        started.append(NodeProcess('edge', command, lines))
        return started[-1]
    yield make
    for process in started:
        process.stop()


@pytest.mark.parametrize(('words', 'text'), [
    (['--split=4'], 'not of the form name:=value'), (['splt:=4'], "no argument 'splt'"),
    (['remote:=maybe'], 'true or false'), (['namespace:=drone 1'], "namespace is 'drone 1'"),
    (['server:=/9/x'], "argument server is '/9/x'")])
def test_a_wrong_argument_is_named(words: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arguments(DRONE, words)
    assert text in str(caught.value)


@pytest.mark.parametrize('name', ['', '/', 'drone1', '/fleet/drone_1/'])
def test_a_namespace_may_be_written_with_and_without_slashes(
        name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_runner, 'executable', lambda name: name)
    values = parse_arguments(DRONE, [f'namespace:={name}'])
    assert f'__ns:=/{name.strip("/")}' in command_of(EDGE, values, {})


def test_text_stays_text_and_numbers_stay_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_runner, 'executable', lambda name: name)
    values = parse_arguments(DRONE, ['split:=14', 'model:=/my "model"', 'deadline:=0.5'])
    line = command_of(EDGE, values, {'exit_when_refused': 'true'})
    assert 'split:="14"' in line and r'model:="/my \"model\""' in line
    assert 'deadline:=0.5' in line and 'exit_when_refused:=true' in line


def test_what_is_given_comes_after_the_parameter_file_so_that_it_wins(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_runner, 'executable', lambda name: name)
    file = tmp_path / 'a.yaml'
    file.write_text('/**: {ros__parameters: {threads: 1}}')
    given = [f'params_file:={file}', 'deadline:=0.2', 'camera:=node']
    line = command_of(EDGE, parse_arguments(DRONE, given), {})
    assert line[-6:] == ['--params-file', str(file), '-p', 'deadline:=0.2', '-p', 'source:=""']


def test_an_executable_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', '/nowhere')
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/nowhere')
    with pytest.raises(ConfigError, match='edge_inference_node is not installed here'):
        command_of(EDGE, parse_arguments(DRONE, []), {})


def test_output_is_prefixed_and_the_exit_code_kept(start: Callable[..., Any],
                                                   lines: Lines) -> None:
    process = start("print('one'); import sys; print('two', file=sys.stderr); sys.exit(7)")
    assert lines.seen('two')
    process._process.wait(WAIT_S)
    assert process.stop() == process.exit_code == 7
    assert sorted(lines) == ['[edge] one', '[edge] two']


def test_output_that_is_no_text_is_survived(start: Callable[..., Any], lines: Lines) -> None:
    start(r"import os; os.write(1, b'\xff\xfe broken\n'); print('after')")
    assert lines.seen('after')


def test_stop_lets_a_node_end_in_good_order(start: Callable[..., Any], lines: Lines) -> None:
    process = start("""
        import signal
        signal.signal(signal.SIGTERM, lambda *_: (print('bye'), exit(0)))
        print('up')
        while True: signal.pause()
    """)
    assert lines.seen('up')
    assert process.stop() == 0 and lines.seen('bye')


def test_who_does_not_listen_is_ended_by_force(start: Callable[..., Any], lines: Lines,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_runner, 'STOP_TIMEOUT_S', 0.2)
    process = start("""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print('up')
        while True: signal.pause()
    """)
    assert lines.seen('up')
    assert process.stop() == -signal.SIGKILL


@pytest.fixture
def executables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts installed as the nodes; `camera_node` ends at once with code 3."""
    installed = tmp_path / 'lib' / 'offload_perception'
    installed.mkdir(parents=True)
    for node in DRONE:
        body = 'exit 3' if node.name == 'camera' else 'echo up; exec sleep 1000'
        script = installed / node.executable
        script.write_text(f'#!/bin/sh\n{body}\n')
        script.chmod(0o755)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path}')


def test_a_node_that_ends_by_itself_is_reported(executables: None, lines: Lines) -> None:
    with GraphRunner(DRONE, parse_arguments(DRONE, ['camera:=node']), lines) as graph:
        graph.start('um25c', 'edge_inference')
        assert lines.seen('[um25c] up') and graph.dead() is None
        graph.start('camera')
        graph._processes['camera']._process.wait(WAIT_S)
        assert graph.dead() == ('camera', 3)
        pids = [p._process.pid for p in graph._processes.values()]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_node_is_started_again_where_that_is_wanted(executables: None, lines: Lines,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_runner, 'RESPAWN_DELAY_S', 0.0)
    values = parse_arguments(DRONE, ['respawn:=true', 'camera:=node'])
    with GraphRunner(DRONE, values, lines) as graph:
        graph.start('camera', **STAY_INACTIVE)
        assert 'stay_inactive:=true' in graph._processes['camera'].command
        for _ in range(2):
            ended = graph._processes['camera']
            ended._process.wait(WAIT_S)
            assert graph.dead() is None and graph._processes['camera'] is ended
            assert graph.dead() is None and graph._processes['camera'] is not ended
        assert 'stay_inactive:=true' not in graph._processes['camera'].command
    assert sum('ended with code 3; starting it again' in line for line in lines) == 2


def test_the_condition_of_a_node_decides(executables: None, lines: Lines) -> None:
    values = parse_arguments(DRONE, ['remote:=false', 'camera:=node'])
    with GraphRunner(DRONE, values, lines) as graph:
        assert 'remote_inference' not in graph and 'camera' in graph
        graph.start('remote_inference')
        assert graph._processes == {}
        assert 'flight' not in graph
    assert 'flight' in GraphRunner(DRONE, parse_arguments(DRONE, ['flight_stack:=px4']), lines)


@pytest.mark.skipif(sys.platform != 'linux', reason='uses a Linux system call')
def test_nodes_die_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, '-c', textwrap.dedent("""
        import sys, time
        from offload_perception.bringup.process_runner import NodeProcess
        node = NodeProcess('n', ['sleep', '1000'], print)
        print(node._process.pid, flush=True)
        time.sleep(1000)
    """)], stdout=subprocess.PIPE, text=True)
    node = psutil.Process(int(parent.stdout.readline()))
    try:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        psutil.wait_procs([node], timeout=WAIT_S)
        assert not node.is_running() or node.status() == psutil.STATUS_ZOMBIE
    finally:
        if node.is_running():
            node.kill()


def test_a_runner_that_is_process_1_can_start_nodes(monkeypatch: pytest.MonkeyPatch,
                                                    lines: Lines) -> None:
    """As in a container, where the demo itself is what runs."""
    monkeypatch.setattr(os, 'getppid', lambda: 1)
    monkeypatch.setattr(os, 'getpid', lambda: 1)
    process = NodeProcess('edge', [sys.executable, '-c', "print('up')"], lines)
    assert process._process.wait(WAIT_S) == 0 and lines.seen('up')
    process.stop()
