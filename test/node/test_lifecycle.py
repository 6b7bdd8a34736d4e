"""What all nodes share: transitions, parameters, autostart, refusals."""

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from threading import Event
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node.world import ACTIVE, FINALIZED, INACTIVE, UNCONFIGURED, WAIT_S, AnyNode, World, until
from rcl_interfaces.msg import Log, ParameterType
from rclpy.qos import QoSProfile

from offload_perception.bringup.config import EdgeConfig
from offload_perception.errors import ConfigError
from offload_perception.health import Finding, note
from offload_perception.network.artefact import Artefact
from offload_perception.nodes.activator import Activator
from offload_perception.nodes.camera import CameraNode
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.remote_inference import RemoteInferenceNode
from offload_perception.nodes.um25c import Um25cNode
from offload_perception.threads import Worker

NODES = (CameraNode, EdgeInferenceNode, RemoteInferenceNode, Um25cNode)
TYPES = {str: ParameterType.PARAMETER_STRING, float: ParameterType.PARAMETER_DOUBLE,
         int: ParameterType.PARAMETER_INTEGER, bool: ParameterType.PARAMETER_BOOL}


@pytest.fixture
def options(artefact: Artefact, photos: str) -> dict[type[ManagedNode[Any, Any]], Any]:
    """Return what a node needs to be configured quickly."""
    model = {'model': str(artefact.path), 'runtime': 'litert'}
    return {CameraNode: {'source': photos}, EdgeInferenceNode: model,
            RemoteInferenceNode: model, Um25cNode: {}}


@pytest.mark.parametrize('node_class', NODES)
def test_every_transition_and_again(world: World, options: dict[type[ManagedNode[Any, Any]], Any],
                                    node_class: type[ManagedNode[Any, Any]]) -> None:
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
def test_health_is_reported_in_every_state(world: World,
                                           options: dict[type[ManagedNode[Any, Any]], Any],
                                           node_class: type[ManagedNode[Any, Any]]) -> None:
    diagnostics = world.hear(DiagnosticArray, '/diagnostics', 10)
    node = world.make(node_class, **options[node_class])
    name = node.get_fully_qualified_name()
    for transition in ('configure', 'activate'):
        diagnostics.wait_for(lambda m: m.status[0].name == name
                             and m.status[0].message == 'not active')
        world.drive(node, transition)
    world.do(node.publish_diagnostics, node)
    diagnostics.wait_for(lambda m: m.status[0].name == name
                         and m.status[0].message != 'not active')


@pytest.mark.parametrize('node_class', NODES)
def test_parameters_describe_themselves(world: World,
                                        node_class: type[ManagedNode[Any, Any]]) -> None:
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


def test_autostart_activates(world: World, photos: str) -> None:
    node = world.make(CameraNode, autostart=True, source=photos)
    world.said('showing')
    world.order(node, lambda: None)  # after the callback that said so
    assert world.state(node) == ACTIVE


def test_a_node_may_stay_inactive_until_it_is_activated(world: World, photos: str) -> None:
    world.make(CameraNode, autostart=True, stay_inactive=True, source=photos)
    name, activator = f'{world.ns}/camera', Activator(world.node)
    assert not activator.activated(f'{world.ns}/nobody')
    until(lambda: activator.activated(name))
    assert world.state(world.newest) == ACTIVE


def test_without_autostart_nothing_happens(world: World, photos: str) -> None:
    node = world.make(CameraNode, source=photos)
    for _ in range(3):
        world.order(node, lambda: None)
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
        world: World, options: dict[type[ManagedNode[Any, Any]], Any],
        node_class: type[ManagedNode[Any, Any]], wrong: dict[str, str], text: str) -> None:
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


def test_a_refused_autostart_is_reported(world: World) -> None:
    node = world.make(CameraNode, source='/no/such/folder')
    told = []
    node.when_refused = lambda: told.append(True)
    node._autostart_timer = node.create_timer(100.0, lambda: None)
    world.order(node, node._autostart)
    assert told and world.state(node) == UNCONFIGURED


@pytest.mark.parametrize(('name', 'value', 'text'), [
    ('rate', -1.0, 'rate'), ('transport', 'h264', 'raw, jpeg'), ('width', 1, 'width')])
