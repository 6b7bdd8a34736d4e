"""Nodes that are killed, and what comes after them."""

import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from graph.command import FLYING, Command

from offload_perception.bringup.dds import profile_environment
from offload_perception.network.artefact import Artefact

SEGMENT = re.compile(r'/dev/shm/(fast(?:rtps|dds)_[0-9a-f]{16})$', re.MULTILINE)
SERVER = ('remote_inference_node', '--ros-args', '-r', '__ns:=/server')


def segments_of(pid: int) -> list[Path]:
    """Return the shared memory that a process has locked as its own."""
    maps = Path(f'/proc/{pid}/maps').read_text()
    held = set()
    for descriptor in Path(f'/proc/{pid}/fd').iterdir():
        with suppress(FileNotFoundError):  # it is closed by now
            held.add(os.readlink(descriptor))
    return [Path('/dev/shm', name) for name in set(SEGMENT.findall(maps))
            if f'/dev/shm/{name}_el' in held]


@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='needs Linux with shared memory')
def test_a_later_node_removes_the_shared_memory_of_one_that_was_killed(
        run: Callable[..., Command]) -> None:
    env = profile_environment()
    camera = run('camera_node', '--ros-args', '-r', '__ns:=/drone1', '-p', 'source:=terrain',
                 env=env)
    camera.said('showing')
    left = segments_of(camera.child('camera_node').pid)
    assert left
    for segment in left:  # nodes of tests beside this one remove old ones
        os.utime(f'{segment}_el')
    camera.process.kill()
    camera.process.wait()
    for segment in left:  # young ones may belong to a process that starts just now
        assert segment.is_file(), 'Fast DDS cleans up after a kill: remove our own cleaning'
        os.utime(f'{segment}_el', (0.0, 0.0))
    other = run('camera_node', '--ros-args', '-r', '__ns:=/drone2', '-p', 'source:=terrain',
                env=env)
    other.said('showing')  # it, or a node of a test beside this one, has removed them
    assert not any(segment.exists() for segment in left)
    assert all(s.is_file() for s in segments_of(other.child('camera_node').pid))


def test_a_server_that_was_killed_is_followed_by_another_and_nobody_sees_two(
        run: Callable[..., Command], artefact: Artefact, photos: str) -> None:
    model = ['-p', f'model:={artefact.path}', '-p', 'runtime:=litert', '-p', 'threads:=1']
    server = run(*SERVER, *model)
    server.said('serving /server/features')
    edge = run('edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model)
    edge.said('split 14')
    run('camera_node', '--ros-args', '-r', '__ns:=/drone1', '-p', f'source:={photos}')
    monitor = run('monitor', '--namespace', 'drone1')
    monitor.said(FLYING)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = run(*SERVER, *model)
    again.said('serving /server/features')
    for _ in range(6):  # what lasts for 3 s is logged; DDS keeps the killed one for 20 s
        monitor.said(FLYING, after=len(monitor.lines))
    for command in (again, edge):
        assert 'serves /server/features already' not in command.output
        assert 'servers answer' not in command.output
