"""Nodes are killed, stopped, starved, and told to end at any moment."""

import random
import signal
from collections.abc import Callable
from typing import Any

import pytest
from faults.flight import DRONE, LONG, RUNS_ON, SERVER, TIMES, Flight, busy, pause
from graph.command import FLYING, Command

from offload_perception.network.artefact import Artefact
from offload_perception.telemetry.summary import LOST_WITH_NODE

PAUSE_S = 5.0
BUSY_S = 5.0
STARTS = 10  # of each kind of node, by each signal: a hundred in all
LATEST_S = 2.5  # by then a node is up


def test_the_server_is_killed(flight: Flight, photos: str) -> None:
    flight.start_server()
    flight.start_drone(photos)
    for _ in range(TIMES):
        with flight.fault():
            flight.kill('remote_inference')
            flight.start_server()
        flight.flies()
    flight.land('server killed and started again')


def test_the_drone_is_killed(flight: Flight, photos: str) -> None:
    flight.start_server()
    flight.start_drone(photos)
    for _ in range(TIMES):
        with flight.fault():
            flight.kill('edge_inference')
            flight.start('edge_inference')
        flight.flies()
    reasons = flight.land('drone killed and started again')
    assert reasons.get(LOST_WITH_NODE, 0) <= 4 * TIMES  # those that were under way


@pytest.mark.long
def test_the_recorder_is_killed(flight: Flight, photos: str) -> None:
    flight.start_server()
    flight.start_drone(photos)
    for _ in range(TIMES):
        with flight.fault():
            flight.kill('recorder')
            flight.start_recorder()
        flight.flies()
    flight.land('recorder killed and started again')


def test_a_recorder_that_is_started_again_keeps_the_bag_of_before(flight: Flight,
                                                                  photos: str) -> None:
    flight.start_server()
    flight.start_drone(photos)
    with flight.fault():
        flight.kill('recorder')
        again = flight.start('recorder')  # as with respawn:=true
    assert again.said(r'recording into (\S+)')[1].endswith('bag1_2')
    flight.flies()
    flight.land('recorder started again by respawn', recorded_all=False)


@pytest.mark.long
def test_the_camera_is_killed(flight: Flight, photos: str) -> None:
    flight.start_server()
    flight.start_drone('')
    camera = f'source:={photos}', 'rate:=10.0'
    flight.start('camera', *camera)
    flight.flies()
    for _ in range(TIMES):
        with flight.fault():
            flight.kill('camera')
            flight.start('camera')
        flight.flies()
    flight.land('camera node killed and started again')


@pytest.mark.long
def test_the_meter_node_is_killed(flight: Flight, photos: str) -> None:
    flight.start_server()
    flight.start('um25c').said('reading|EMULATED|emulat')
    flight.start_drone(photos)
    flight.flies(FLYING + r'.* W \(emulated\)')
    for _ in range(TIMES):
        with flight.fault():
            flight.kill('um25c')
            flight.start('um25c')
        flight.flies(FLYING + r'.* W \(emulated\)')
    flight.land('meter node killed and started again')


@pytest.mark.parametrize('name', ['remote_inference', LONG('edge_inference'), LONG('recorder')])
def test_a_node_is_stopped_for_a_time(flight: Flight, photos: str, name: str) -> None:
    flight.start_server()
    flight.start_drone(photos)
    for _ in range(TIMES):
        with flight.fault():
            flight.send(name, signal.SIGSTOP)
            pause(PAUSE_S)
            flight.send(name, signal.SIGCONT)
        flight.flies(RUNS_ON)
    flight.land(f'{name} stopped (SIGSTOP) for {PAUSE_S:.0f} s')


@pytest.mark.long
def test_the_cores_are_busy(flight: Flight, photos: str) -> None:
    flight.start_server()
    flight.start_drone(photos)
    for _ in range(TIMES):
        with flight.fault(), busy(4):
            pause(BUSY_S)
        flight.flies()
    flight.land(f'four busy processes for {BUSY_S:.0f} s')


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('executable', [LONG('edge_inference_node'), LONG('remote_inference_node'),
                                        LONG('recorder_node'), LONG('um25c_node'), 'demo'])
def test_a_signal_at_any_moment_of_the_start(
        run: Callable[..., Command], artefact: Artefact, photos: str, executable: str, sent: Any,
        tmp_path: Any) -> None:
    moments = random.Random(executable + sent.name)
    model = f'model:={artefact.path}'
    given = ([model, f'source:={photos}'] if executable == 'demo' else
             ['--ros-args', '-r', f'__ns:={SERVER if "remote" in executable else DRONE}',
              *(['-p', model] if 'inference' in executable else []),
              *(['-p', f'bag:={tmp_path}/bag'] if 'recorder' in executable else [])])
    for _ in range(STARTS if TIMES > 1 else 2):
        started = run(executable, *given)
        pause(moments.uniform(0.0, LATEST_S))
        started.process.send_signal(sent)
        code = started.wait()
        # Before the process is its own, the system or Python ends it.
        by_python = code == 1 and 'Fatal Python error: init_' in started.output
        assert by_python or code in (0, -sent, 128 + sent), (code, started.output)
        assert 'Traceback' not in started.output or started.lines[-1] == 'KeyboardInterrupt'
        assert started.nobody_is_left()
        started.end()