def test_a_wrong_value_is_refused_by_a_running_node(world: World, photos: str, name: str,
                                                    value: float | str, text: str) -> None:
    node = world.make(CameraNode, source=photos)
    verdict = world.set(node, **{name: value})
    assert not verdict.successful and text in verdict.reason


def test_what_cannot_change_while_configured_says_so(world: World, photos: str) -> None:
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


@pytest.fixture
def ask(world: World) -> Callable[..., Any]:
    """Return a function that asks a node for a transition, as `ros2 service call` does."""
    def send(node: Any, transition: int = 0, label: str = '') -> bool:
        client = world.node.create_client(ChangeState, f'{node.get_fully_qualified_name()}'
                                          '/change_state')
        assert client.wait_for_service(WAIT_S)
        answered = Event()
        future = client.call_async(ChangeState.Request(
            transition=Transition(id=transition, label=label)))
        future.add_done_callback(lambda _: answered.set())
        assert answered.wait(WAIT_S), 'the request is not answered'
        return future.result().success
    return send


@pytest.mark.parametrize('node_class', NODES)
def test_a_request_that_does_not_fit_is_refused_and_the_node_goes_on(
        world: World, options: dict[type[ManagedNode[Any, Any]], Any], ask: Callable[..., Any],
        node_class: type[ManagedNode[Any, Any]]) -> None:
    node = world.start(node_class, **options[node_class])
    for unfit in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE,
                  Transition.TRANSITION_CLEANUP, Transition.TRANSITION_DESTROY, 200):
        assert not ask(node, unfit) and world.state(node) == ACTIVE
    assert not ask(node, label='fly')
    world.said(f'({Transition.TRANSITION_ACTIVATE}) does not fit: this node is active')
    assert ask(node, Transition.TRANSITION_DEACTIVATE) and world.state(node) == INACTIVE
    assert ask(node, label='cleanup') and world.state(node) == UNCONFIGURED


@pytest.mark.parametrize('taken', [(), ('configure',), ('configure', 'activate')])
def test_autostart_takes_the_steps_that_nobody_has_taken(world: World, photos: str,
                                                         taken: tuple[str, ...]) -> None:
    node = world.make(CameraNode, source=photos)
    world.drive(node, *taken)
    node._autostart_timer = node.create_timer(100.0, lambda: None)
    world.order(node, node._autostart)
    assert world.state(node) == ACTIVE


