"""Tensors and replies that are damaged, repeated, replayed, too large or forged; other models."""

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.flight import DRONE, LONG, RUNS_ON, SERVER, TIMES, Flight, pause
from graph.node_beside import node_beside
from node.world import Heard
from offload_perception.msg import FeatureTensor, RemoteResult
from rclpy.serialization import serialize_message

from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array
from offload_perception.preparation.prepare import prepare

LARGE = 24 << 20
COUNT = 20 * TIMES
BLAMED = {'server refused', 'server failed', 'no server', 'bad image', 'head failed'}


class Intruder:
    """A node that hears tensors and replies, and publishes its own."""

    def __init__(self, node: Any) -> None:
        self.tensors, self.replies = Heard(), Heard()
        node.create_subscription(FeatureTensor, f'{SERVER}/features', self.tensors,
                                 qos.features(16))
        node.create_subscription(RemoteResult, f'{DRONE}/remote_result', self.replies,
                                 qos.RESULTS)
        self._tensor = node.create_publisher(FeatureTensor, f'{SERVER}/features',
                                             qos.features(16))
        self._reply = node.create_publisher(RemoteResult, f'{DRONE}/remote_result', qos.RESULTS)

    def send_bytes(self, topic: str, data: bytes) -> None:
        (self._tensor if topic == 'tensors' else self._reply).publish(data)

    def send(self, message: Any) -> None:
        (self._tensor if isinstance(message, FeatureTensor) else self._reply).publish(message)


@pytest.fixture
def intruder(flight: Flight, photos: str) -> Iterator[Intruder]:
    """In flight."""
    with node_beside('intruder') as node:
        found = Intruder(node)
        flight.start_server()
        flight.start_drone(photos)
        found.tensors.wait_for(1)
        found.replies.wait_for(1)
        yield found


def data_of(message: FeatureTensor) -> bytearray:
    return bytearray(memoryview(message.data))


def with_data(message: FeatureTensor, data: bytes | bytearray) -> FeatureTensor:
    changed = copy.deepcopy(message)
    changed.data = byte_array(bytes(data))
    return changed


def truncated(m: FeatureTensor, chance: random.Random) -> FeatureTensor:
    return with_data(m, data_of(m)[:chance.randrange(len(m.data))])


def bit_flipped(m: FeatureTensor, chance: random.Random) -> FeatureTensor:
    data = data_of(m)
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return with_data(m, data)


def oversized(m: FeatureTensor, chance: random.Random) -> FeatureTensor:
    return with_data(m, bytes(LARGE))


def huge_claim(m: FeatureTensor, chance: random.Random) -> FeatureTensor:
    changed = copy.deepcopy(m)
    changed.parts[0].shape = [2**31 - 1, 2**31 - 1, 4]
    changed.parts[0].size = 2**63
    return changed


def replayed(m: FeatureTensor, chance: random.Random) -> FeatureTensor:
    return m


@pytest.mark.parametrize('change', [LONG(replayed), LONG(truncated), bit_flipped,
                                    LONG(oversized), LONG(huge_claim)])
def test_tensors_that_are_not_the_drones(flight: Flight, intruder: Intruder,
                                         change: Callable[..., FeatureTensor]) -> None:
    chance = random.Random(0)
    with flight.fault():
        for n in range(COUNT):
            intruder.tensors.wait_for(n + 2)
            intruder.send(change(intruder.tensors[n], chance))
    flight.flies(RUNS_ON)
    flight.land(f'{COUNT} tensors {change.__name__.replace("_", " ")}')
    assert not BLAMED & flight.dropped_since


def doubled(m: RemoteResult, chance: random.Random) -> RemoteResult:
    return m


def forged(m: RemoteResult, chance: random.Random) -> RemoteResult:
    """The reply to the frame that comes next, and another class."""
    changed = copy.deepcopy(m)
    changed.sequence += chance.randint(1, 3)
    changed.nonce = chance.getrandbits(64)
    changed.labels = ['forged'] * len(m.labels)
    return changed


@pytest.mark.parametrize('change', [LONG(doubled), forged])
def test_replies_that_are_not_the_servers(flight: Flight, intruder: Intruder,
                                          change: Callable[..., RemoteResult]) -> None:
    chance = random.Random(0)
    with flight.fault():
        for n in range(COUNT):
            intruder.replies.wait_for(2 * n + 1)
            intruder.send(change(intruder.replies[-1], chance))
    flight.flies(RUNS_ON)
    flight.land(f'{COUNT} replies {change.__name__}')
    assert not BLAMED & flight.dropped_since
    assert 'forged' not in flight['monitor'].output


def garbled(good: bytes, chance: random.Random) -> bytes:
    """Return what is no message in CDR, or another one than was sent."""
    at = chance.randrange(4, len(good))
    return chance.choice([good[:at], chance.randbytes(at), good[:4] + b'\xff' * at,
                          good[:at] + chance.randbytes(8) + good[at + 8:]])


@pytest.mark.parametrize('topic', [LONG('tensors'), 'replies'])
def test_bytes_that_are_no_message(flight: Flight, intruder: Intruder, topic: str) -> None:
    chance, heard = random.Random(0), getattr(intruder, topic)
    with flight.fault():
        for n in range(COUNT):
            heard.wait_for(n + 1)
            intruder.send_bytes(topic, garbled(serialize_message(heard[0]), chance))
    flight.flies(RUNS_ON)
    flight.land(f'{COUNT} {topic} that are no messages')
    assert not BLAMED & flight.dropped_since


@pytest.fixture(scope='module')
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with other weights."""
    pytest.importorskip('tensorflow')
    return prepare('aerial', 'seed:7', cache_dir=tmp_path_factory.mktemp('other')).path


@pytest.mark.long
def test_a_second_server_has_another_model(flight: Flight, photos: str, other: Path) -> None:
    flight.start_server()
    flight.start_drone(photos)
    with flight.fault():
        flight.start('second', f'model:={other}', 'runtime:=litert', namespace=SERVER,
                     executable='remote_inference_node')
        pause(3.0)  # it refuses tensors, or the drone its name
        flight.kill('second')
    flight.flies(RUNS_ON)
    flight.land('second server of the same name with another model')


@pytest.mark.long
def test_the_server_has_another_model(flight: Flight, photos: str, other: Path) -> None:
    flight.start_server()
    flight.start_drone(photos)
    with flight.fault():
        flight.kill('remote_inference')
        flight.start_server(model=other)
        flight['edge_inference'].said('server refused: .*start both with the same')
        flight.kill('remote_inference')
        flight.start_server()
    flight.flies(RUNS_ON)
    reasons = flight.land('server comes back with another model')
    assert reasons['server refused'] > 0
