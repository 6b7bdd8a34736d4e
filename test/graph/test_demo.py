"""The whole graph as processes, started as a user starts it."""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graph.command import FLYING, LIVE, Command, adds_up, closing

from offload_perception.network.artefact import Artefact


@pytest.mark.parametrize('camera', ['inside', 'node'])
def test_the_demo_flies_and_its_closing_line_adds_up(run: Callable[..., Command],
                                                     arguments: list[str], camera: str) -> None:
    demo = run('demo', '--duration', '5', *arguments, f'camera:={camera}')
    assert demo.wait() == 0, demo.output
    assert adds_up(demo.output)
    captured, remote, *_ = closing(demo.output)
    assert remote > 0 and captured >= remote
    for text in ('deadline met', 'J per frame', 'EMULATED', 'ran on: head litert'):
        assert text in demo.output
    assert demo.said(FLYING) and 'split block4_pool' in demo.output
    player = {'inside': 'edge_inference', 'node': 'camera'}[camera]
    assert re.search(rf'\[{player}\].* showing 3 picture', demo.output)
    assert ('[camera]' in demo.output) == (camera == 'node')
    assert 'Traceback' not in demo.output and demo.nobody_is_left()


def test_all_on_board_needs_no_server(run: Callable[..., Command], arguments: list[str]) -> None:
    demo = run('demo', '--duration', '2', *arguments, 'remote:=false', 'split:=-1')
    assert demo.wait() == 0, demo.output
    _, remote, local, *_ = closing(demo.output)
    assert adds_up(demo.output) and local > 0 == remote
    assert '[remote_inference]' not in demo.output


def test_the_last_lines_name_what_the_nodes_complain_of(run: Callable[..., Command],
                                                        arguments: list[str],
                                                        tmp_path: Path) -> None:
    pytest.importorskip('mcap_ros2')
    demo = run('demo', '--duration', '6', *arguments, 'record:=true', f'bag:={tmp_path}/bag')
    demo.said(FLYING)
    shutil.rmtree(tmp_path / 'bag')
    assert demo.wait() == 0, demo.output
    complaints = [line for line in demo.lines if line.startswith('diagnostics: ')]
    assert any('error, /drone1/recorder: ' in line for line in complaints), demo.output
    assert not any('Edge TPU' in line for line in complaints), 'device auto took what there is'


def test_a_full_disk_is_refused_before_the_flight(run: Callable[..., Command],
                                                  arguments: list[str], tmp_path: Path) -> None:
    pytest.importorskip('mcap_ros2')
    (tmp_path / 'full.yaml').write_text('/**: {ros__parameters: {min_free: 1000000}}')
    demo = run('demo', *arguments, 'record:=true', f'bag:={tmp_path}/flights/bag',
               f'params_file:={tmp_path}/full.yaml')
    assert demo.wait() == 1, demo.output
    assert 'recorder exited by itself' in demo.output and not (tmp_path / 'flights').exists()


def test_ctrl_c_ends_everything_with_a_closing_line(run: Callable[..., Command],
                                                    arguments: list[str]) -> None:
    demo = run('demo', *arguments)
    demo.said(FLYING)
    assert len(demo.family()) >= 5
    demo.interrupt()
    assert demo.wait() == 0, demo.output
    assert adds_up(demo.output) and demo.nobody_is_left()


def test_ctrl_c_before_the_flight_ends_everything(run: Callable[..., Command],
                                                  arguments: list[str]) -> None:
    demo = run('demo', *arguments)
    demo.said(r'\[um25c\]')
    demo.interrupt()
    assert demo.wait() == 0, demo.output
    assert closing(demo.output)[0] == 0 and demo.nobody_is_left()


def test_a_node_that_dies_ends_the_demo_with_its_code_and_name(
        run: Callable[..., Command], arguments: list[str]) -> None:
    demo = run('demo', *arguments)
    demo.said(FLYING)
    demo.child('edge_inference_node').send_signal(signal.SIGKILL)
    assert demo.wait() == 128 + signal.SIGKILL
    assert 'error: edge_inference exited by itself' in demo.output and demo.nobody_is_left()