class FaultyNode(ManagedNode[EdgeConfig, Session]):
    """Raises on request, and records its calls."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('faulty', EdgeConfig, **kwargs)
        self.faults: set[str] = set()
        self.asked: list[str] = []

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what in self.faults:
            raise RuntimeError(f'{what} has a bug')

    def load(self) -> None:
        self._do('load')

    def configure(self) -> None:
        self.resources.callback(self._do, 'release')
        self.pub = self.add_publisher(Log, 'words', QoSProfile(depth=10))

    def activate(self) -> Session:
        self.resources.callback(self._do, 'deactivate')
        self._do('activate')
        return Session()

    def verify(self, changes: dict[str, Any]) -> None:
        self._do('verify')

    def findings(self, now_s: float) -> Iterator[Finding]:
        yield note('first', 'found before the fault')
        self._do('findings')

    def values(self) -> dict[str, Any]:
        self._do('values')
        return {}


def health(world: World, node: AnyNode, text: str) -> DiagnosticStatus:
    """Return diagnostics of the node that contain `text`."""
    heard = world.hear(DiagnosticArray, '/diagnostics', 10)
    return heard.wait_for(lambda m: m.status[0].name == node.get_fully_qualified_name()
                          and text in m.status[0].message).status[0]


def test_an_activate_that_fails_leaves_nothing_behind(world: World) -> None:
    node = world.make(FaultyNode)
    node.faults = {'activate'}
    world.drive(node, 'configure', 'activate')
    assert world.state(node) == INACTIVE and not node.active
    assert node.asked[-2:] == ['activate', 'deactivate']
    assert not node.pub.is_activated
    node.faults.clear()
    world.drive(node, 'activate')
    assert world.state(node) == ACTIVE and node.pub.is_activated


@pytest.mark.parametrize(('step', 'before'), [
    ('deactivate', ('configure', 'activate')), ('release', ('configure',))])
def test_what_cannot_be_stopped_is_released_and_can_start_again(
        world: World, step: str, before: tuple[str, ...]) -> None:
    node = world.make(FaultyNode)
    world.drive(node, *before)
    node.faults = {step}
    if step == 'release':  # fails once: the second call is that of the recovery
        def do(what: str) -> None:
            node.asked.append(what)
            if node.faults:
                raise RuntimeError(node.faults.pop())
        node._do = do
    world.drive(node, 'deactivate' if step == 'deactivate' else 'cleanup')
    assert world.state(node) == UNCONFIGURED and not node.active
    assert node.asked[-1] == 'release'
    node.faults.clear()
    world.drive(node, 'configure', 'activate')
    assert world.state(node) == ACTIVE


@pytest.mark.parametrize('source', ['findings', 'values'])
def test_a_fault_of_health_code_is_a_finding_beside_the_others(world: World, source: str) -> None:
    node = world.start(FaultyNode)
    node.faults = {source}
    status = health(world, node, f'RuntimeError: {source} has a bug')
    assert status.level == DiagnosticStatus.ERROR
    assert 'found before the fault' in status.message


def test_a_dead_thread_is_an_error_in_every_state(world: World) -> None:
    node = world.make(FaultyNode)
    worker = Worker('lame', lambda: bool(1 / 0), vital=True)
    worker.start()
    try:
        status = health(world, node, 'thread lame has ended: ZeroDivisionError')
        assert status.level == DiagnosticStatus.ERROR
    finally:
        assert worker.stop(WAIT_S)


def test_a_parameter_that_cannot_be_judged_is_refused(world: World) -> None:
    node = world.start(FaultyNode)
    node.faults = {'verify'}
    verdict = world.set(node, deadline=0.3)
    assert not verdict.successful and 'verify has a bug' in verdict.reason


@pytest.mark.parametrize('node_class', NODES)
def test_a_node_takes_the_dump_of_its_own_parameters(
        world: World, options: dict[type[ManagedNode[Any, Any]], Any],
        node_class: type[ManagedNode[Any, Any]]) -> None:
    node = world.make(node_class, **options[node_class])
    world.drive(node, 'configure', 'activate')
    own = {f.name: node.get_parameter(f.name).value for f in fields(node.config)}
    for name, value in {**own, 'autostart': False}.items():
        verdict = world.set(node, **{name: value})
        assert verdict.successful, verdict.reason
    assert world.set(node, **own).successful
    assert world.state(node) == ACTIVE


@pytest.mark.parametrize('split', ['auto', '-1', 'block4_pool'])
@pytest.mark.parametrize(('codec', 'says'), [
    ('nope', "unknown codec 'nope'"), ('webp:900', 'its usage is webp')])
def test_a_codec_that_does_not_exist_is_refused_with_every_split(
        world: World, options: dict[type[ManagedNode[Any, Any]], Any], split: str, codec: str,
        says: str) -> None:
    node = world.make(EdgeInferenceNode, split=split, codec=codec, **options[EdgeInferenceNode])
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    world.said(says)


def test_a_meter_has_one_reader_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bluetooth may hold a reader for long after it was stopped."""
    node = world.start(Um25cNode)
    reader, stop = node._reader, node._reader.stop
    with monkeypatch.context() as patch:
        patch.setattr(reader, 'stop', lambda: stop() and False)
        world.drive(node, 'deactivate', 'activate')
        assert world.state(node) == INACTIVE
        world.said('its last reader was stopped and still waits')
        world.drive(node, 'cleanup', 'configure', 'activate')
        assert world.state(node) == INACTIVE and node._reader is reader
    world.drive(node, 'activate')
    assert world.state(node) == ACTIVE and node._reader is not reader


@pytest.mark.parametrize('given', [5, 5.0])
def test_a_whole_number_of_seconds_will_do_for_the_discovery(world: World, given: float) -> None:
    node = world.make(CameraNode, source='terrain', discovery_time=given)
    assert 0.0 < node.discovered_s - time.monotonic() <= 5.0


@pytest.mark.parametrize('given', [-1, 'abc'])
def test_a_discovery_time_that_cannot_be_is_refused(world: World, given: object) -> None:
    with pytest.raises(ConfigError, match='parameter discovery_time is'):
        world.make(CameraNode, source='terrain', discovery_time=given)
