import os
import re
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from offload_perception.bringup import process_runner
from offload_perception.bringup.arguments import Settings, arguments
from offload_perception.bringup.dds import RANGE_VARIABLE, with_profile
from offload_perception.bringup.graph import DRONE, SERVER, NodeEntry
from offload_perception.errors import ConfigError

NODES = {'drone': DRONE, 'server': SERVER}
EACH = [pytest.param(n, id=f'{graph}-{n.name}') for graph, nodes in NODES.items() for n in nodes]


@pytest.mark.parametrize('node', EACH)
def test_every_parameter_and_argument_of_the_table_exists(node: NodeEntry) -> None:
    known = {f.name for f in fields(node.config)}
    assert set(node.parameters) <= known
    graph = arguments((node,))
    assert set(node.parameters.values()) | {node.namespace, 'params_file'} <= set(graph)
    assert not node.condition or node.condition in graph


@pytest.mark.parametrize('node', EACH)
def test_every_default_is_that_of_the_parameter(node: NodeEntry) -> None:
    given = {a: arguments((node,))[a].default for a in node.parameters.values()
             if a != node.condition}  # which also has values of other nodes
    found = Settings((node,), given).parameters(node)
    assert found == {p: getattr(node.config(), p) for p, a in node.parameters.items()
                     if a in given}


def test_the_arguments_of_the_launch_files_are_there() -> None:
    wanted = {'namespace', 'source', 'model', 'weights', 'device', 'split', 'deadline',
              'meter_port', 'remote'}
    assert wanted <= set(arguments(DRONE)) and all(a.description
                                                   for a in arguments(DRONE).values())
    assert {'server', 'model', 'weights', 'server_device'} <= set(arguments(SERVER))
    assert not {'namespace', 'remote', 'source'} & set(arguments(SERVER))


def test_drone_and_server_meet_by_default() -> None:
    assert arguments(DRONE)['server'].default == arguments(SERVER)['server'].default


@pytest.mark.parametrize('node', EACH)
def test_what_is_given_sets_parameters_and_nothing_else_does(node: NodeEntry) -> None:
    known = arguments((node,))
    given = {a: known[a].choices[-1] if known[a].choices else known[a].default
             for a in node.parameters.values()}
    assert set(Settings((node,), given).parameters(node)) == set(node.parameters)
    assert Settings((node,), {}).parameters(node) == {}
    assert Settings((node,), {'use_sim_time': '1'}).parameters(node) == {'use_sim_time': True}


@pytest.mark.parametrize(('given', 'running'), [
    ({}, {'remote_inference', 'um25c', 'edge_inference'}),
    ({'camera': 'node'}, {'remote_inference', 'um25c', 'edge_inference', 'camera'}),
    ({'remote': 'False', 'camera': 'false', 'meter': 'none'}, {'edge_inference'}),
    ({'meter': 'monsoon', 'record': '1', 'dashboard': 'true', 'flight_stack': 'px4'},
     {'remote_inference', 'monsoon', 'recorder', 'dashboard', 'flight', 'edge_inference'}),
    ({'meter': 'hwmon:ina3221/VDD_IN', 'remote': 'false', 'camera': 'false'},
     {'power', 'edge_inference'})])
def test_arguments_choose_the_nodes(given: dict[str, Any], running: set[str]) -> None:
    settings = Settings(DRONE, given)
    assert {n.name for n in DRONE if settings.runs(n)} == running


@pytest.mark.parametrize(('given', 'player', 'plays'), [
    ({}, 'edge_inference', 'photos+terrain'), ({'source': 'terrain'}, 'edge_inference', 'terrain'),
    ({'camera': 'node', 'source': 'terrain'}, 'camera', ''), ({'camera': 'False'}, '', '')])
def test_one_node_plays_the_source(given: dict[str, str], player: str, plays: str) -> None:
    settings = Settings(DRONE, given)
    edge = next(n for n in DRONE if n.name == 'edge_inference')
    assert settings.player == player
    assert settings.parameters(edge)['source'] == plays


@pytest.mark.parametrize(('text', 'plays'), [
    ('/**: {ros__parameters: {source: terrain}}', None),
    ('/drone1/edge_inference: {ros__parameters: {source: terrain}}', None),
    ('drone1: {edge_inference: {ros__parameters: {source: terrain}}}', None),
    ('/**: {ros__parameters: {threads: 1}}', 'photos+terrain'),
    ('/drone1/power: {ros__parameters: {source: rapl}}', 'photos+terrain')])
