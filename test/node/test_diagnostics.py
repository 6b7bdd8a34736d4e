"""Each problem of a running graph is provoked, and reported in /diagnostics."""

import copy
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node.world import World, image, tensor_of, until
from offload_perception.msg import Classification, FeatureTensor, PowerSample, RemoteResult
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.type_hash import TypeHash
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.errors import SourceError
from offload_perception.frames import Status
from offload_perception.health import arrivals, computer
from offload_perception.health.board import Board
from offload_perception.health.trend import Lasting
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos, replies
from offload_perception.nodes.camera import CameraNode
from offload_perception.nodes.um25c import Um25cNode
from offload_perception.power.emulation.emulator_process import spawn_emulator
from offload_perception.power.emulation.faults import Fault

WARN, ERROR = DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def told(world: World) -> Callable[..., Any]:
    """Return a function that waits until a node reports `pattern`, and returns its level."""
    heard = world.hear(DiagnosticArray, '/diagnostics', 100)

    def wait(node: Any, pattern: str) -> bytes:
        def found(message: DiagnosticArray) -> bool:
            status, = message.status
            return (status.name == node.get_fully_qualified_name()
                    and re.search(pattern, status.message) is not None)

        def told_now() -> bool:
            world.do(node.publish_diagnostics, node)
            return any(map(found, heard))
        try:
            until(told_now)
        except AssertionError:
            raise AssertionError(f'{pattern!r} is not in {heard[-5:]}') from None
        return heard.wait_for(found).status[0].level
    return wait


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a camera count as stale at once."""
    for name in ('FIRST_S', 'STALE_S', 'STALE_PERIODS'):
        monkeypatch.setattr(arrivals, name, 0.01)


def test_a_reliable_subscription_against_a_best_effort_camera(
        world: World, edge: Callable[..., Any], told: Callable[..., Any]) -> None:
    node = edge(split='-1', image_reliability='reliable')
    world.node.create_publisher(Image, 'image_raw', qos.images('best_effort'))
    assert told(node, rf'QoS mismatch on {world.ns}/image_raw, nothing arrives from '
                rf'{world.ns}/test: .*best effort publisher and reliable subscription; '
                'set parameter image_reliability to auto') == ERROR


def test_a_subscriber_that_asks_for_more_than_a_node_offers(world: World, edge: Callable[..., Any],
                                                            told: Callable[..., Any]) -> None:
    node = edge(split='-1')
    world.hear(Classification, 'classification', QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL))
    assert told(node, rf'{world.ns}/test gets nothing: volatile publisher and transient local '
                rf'subscription; change the QoS of {world.ns}/test') == WARN


@pytest.mark.parametrize('side', ['publishers', 'subscriptions'])
def test_a_node_with_another_version_of_a_message_is_named(
        world: World, edge: Callable[..., Any], told: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    node = edge(split='-1')
    if side == 'publishers':
        world.node.create_publisher(Image, 'image_raw', qos.images('reliable'))
    else:
        world.hear(Classification, 'classification', qos.RESULTS)
    look = getattr(node, f'get_{side}_info_by_topic')

    def as_of_an_older_package(topic: str) -> list[Any]:
        found = look(topic)
        for info in found:
            if info.node_name == 'test':
                info.topic_type_hash = TypeHash(1, bytes(range(32)))
        return found
    monkeypatch.setattr(node, f'get_{side}_info_by_topic', as_of_an_older_package)
    says, level = ('publishes', ERROR) if side == 'publishers' else ('takes', WARN)
    assert told(node, rf'{world.ns}/test {says} another version of .* on {world.ns}/.*: install '
                'the same version') == level


@pytest.fixture
def driver(world: World) -> Iterator[Node]:
    """A node of another process, as far as DDS can tell."""
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('driver', namespace=world.ns, context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_another_type_on_the_camera_topic(world: World, driver: Node, edge: Callable[..., Any],
                                          told: Callable[..., Any]) -> None:
    node = edge(split='-1')
    driver.create_publisher(CompressedImage, 'image_raw', qos.CAMERA)
    assert told(node, rf'{world.ns}/driver publishes sensor_msgs/msg/CompressedImage on '
                rf'{world.ns}/image_raw, but this node takes sensor_msgs/msg/Image') == ERROR


def test_no_image_yet_and_a_camera_that_stopped(world: World, edge: Callable[..., Any],
                                                told: Callable[..., Any], impatient: None,
                                                photos: str) -> None:
    node = edge(split='-1')
    assert told(node, f'no image yet on {world.ns}/image_raw or .*: it has no publisher') == WARN
    camera = world.start(CameraNode, source=photos, width=64, height=48, rate=100.0)
    until(lambda: node.session.pipeline.counts.captured > 2)
    world.drive(camera, 'deactivate')
    assert told(node, rf'no image for \d+ s on .*{world.ns}/camera publishes it, but nothing '
                'arrives') == ERROR


def test_stamps_that_jump_back_and_lie_ahead(world: World, edge: Callable[..., Any],
                                             told: Callable[..., Any]) -> None:
    node = edge(split='-1')
    eye, now_s = world.speak(Image, 'image_raw', qos.CAMERA), world.node.get_clock().now()
    for ahead_s in (60, 50):
        eye.publish(image(now_s.nanoseconds // 10**9 + ahead_s))
    assert told(node, r'(?=.*images are stamped \d+\.\d+ s in the future)'
                r'(?=.*stamps jumped back by 10\.00 s)') == WARN


def test_a_server_that_was_stopped(world: World, edge: Callable[..., Any],
                                   server: Callable[..., Any], told: Callable[..., Any]) -> None:
    remote, node = server(), edge(split='block4_pool')
    assert told(node, 'running|image')
    world.drive(remote, 'deactivate', 'cleanup')
    assert told(node, f'no server is subscribed to {world.ns}/server/features') == ERROR


def test_a_link_that_is_lost(world: World, edge: Callable[..., Any],
                             told: Callable[..., Any]) -> None:
    node = edge(split='block4_pool', reply_timeout=0.05)
    silent = world.hear(FeatureTensor, f'{world.ns}/server/features', qos.features(4))
    until(lambda: node._parts.servers.listening(node._parts.servers.names[0]))
    world.speak(Image, 'image_raw', qos.CAMERA).publish(image())
    silent.wait_for(1)
    assert told(node, f'link lost: no reply from {world.ns}/server to 1 tensor;') == ERROR


@pytest.fixture
def send(world: World, artefact: Artefact) -> Callable[..., Any]:
    """Return a function that sends tensors to the server of this world."""
    good, publishers = tensor_of(artefact, 9), []

    def send(count: int, **changes: Any) -> None:
        if not publishers:
            publishers.append(world.speak(FeatureTensor, 'server/features', qos.features(16)))
        for n in range(count):
            message = copy.deepcopy(good)
            fields = {'drone': f'{world.ns}/drone', 'sequence': n + 1, **changes}
            for name, value in fields.items():
                setattr(message, name, value)
            publishers[0].publish(message)
    return send


def test_an_overloaded_server(world: World, server: Callable[..., Any], send: Callable[..., Any],
                              told: Callable[..., Any]) -> None:
    world.hear(RemoteResult, 'remote_result', qos.RESULTS)
    node, goes_on = server(queue_limit=1), Event()
    run, node._network.run = node._network.run, lambda *a: goes_on.wait() and run(*a)
    try:
        until(lambda: send(1) or node.session.pipeline.counts.replies[Status.BUSY])
        assert told(node, r'overloaded: busy \d+% of the time, 1 of 1 tensors wait, '
                    r'\d+ rejected in the last 10 s; add a server') == WARN
    finally:
        goes_on.set()
        node._network.run = run


def test_a_tensor_of_another_model(server: Callable[..., Any], send: Callable[..., Any],
                                   told: Callable[..., Any]) -> None:
    node = server()
    send(1, model_digest='0' * 64)
    assert told(node, '1 tensor refused in the last 10 s: /world.*/drone: .*start both with the '
                'same') == WARN


def test_replies_without_a_subscriber_are_counted(monkeypatch: pytest.MonkeyPatch,
                                                  server: Callable[..., Any],
                                                  send: Callable[..., Any],
                                                  told: Callable[..., Any]) -> None:
    monkeypatch.setattr(replies, 'MAX_TOPICS', 2)
    node = server(queue_limit=8)
    send(5)
    until(lambda: node._parts.replies.lost >= 3)  # the oldest make room
    assert told(node, r'[345] of the replies had no subscriber in the last 10 s') == WARN


def test_a_refused_configuration_is_an_error(world: World, told: Callable[..., Any]) -> None:
    node = world.make(CameraNode, source='/no/such/film.mp4')
    world.drive(node, 'configure')
    assert told(node, r"^not active: refused to configure: .*'/no/such/film.mp4'") == ERROR


def test_a_camera_that_vanished(world: World, told: Callable[..., Any], photos: str,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.start(CameraNode, source=photos, rate=50.0)

    def gone() -> None:
        raise SourceError('/dev/video7 gives no frames: is it plugged in?')
    monkeypatch.setattr(node._camera._player._source, 'next', gone)
    assert told(node, '/dev/video7 gives no frames') == ERROR


def test_a_camera_that_is_slower_than_asked_for(world: World, told: Callable[..., Any],
                                                photos: str) -> None:
    node = world.start(CameraNode, source=photos, rate=50.0)
    node._camera._player.cadence.missed += 250
    assert told(node, r'of 50 frames a second come') == WARN


def test_gaps_of_the_meter(world: World, told: Callable[..., Any]) -> None:
    samples = world.hear(PowerSample, 'power', qos.TELEMETRY)
    with spawn_emulator(device='raspberry_pi_3b_plus') as emulator:
        node = world.start(Um25cNode, port=str(emulator.port), rate=7.0)
        samples.wait_for(2)
        emulator.inject(Fault.SILENCE, 2)
        assert told(node, r'1 gap in the last 60 s, the last: no reading for \d\.\d s') == WARN
        assert told(node, 'polls failed in the last 60 s, most as') == WARN
        world.drive(node, 'deactivate', 'cleanup')


def test_a_disk_that_is_nearly_full(world: World, tmp_path: Path,
                                    told: Callable[..., Any]) -> None:
    pytest.importorskip('mcap_ros2')
    from offload_perception.nodes.recorder import RecorderNode

    free_mb = shutil.disk_usage(tmp_path).free // 1_000_000
    node = world.start(RecorderNode, bag=str(tmp_path / 'bag'), min_free=int(0.6 * free_mb))
    assert told(node, f'disk filling: .* MB are free, recording ends at {int(0.6 * free_mb)}'
                ) == WARN


@pytest.mark.parametrize('which', ['edge', 'server'])
def test_heat_and_under_voltage_of_a_fake_sysfs(which: str, monkeypatch: pytest.MonkeyPatch,
                                                tmp_path: Path, told: Callable[..., Any],
                                                request: pytest.FixtureRequest) -> None:
    flags = tmp_path / 'devices/platform/soc/soc:firmware/get_throttled'
    flags.parent.mkdir(parents=True)
    flags.write_text('5\n')
    monkeypatch.setattr(computer, 'Board', lambda: Board(tmp_path))
    node = request.getfixturevalue(which)()
    assert told(node, 'under-voltage: .*the CPU is throttled') == ERROR


def test_a_loop_that_was_blocked(world: World, told: Callable[..., Any], photos: str) -> None:
    node = world.start(CameraNode, source=photos)
    world.do(node.publish_diagnostics, node)
    node._health._loop._last_s -= 3.0
    assert told(node, r'busy for [12]\.\d s') == WARN


def test_two_drones_in_one_namespace(world: World, edge: Callable[..., Any],
                                     told: Callable[..., Any]) -> None:
    drones = [first := edge(split='-1')]
    world.drive(first, 'deactivate')  # an active one would refuse the other
    drones.append(edge(split='-1'))
    world.drive(first, 'activate')
    for node in drones:
        node._health._doubled = Lasting(0.0)  # a node that was killed stays in the graph for long
    for node in drones:
        assert told(node, f'2 nodes are called {world.ns}/edge_inference.*of its own') == ERROR
