"""A fleet is what its arguments say, from the launch file and from the runner."""

import re
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from unit.bringup.test_graph import started_by
from waits import WAIT_S

from offload_perception.bringup import fleet_graph, process_runner
from offload_perception.bringup.arguments import arguments
from offload_perception.bringup.fleet_graph import Member, members
from offload_perception.bringup.fleet_runner import FleetRunner
from offload_perception.bringup.graph import DRONE, SERVER
from offload_perception.errors import ConfigError


def running(parts: tuple[Member, ...]) -> dict[str, list[str]]:
    return {m.name: [n.name for n in m.nodes if m.settings.runs(n)] for m in parts}


def parameters(parts: tuple[Member, ...], label: str) -> dict[str, Any]:
    return next(m.settings.parameters(n) for m in parts for n in m.nodes if m.label(n) == label)


def test_four_drones_and_two_servers_by_default() -> None:
    drone = ['um25c', 'edge_inference']
    assert running(members({})) == {
        '': ['dashboard'], 'server1': ['remote_inference'], 'server2': ['remote_inference'],
        **{f'drone{n}': drone for n in range(1, 5)}}


def test_every_node_has_a_name_of_its_own() -> None:
    parts = members({'drones': '64', 'servers': '16', 'record': 'true'})
    names = [(m.settings.namespace(n).strip('/'), n.name) for m in parts for n in m.nodes]
    labels = [m.label(n) for m in parts for n in m.nodes]
    assert len(set(names)) == len(names) == len(set(labels))
    assert {f'{ns}/{name}'.lstrip('/') for ns, name in names} == set(labels)


def test_every_drone_knows_every_server_and_plans() -> None:
    parts = members({'drones': '2', 'servers': '3'})
    for name in ('drone1', 'drone2'):
        found = parameters(parts, f'{name}/edge_inference')
        assert found.pop('source').startswith('terrain:')
        assert found == {'server': '/server1,/server2,/server3', 'split': 'auto'}
    assert parameters(parts, 'dashboard') == {'server': '/server1,/server2,/server3'}


def test_one_meter_is_not_given_to_several_drones() -> None:
    with pytest.raises(ConfigError, match='a single meter, and 2 drones'):
        members({'drones': '2', 'meter_port': '/dev/rfcomm0'})
    assert parameters(members({'drones': '1', 'meter_port': '/dev/rfcomm0'}),
                      'drone1/um25c')['port'] == '/dev/rfcomm0'


def test_servers_may_run_elsewhere() -> None:
    parts = members({'drones': '1', 'servers': '0', 'server': '/gpu,/cpu'})
    assert list(running(parts)) == ['', 'drone1']
    assert parameters(parts, 'drone1/edge_inference')['server'] == '/gpu,/cpu'
    assert 'server' not in parameters(members({'servers': '0'}), 'drone1/edge_inference')


@pytest.mark.parametrize(('given', 'sources'), [
    ({}, ['terrain:0', 'terrain:1']), ({'source': 'terrain:7'}, ['terrain:7', 'terrain:8']),
    ({'source': 'photos+terrain'}, ['photos+terrain:0', 'photos+terrain:1']),
    ({'source': 'photos'}, ['photos', 'photos'])])
def test_each_generated_flight_has_a_seed_of_its_own(given: dict[str, str],
                                                     sources: list[str]) -> None:
    for camera, player in (('inside', 'edge_inference'), ('node', 'camera')):
        parts = members({'drones': '2', 'camera': camera, **given})
        assert [parameters(parts, f'drone{n}/{player}')['source'] for n in (1, 2)] == sources


def test_one_recorder_takes_all_drones_and_servers() -> None:
    parts = members({'drones': '3', 'servers': '1', 'record': 'true', 'bag': '/no/such/bag'})
    assert running(parts)[''] == ['recorder', 'dashboard']
    assert parameters(parts, 'recorder') == {
        'drones': 'drone1,drone2,drone3', 'server': '/server1', 'bag': '/no/such/bag'}
    assert parameters(members({'record_drones': 'drone2'}), 'recorder')['drones'] == 'drone2'


def test_all_other_arguments_reach_every_drone_and_server() -> None:
    parts = members({'drones': '2', 'servers': '2', 'threads': '1', 'deadline': '0.5',
                     'meter': 'none', 'server_device': 'cpu'})
    for n in (1, 2):
        assert parameters(parts, f'drone{n}/edge_inference')['deadline'] == 0.5
        assert parameters(parts, f'server{n}/remote_inference') == {'threads': 1, 'device': 'cpu'}
    assert 'um25c' not in running(parts)['drone2']
    missing = set(arguments(DRONE)) | set(arguments(SERVER))
    assert missing - set(fleet_graph.arguments()) == {'namespace', 'remote'}