def test_a_parameter_file_may_name_the_source(text: str, plays: str | None,
                                              tmp_path: Path) -> None:
    file = tmp_path / 'p.yaml'
    file.write_text(text)
    edge = next(n for n in DRONE if n.name == 'edge_inference')
    for given, found in (({}, plays), ({'source': 'photos'}, 'photos'), ({'camera': 'node'}, '')):
        settings = Settings(DRONE, {'params_file': str(file), **given})
        assert settings.parameters(edge).get('source') == found


def test_the_source_of_a_meter_is_a_parameter_of_its_node() -> None:
    settings = Settings(DRONE, {'meter': 'topic:/bench/power'})
    power = next(n for n in DRONE if n.name == 'power')
    assert settings.parameters(power) == {'source': 'topic:/bench/power'}


def test_images_have_their_own_topic_raw_and_compressed_together() -> None:
    settings = Settings(DRONE, {'image': '/front/image_raw'})
    moved = {n.name for n in DRONE if settings.remappings(n)}
    assert moved == {'recorder', 'dashboard', 'edge_inference', 'camera'}
    assert settings.remappings(DRONE[-1]) == {
        'image_raw': '/front/image_raw', 'image_raw/compressed': '/front/image_raw/compressed'}
    assert not any(map(Settings(DRONE, {}).remappings, DRONE))


@pytest.mark.parametrize(('name', 'text', 'why'), [
    ('rate', 'abc', 'float'), ('rate', '-1', '0.0 ..'), ('rate', 'nan', '0.0 ..'),
    ('threads', 'many', 'int'), ('threads', '2.5', 'int'), ('remote', 'maybe', 'true or false'),
    ('record_images', 'perhaps', 'true or false'), ('camera', 'true', 'inside or node or false'),
    ('meter', 'ina219', 'um25c or monsoon or KIND:NAME or none'),
    ('meter', 'ina219:1', 'hwmon:CHIP/RAIL'), ('server_meter', 'topic:/power', 'meters no server'),
    ('server_meter', 'rapl', 'rapl:ZONE'), ('meter_calibration', '/no/such', 'No such file'),
    ('log_level', 'loud', 'debug or'),
    ('flight_stack', 'ardupilot', 'none or mavros or px4'), ('namespace', 'my-drone', 'letters'),
    ('server', '/server,/9', 'letters'), ('server', '', 'give a namespace'),
    ('server', '/a,a/', 'several different'), ('image', 'a b', 'letters'),
    ('respawn', '2', 'true or'),
    ('params_file', '/no/such.yaml', 'cannot be read'), ('labels', '/no/such.txt', 'no such file'),
    ('emulate', 'commodore', 'no device profile'), ('profile', '/no/such', 'no device profile'),
    ('bag', '/tmp', 'there already'), ('keystore', '/no/such', 'it is no keystore'),
    ('discovery', 'all', 'IPv4 addresses'),
    ('source', '/no/film', 'no such file'),
    ('source', '/no/film+terrain', 'no such file'), ('device', 'gpu', 'auto or edgetpu or cpu')])
def test_every_argument_is_checked_before_anything_starts(name: str, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"argument {name} is '{text}'")) as caught:
        Settings(DRONE, {name: text})
    assert why in str(caught.value)


@pytest.mark.parametrize(('text', 'fits'), [
    ('/**: {ros__parameters: {rate: 5.0}}', True),
    ('drone1: {camera: {ros__parameters: {rate: 5.0}}}', True),
    ('/drone1/camera: {ros__parameters: {rate: 5.0}}\nother: {ros__parameters: {}}', True),
    ('rate: 5.0', False), ('camera: {rate: 5.0}', False), ('', False), ('- 1', False),
    ('{', False), ('a: b: c', False), ('/**: {ros__parameters: 5}', False),
    ('a: &x {b: *x}', False), ('a: {ros__parameters: {}, b: &x {b: *x}}', False),
    ('[' * 5000, False), ('!!timestamp x', False), ('!!int _', False)])
def test_a_parameter_file_is_read_before_the_nodes_read_it(text: str, fits: bool,
                                                           tmp_path: Path) -> None:
    file = tmp_path / 'p.yaml'
    file.write_text(text)
    if fits:
        assert Settings(DRONE, {'params_file': str(file)})['params_file'] == str(file)
    else:
        with pytest.raises(ConfigError, match='argument params_file'):
            Settings(DRONE, {'params_file': str(file)})


