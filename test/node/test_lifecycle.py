"""What all nodes share: transitions, parameters, autostart, refusals."""

from dataclasses import fields

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterType
from world import ACTIVE, FINALIZED, INACTIVE, UNCONFIGURED

from offload_perception.nodes.camera import CameraNode
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.nodes.remote_inference import RemoteInferenceNode
from offload_perception.nodes.um25c import Um25cNode

NODES = (CameraNode, EdgeInferenceNode, RemoteInferenceNode, Um25cNode)
TYPES = {str: ParameterType.PARAMETER_STRING, float: ParameterType.PARAMETER_DOUBLE,
         int: ParameterType.PARAMETER_INTEGER, bool: ParameterType.PARAMETER_BOOL}


@pytest.fixture
def options(artefact, photos):
    """Return what a node needs to be configured quickly."""
    model = {'model': str(artefact.path), 'runtime': 'litert'}
    return {CameraNode: {'source': photos}, EdgeInferenceNode: model,
            RemoteInferenceNode: model, Um25cNode: {}}


@pytest.mark.parametrize('node_class', NODES)
def test_every_transition_and_again(world, options, node_class):
    node = world.make(node_class, **options[node_class])
    assert world.state(node) == UNCONFIGURED
    for _ in range(2):
        for transition, state in (('configure', INACTIVE), ('activate', ACTIVE),
                                  ('deactivate', INACTIVE), ('activate', ACTIVE),
                                  ('deactivate', INACTIVE), ('cleanup', UNCONFIGURED)):
            world.drive(node, transition)
            assert world.state(node) == state
            assert node.active is (state == ACTIVE)
    world.drive(node, 'configure', 'activate', 'shutdown')
    assert world.state(node) == FINALIZED and not node.active


@pytest.mark.parametrize('node_class', NODES)
def test_health_is_told_in_every_state(world, options, node_class):
    diagnostics = world.hear(DiagnosticArray, '/diagnostics', 10)
    node = world.make(node_class, **options[node_class])
    name = node.get_fully_qualified_name()
    for transition in ('configure', 'activate'):
        diagnostics.wait_for(lambda m: m.status[0].name == name
                             and m.status[0].message == 'not active')
        world.drive(node, transition)
    world.do(node.publish_diagnostics)
    diagnostics.wait_for(lambda m: m.status[0].name == name
                         and m.status[0].message != 'not active')


@pytest.mark.parametrize('node_class', NODES)
def test_parameters_describe_themselves(world, node_class):
    node = world.make(node_class)
    for f in fields(node._config_class):
        described = node.describe_parameter(f.name)
        assert f.metadata['description'] in described.description
        assert node.get_parameter(f.name).get_parameter_value().type == TYPES[type(f.default)]
        for choice in f.metadata['choices']:
            assert choice in described.description
        if f.metadata['low'] is not None:
            bounds, = described.floating_point_range or described.integer_range
            assert (bounds.from_value, bounds.to_value) == (f.metadata['low'],
                                                            f.metadata['high'])


def test_autostart_activates(world, photos):
    node = world.make(CameraNode, autostart=True, source=photos)
    world.said('showing')
    world.do(lambda: None)  # behind the callback that said so
    assert world.state(node) == ACTIVE


def test_without_autostart_nothing_happens(world, photos):
    node = world.make(CameraNode, source=photos)
    for _ in range(3):
        world.do(lambda: None)
    assert world.state(node) == UNCONFIGURED


REFUSED = {
    'camera source': (CameraNode, {'source': '/no/such/film.mp4'},
                      "no camera source '/no/such/film.mp4'"),
    'choice': (CameraNode, {'transport': 'h264'}, 'use one of raw, jpeg'),
    'type': (CameraNode, {'rate': 'fast'}, "parameter rate is 'fast'"),
    'meter port': (Um25cNode, {'port': '/dev/no_such_port'}, '/dev/no_such_port'),
    'emulated device': (Um25cNode, {'emulated_device': 'toaster'}, 'toaster'),
    'layer': (EdgeInferenceNode, {'split': 'block9_pool'}, "no cut 'block9_pool'; use 0.."),
    'codec': (EdgeInferenceNode, {'codec': 'mp3'}, "unknown codec 'mp3'"),
    'model': (EdgeInferenceNode, {'model': 'resnet'}, 'resnet'),
    'model of the server': (RemoteInferenceNode, {'model': 'resnet'}, 'resnet'),
    'runtime': (RemoteInferenceNode, {'runtime': 'caffe'}, 'use one of auto, litert'),
}


@pytest.mark.parametrize(('node_class', 'wrong', 'text'), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_refuses_to_configure_and_can_be_put_right(
        world, options, node_class, wrong, text):
    node = world.make(node_class, **{**options[node_class], **wrong})
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    line = world.said('refused to configure')
    assert text in line and 'Traceback' not in line
    name = next(iter(wrong))
    default = getattr(node._config_class(), name)
    assert world.set(node, **{name: options[node_class].get(name, default)}).successful
    world.drive(node, 'configure')
    assert world.state(node) == INACTIVE


def test_a_refused_autostart_is_told(world):
    node = world.make(CameraNode, source='/no/such/folder')
    told = []
    node.when_refused = lambda: told.append(True)
    node._autostart_timer = node.create_timer(100.0, lambda: None)
    world.do(node._autostart)
    assert told and world.state(node) == UNCONFIGURED


@pytest.mark.parametrize(('name', 'value', 'text'), [
    ('rate', 0.0, 'rate'), ('transport', 'h264', 'raw, jpeg'), ('width', 1, 'width')])
def test_a_wrong_value_is_refused_by_a_running_node(world, photos, name, value, text):
    node = world.make(CameraNode, source=photos)
    verdict = world.set(node, **{name: value})
    assert not verdict.successful and text in verdict.reason


def test_what_cannot_change_while_configured_says_so(world, photos):
    node = world.make(CameraNode, source=photos)
    assert world.set(node, rate=5.0).successful
    for transition in ('configure', 'activate', 'deactivate'):
        world.drive(node, transition)
        verdict = world.set(node, rate=20.0)
        assert not verdict.successful and 'clean it up first' in verdict.reason
    assert node.config.rate == 5.0
    world.drive(node, 'cleanup')
    assert world.set(node, rate=20.0).successful
    world.drive(node, 'configure')
    assert node.config.rate == 20.0