@pytest.mark.parametrize(('name', 'text', 'why'), [
    ('drones', '0', '1 .. 64'), ('drones', '65', '1 .. 64'), ('drones', 'many', 'int'),
    ('servers', '-1', '0 .. 16'), ('servers', '17', '0 .. 16'),
    ('server', '/a,a', 'several different'), ('record_drones', 'drone1,,', 'give a namespace'),
    ('record_drones', 'a b', 'letters'), ('rate', 'abc', 'float')])
def test_a_wrong_argument_is_named(name: str, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"argument {name} is '{text}'")) as caught:
        members({name: text})
    assert why in str(caught.value)


def test_a_name_that_is_no_argument_is_refused() -> None:
    for name in ('speed', 'namespace', 'remote'):
        with pytest.raises(ConfigError, match=f"no argument '{name}'; use one of drones, servers"):
            members({name: '1'})


# -- as processes -----------------------------------------------------------------------------


@pytest.fixture(params=['inside', 'node'])
def camera(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, camera: str) -> Iterator[FleetRunner]:
    """A fleet of two drones and a server, of scripts that only wait."""
    installed = tmp_path / 'lib' / 'offload_perception'
    installed.mkdir(parents=True)
    for node in DRONE:
        script = installed / node.executable
        script.write_text('#!/bin/sh\nexec sleep 1000\n')
        script.chmod(0o755)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    parts = members({'drones': '2', 'servers': '1', 'camera': camera})
    with FleetRunner(parts, lambda line: None) as made:
        yield made


def processes(runner: FleetRunner) -> dict[str, psutil.Process]:
    return {p.name: psutil.Process(p._process.pid)
            for _, graph in runner._graphs for p in graph._processes.values()}


def test_what_plays_stays_inactive_and_all_end(runner: FleetRunner, camera: str) -> None:
    player = 'camera' if camera == 'node' else 'edge_inference'
    runner.start()
    found = processes(runner)
    players, others = (runner.nodes(players=which) for which in (True, False))
    assert players == [f'/drone1/{player}', f'/drone2/{player}']
    assert {f'/{label}' for label in found} == {*players, *others}
    assert {f'/{p.name}' for _, graph in runner._graphs for p in graph._processes.values()
            if 'stay_inactive:=true' in p.command} == set(players)
    runner.stop(Member.plays)
    assert {f'/{label}' for label in processes(runner)} == set(others)
    runner.close()
    assert not any(p.is_running() for p in found.values())


@pytest.mark.parametrize('camera', ['node'])
def test_a_node_that_ends_by_itself_is_named_once_and_ends_no_other(runner: FleetRunner) -> None:
    runner.start()
    killed = next(p._process for _, graph in runner._graphs for p in graph._processes.values()
                  if p.name == 'server1/remote_inference')
    killed.kill()
    killed.wait(WAIT_S)
    assert list(runner.ended()) == [('server1/remote_inference', -signal.SIGKILL)]
    assert list(runner.ended()) == [] and len(processes(runner)) == 7


# -- as a launch description ------------------------------------------------------------------

launched = pytest.mark.skipif(find_spec('launch_ros') is None,
                              reason='launch_ros is not installed')


@launched
@pytest.mark.parametrize('given', [{}, {'drones': '3', 'servers': '1', 'record': 'true',
                                        'source': 'photos+terrain', 'meter': 'none'}])
def test_launch_and_runner_start_the_same_fleet(given: dict[str, str],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    from offload_perception.bringup.launch_description import describe_fleet

    monkeypatch.setattr(process_runner, 'executable', lambda name: f'/bin/{name}')
    expected = [(n, m.settings) for m in members(given) for n in m.nodes if m.settings.runs(n)]
    for action, (node, settings) in zip(started_by(describe_fleet(), given), expected,
                                        strict=True):
        line = process_runner.command_of(node, settings, {})
        assert line[0] == f'/bin/{action.node_executable}'
        assert f'__ns:={action.expanded_node_namespace}' in line
        in_launch = {name: text for file, is_file in action._Node__expanded_parameter_arguments
                     if is_file for name, text in _parameters_in(file).items()}
        assert in_launch == settings.parameters(node)


def _parameters_in(file: str) -> dict[str, Any]:
    import yaml
    content, = yaml.safe_load(Path(file).read_text()).values()
    found: dict[str, Any] = content['ros__parameters']
    return found


@launched
def test_a_pushed_namespace_comes_before_that_of_each_drone() -> None:
    from offload_perception.bringup.launch_description import describe_fleet

    found = started_by(describe_fleet(), {'ros_namespace': '/north', 'drones': '1'})
    assert {a.expanded_node_namespace for a in found} == {
        '/north', '/north/drone1', '/server1', '/server2'}


@launched
def test_a_wrong_argument_ends_a_launch_before_anything_starts() -> None:
    from offload_perception.bringup.launch_description import describe_fleet

    with pytest.raises(ConfigError, match="argument drones is '0'"):
        started_by(describe_fleet(), {'drones': '0'})