@pytest.mark.parametrize(('node', 'given', 'namespace'), [
    ('camera', '', ''), ('camera', 'drone1', 'drone1'), ('camera', '/drone1/', '/drone1'),
    ('remote_inference', 'server', '/server'), ('remote_inference', '/a/b,/c', '/a/b')])
def test_a_drone_may_be_below_another_namespace_and_a_server_never_is(
        node: str, given: str, namespace: str) -> None:
    entry = next(n for n in DRONE if n.name == node)
    settings = Settings(DRONE, {entry.namespace: given})
    assert settings.namespace(entry) == namespace


# -- the same as a launch description ---------------------------------------------------------

launched = pytest.mark.skipif(find_spec('launch_ros') is None,
                              reason='launch_ros is not installed')


def started(nodes: Any, given: dict[str, str]) -> list[Any]:
    """Return the node actions that a launch of nodes with these arguments would start."""
    from offload_perception.bringup import launch_description
    return started_by(launch_description.describe(nodes), given)


def started_by(description: Any, given: dict[str, str]) -> list[Any]:
    from launch.actions import OpaqueFunction

    from launch import LaunchContext

    context = LaunchContext()
    context.launch_configurations.update(given)
    found = []
    for entity in description.entities:
        made = entity.execute(context)
        found += made if isinstance(entity, OpaqueFunction) and made else []
    for action in found:
        action._perform_substitutions(context)
    return found


@launched
@pytest.mark.parametrize('nodes', NODES.values(), ids=NODES)
def test_launch_and_runner_start_the_same_graph(nodes: Any,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(nodes, {})
    monkeypatch.setattr(process_runner, 'executable', lambda name: f'/bin/{name}')
    running = [n for n in nodes if settings.runs(n)]
    for action, node in zip(started(nodes, {}), running, strict=True):
        line = process_runner.command_of(node, settings, {})
        assert line[0] == f'/bin/{action.node_executable}'
        assert f'__node:={action.node_name.split("/")[-1]}' in line
        assert f'__ns:={action.expanded_node_namespace}' in line


@launched
def test_what_runs_in_a_launch_is_what_its_arguments_say() -> None:
    found = started(DRONE, {'remote': 'false', 'camera': 'false', 'meter': 'none'})
    assert [a.node_executable for a in found] == ['edge_inference_node']
    found = started(DRONE, {'remote': 'false', 'camera': 'false', 'meter': 'rapl:package-0'})
    assert [a.node_executable for a in found] == ['power_node', 'edge_inference_node']


@launched
def test_a_pushed_namespace_comes_before_that_of_the_drone() -> None:
    found = started(DRONE, {'ros_namespace': '/fleet'})
    assert {a.expanded_node_namespace for a in found} == {'/fleet/drone1', '/server'}


@launched
def test_a_wrong_argument_ends_a_launch_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="argument rate is 'abc'"):
        started(DRONE, {'rate': 'abc'})


@launched
def test_the_dds_profile_is_in_the_environment_of_the_nodes_alone(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = tmp_path / 'share' / 'offload_perception' / 'config' / 'fastdds.xml'
    profile.parent.mkdir(parents=True)
    profile.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    for name in with_profile(profile):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    for action in started(DRONE, {}):
        texts = {k[0].text: v[0].text for k, v in action.additional_env}
        assert texts == with_profile(profile)
    assert dict(os.environ) == before


@launched
def test_the_computers_of_discovery_are_in_the_environment_of_every_node() -> None:
    for action in started(DRONE, {'discovery': 'subnet'}):
        texts = {k[0].text: v[0].text for k, v in action.additional_env}
        assert texts[RANGE_VARIABLE] == 'SUBNET'


@launched
def test_with_a_keystore_each_node_has_its_enclave_in_launch_and_runner(tmp_path: Path) -> None:
    (tmp_path / 'enclaves').mkdir()
    given = {'keystore': str(tmp_path), 'namespace': 'fleet/drone7'}
    enclaves = []
    for action in started(DRONE, given):
        texts = {k[0].text: v[0].text for k, v in action.additional_env}
        assert texts['ROS_SECURITY_STRATEGY'] == 'Enforce'
        assert texts['ROS_SECURITY_KEYSTORE'] == str(tmp_path)
        words = [''.join(getattr(part, 'text', '') for part in word) for word in action.cmd
                 if isinstance(word, list)]
        enclaves.append(words[words.index('--enclave') + 1])
    assert '/fleet/drone7/edge_inference' in enclaves and '/server/remote_inference' in enclaves
