from dataclasses import fields
from importlib.util import find_spec
from itertools import pairwise

import pytest

from offload_perception import runner
from offload_perception.graph import DRONE, SERVER, NodeEntry, arguments, parameter_type

NODES = {'drone': DRONE, 'server': SERVER}
EACH = [pytest.param(n, id=f'{graph}-{n.name}') for graph, nodes in NODES.items() for n in nodes]


@pytest.mark.parametrize('node', EACH)
def test_every_parameter_and_argument_of_the_table_exists(node: NodeEntry):
    known = {f.name for f in fields(node.config)}
    assert set(node.parameters) <= known
    graph = arguments((node,))
    assert set(node.parameters.values()) | {node.namespace, 'params_file'} <= set(graph)
    assert not node.condition or node.condition in graph


@pytest.mark.parametrize('node', EACH)
def test_every_default_is_that_of_the_parameter(node: NodeEntry):
    own = {'server_device': 'auto'}
    for parameter, argument in node.parameters.items():
        default = arguments((node,))[argument].default
        kind = parameter_type(node, parameter)
        value = default == 'true' if kind is bool else kind(default)
        assert value == getattr(node.config(), parameter) or own[argument] == default


def test_the_arguments_of_the_launch_files_are_there():
    wanted = {'namespace', 'source', 'model', 'weights', 'device', 'split', 'deadline',
              'meter_port', 'remote'}
    assert wanted <= set(arguments(DRONE)) and all(a.description
                                                   for a in arguments(DRONE).values())
    assert {'server', 'model', 'weights', 'server_device'} <= set(arguments(SERVER))
    assert not {'namespace', 'remote', 'source'} & set(arguments(SERVER))


def test_drone_and_server_meet_by_default():
    assert arguments(DRONE)['server'].default == arguments(SERVER)['server'].default


def command(monkeypatch, node: NodeEntry, *words: str) -> list[str]:
    monkeypatch.setattr(runner.shutil, 'which', lambda name: f'/bin/{name}')
    return runner.command_of(node, runner.parse_arguments(DRONE, list(words)), {})


def test_the_runner_passes_every_parameter(monkeypatch):
    for node in DRONE:
        line = command(monkeypatch, node)
        given = {w.split(':=')[0] for flag, w in pairwise(line) if flag == '-p'}
        assert given == set(node.parameters)
        assert line[0] == f'/bin/{node.executable}' and f'__node:={node.name}' in line


@pytest.mark.skipif(find_spec('launch_ros') is None, reason='launch_ros is not installed')
@pytest.mark.parametrize('nodes', NODES.values(), ids=NODES)
def test_launch_and_runner_start_the_same_graph(nodes, monkeypatch):
    from launch.actions import DeclareLaunchArgument
    from launch.utilities import perform_substitutions

    from launch import LaunchContext
    from offload_perception import launch_description

    declared = {e.name: e for e in launch_description.describe(nodes).entities
                if isinstance(e, DeclareLaunchArgument)}
    context = LaunchContext()
    values = runner.parse_arguments(nodes, [])
    for name, argument in declared.items():
        text = perform_substitutions(context, argument.default_value)
        assert text == values[name]
        context.launch_configurations[name] = text
    assert set(declared) == set(values)
    monkeypatch.setattr(runner.shutil, 'which', lambda name: f'/bin/{name}')
    for action, node in zip(launch_description._actions(context, nodes), nodes, strict=True):
        action._perform_substitutions(context)
        assert action.node_executable == node.executable
        assert action.node_name.split('/')[-1] == node.name
        assert action.expanded_node_namespace.strip('/') == values[node.namespace].strip('/')


@pytest.mark.skipif(find_spec('launch_ros') is None, reason='launch_ros is not installed')
def test_remote_false_leaves_the_server_out_of_the_launch():
    from launch import LaunchContext
    from offload_perception import launch_description

    context = LaunchContext()
    context.launch_configurations.update(
        runner.parse_arguments(DRONE, ['remote:=false']))
    runs = {node.name: action.condition.evaluate(context) for node, action in zip(
        DRONE, launch_description._actions(context, DRONE), strict=True)}
    assert runs['edge_inference'] and not runs['remote_inference']