def test_a_demo_that_is_killed_leaves_nothing_behind(run: Callable[..., Command],
                                                     arguments: list[str]) -> None:
    demo = run('demo', *arguments)
    demo.said(FLYING)
    demo.process.kill()
    demo.process.wait()
    assert demo.nobody_is_left()


@pytest.mark.parametrize(('argument', 'code', 'text'), [
    ('source:=/no/such/film.mp4', 2, "no camera source '/no/such/film.mp4'"),
    ('meter_port:=/dev/no_such_port', 1, '/dev/no_such_port'),
    ('split:=block9_pool', 1, "no cut 'block9_pool'"),
    ('deadline:=-1.0', 2, 'argument deadline'),
    ('threads:=many', 2, 'argument threads'),
    ('speed:=3', 2, "no argument 'speed'"),
    ('namespace:=a b', 2, "argument namespace is 'a b'"),
])
def test_bad_input_ends_the_demo_with_a_message(run: Callable[..., Command], arguments: list[str],
                                                argument: Any, code: int, text: str) -> None:
    demo = run('demo', '--duration', '60', *arguments, argument)
    assert demo.wait() == code, demo.output
    assert text in demo.output and 'error: ' in demo.output
    assert 'Traceback' not in demo.output and demo.nobody_is_left()


def test_a_server_killed_in_flight_costs_frames_not_the_drone(
        run: Callable[..., Command], arguments: list[str], artefact: Artefact,
        photos: str) -> None:
    model = ['-p', f'model:={artefact.path}', '-p', 'runtime:=litert', '-p', 'threads:=1']
    server = run('remote_inference_node', '--ros-args', '-r', '__ns:=/server', *model)
    server.said('serving /server/features')
    edge = run('edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model,
               '-p', 'reply_timeout:=0.3')
    edge.said('split 14')
    run('camera_node', '--ros-args', '-r', '__ns:=/drone1', '-p', f'source:={photos}')
    monitor = run('monitor', '--namespace', 'drone1')
    monitor.said(FLYING)
    server.process.kill()
    edge.said('no reply|no server')
    dropping = len(monitor.lines)
    monitor.said(LIVE + r' +0\.0 fps.*dropped', after=dropping)
    again = run('remote_inference_node', '--ros-args', '-r', '__ns:=/server', *model)
    again.said('serving')
    monitor.said(FLYING, after=len(monitor.lines))
    monitor.interrupt()
    assert monitor.wait() == 0 and edge.process.poll() is None
    assert adds_up(monitor.output)
    reasons = closing(monitor.output)[4]
    assert set(reasons) <= {'no reply', 'no server', 'late at server', 'server busy',
                            'superseded'} and reasons


def test_a_second_server_says_so(run: Callable[..., Command], artefact: Artefact) -> None:
    command = ['remote_inference_node', '--ros-args', '-r', '__ns:=/server',
               '-p', f'model:={artefact.path}', '-p', 'runtime:=litert']
    run(*command).said('serving')
    second = run(*command)  # refuses, or, where discovery takes longer than its start, complains
    second.said('serves /server/features already.*namespace of its own')


def test_a_second_drone_in_a_namespace_refuses(run: Callable[..., Command],
                                               artefact: Artefact) -> None:
    command = ['edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', '-p', 'split:=-1',
               '-p', f'model:={artefact.path}', '-p', 'runtime:=litert',
               '-p', 'exit_when_refused:=true']
    first = run(*command, '-p', 'discovery_time:=0.0')
    first.said('all on board')
    second = run(*command, '-p', 'discovery_time:=60.0')  # a busy computer discovers late
    assert second.wait() == 1
    assert re.search('another /drone1/edge_inference is active.*namespace of its own',
                     second.output), second.output
    assert first.process.poll() is None


@pytest.mark.skipif(shutil.which('ros2') is None, reason='ros2 is not on the PATH')
def test_ros2_launch_flies_the_drone(run: Callable[..., Command], arguments: list[str]) -> None:
    launch = run('ros2', 'launch', 'offload_perception', 'drone.launch.py', *arguments)
    monitor = run('monitor', '--namespace', 'drone1')
    monitor.said(FLYING)
    monitor.interrupt()
    assert monitor.wait() == 0 and closing(monitor.output)[1] > 0
    launch.interrupt()
    launch.wait()
    assert launch.nobody_is_left()
