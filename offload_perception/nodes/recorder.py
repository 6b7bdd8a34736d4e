"""Record the telemetry of drones into a rosbag2 bag, as `ros2 bag record` would."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy._rclpy_pybind11 import RCLError
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.bringup.config import RecorderConfig
from offload_perception.errors import BagError, ConfigError
from offload_perception.health import Finding, error, note
from offload_perception.health.disk import DiskWatch
from offload_perception.msg import (
    Classification,
    Detections,
    FeatureTensor,
    FrameEnergy,
    FrameLatency,
    GeotaggedClassification,
    MissionPolicy,
    OffloadDecision,
    OutputTensors,
    PowerSample,
    RemoteResult,
    ServedDrones,
    ServerStatus,
)
from offload_perception.nodes import qos
from offload_perception.nodes.discovery import new_servers
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.message_types import class_of, name_of
from offload_perception.nodes.running import main_of
from offload_perception.nodes.servers import namespaces
from offload_perception.nodes.setup import TOPIC as SETUP
from offload_perception.recording import BagWriter, installed_type
from offload_perception.recording.metadata import qos_profile
from offload_perception.recording.writer import free_bytes, unused

MB = 1_000_000
LOOK_PERIOD_S = 1.0
# Subscribed to from the start, since a topic that is found later has lost its first messages.
_TELEMETRY = ((PowerSample, 'power'), (FrameEnergy, 'frame_energy'),
              (Classification, 'classification'), (Classification, 'ground_truth'),
              (Detections, 'detections'), (GeotaggedClassification, 'geotagged'))
_LATCHED = ((OffloadDecision, 'offload_decision'), (MissionPolicy, 'mission_policy'),
            (DiagnosticStatus, SETUP))
_IMAGES = ((Image, 'image_raw'), (CompressedImage, 'image_raw/compressed'), (Image, 'class_map'),
           (OutputTensors, 'outputs'))
_LARGEST = 32 << 20  # bytes of a message: an image of 3840x2160 with four bytes a pixel
_LARGEST_TELEMETRY = 4 << 20  # a result with 10,000 labels has less
_SMALL = {name_of(kind) for kind in (*(kind for kind, _ in _TELEMETRY), FrameLatency,
                                     OffloadDecision, MissionPolicy, DiagnosticArray,
                                     DiagnosticStatus, RemoteResult, ServerStatus, ServedDrones)}


class Recording(Session):
    """One activation: writes every message as it came, undecoded, into a bag of its own."""

    def __init__(self, node: 'RecorderNode', drones: tuple[str, ...],
                 servers: tuple[str, ...]) -> None:
        """Make the bag.

        :param drones: what stands before the names of their topics: `drone1/`, or nothing.
        """
        c = node.config
        self._node, self._drones, self._servers = node, drones, servers
        self._finds_servers = not servers
        self._listeners: dict[str, Subscription] = {}
        self._announced: set[str] = set()
        self._skipped: set[str] = set()
        self._problem = ''
        # Images and tensors hardly shrink; compressing them would cost the drone power.
        self._bag: BagWriter | None = BagWriter(
            unused(c.bag or time.strftime('bag_%Y_%m_%d-%H_%M_%S')),
            max_file_bytes=c.max_file_size * MB, min_free_bytes=c.min_free * MB,
            compress=not (c.images or c.tensors))
        self._disk = DiskWatch(c.min_free * MB)
        node.resources.callback(self._finish)

    def start(self) -> None:
        """Listen."""
        node = self._node
        self._listen_to_known(node.config)
        node.add_timer(node.config.flush_period, self._flush)
        node.add_timer(LOOK_PERIOD_S, self._look_for_topics)
        if self._bag is not None:
            node.get_logger().info(f'recording into {self._bag.folder}')

    def _finish(self) -> None:
        """Finish the bag with all that has come in."""
        self._take_waiting()
        self._stop_listening()
        if self._bag is not None:
            bag, self._bag = self._bag, None
            bag.close()
            self._node.get_logger().info(f'{bag.messages} messages in {bag.folder}')

    def _fail(self, problem: str) -> None:
        """Stop recording; the drone flies on."""
        self._problem = problem
        self._node.get_logger().error(problem)
        self._stop_listening()
        bag, self._bag = self._bag, None
        if bag is not None:
            with suppress(OSError):
                bag.close()

    def awaits_others(self) -> bool:
        """Return whether a topic of the bag still has a publisher other than this node."""
        if self._bag is None:
            return False
        own = self._node.get_name(), self._node.get_namespace()
        return any((p.node_name, p.node_namespace) != own for topic in tuple(self._listeners)
                   for p in self._node.get_publishers_info_by_topic(topic))

    def _take_waiting(self) -> None:
        """Write what the middleware has received and no callback has seen yet.

        Of each topic at most as many as it can hold, so that a fast publisher cannot keep it up.
        """
        for topic, subscription in self._listeners.items():
            for _ in range(qos.ENDS.depth):
                with subscription.handle:
                    taken = subscription.handle.take_message(subscription.msg_type, True)
                if taken is None:
                    break
                self._on_message(topic, name_of(subscription.msg_type), *taken)

    def _stop_listening(self) -> None:
        while self._listeners:
            self._node.destroy_subscription(self._listeners.popitem()[1])

    # -- topics -----------------------------------------------------------------------------

    def _listen_to_known(self, c: RecorderConfig) -> None:
        self._listen(DiagnosticArray, '/diagnostics', qos.PERIODIC)
        self._listen(DiagnosticStatus, SETUP, _profile(latched=True))
        for drone in self._drones:
            self._listen_to_drone(drone, c)
        for server in self._servers:
            self._listen_to_server(server, c)

    def _listen_to_server(self, server: str, c: RecorderConfig) -> None:
        self._listen(DiagnosticStatus, f'{server}/{SETUP}', _profile(latched=True))
        self._listen(ServerStatus, f'{server}/status', qos.PERIODIC)
        self._listen(ServedDrones, f'{server}/served', qos.PERIODIC)
        if c.tensors:
            self._listen(FeatureTensor, f'{server}/features', _profile())

    def _listen_to_drone(self, drone: str, c: RecorderConfig) -> None:
        self._listen(FrameLatency, f'{drone}frame_latency', qos.ENDS)
        for kind, name in _TELEMETRY:
            self._listen(kind, f'{drone}{name}', qos.TELEMETRY)
        for kind, name in _LATCHED:
            self._listen(kind, f'{drone}{name}', _profile(latched=True))
        if c.tensors:  # a second subscription would have the server send each reply twice
            self._listen(RemoteResult, f'{drone}remote_result', qos.TELEMETRY)
        for kind, name in _IMAGES if c.images else ():
            self._listen(kind, f'{drone}{name}', qos.images('best_effort'))

    def _listen(self, kind: type, name: str, profile: QoSProfile) -> None:
        topic = self._node.resolve_topic_name(name)
        if topic not in self._listeners:
            self._listeners[topic] = self._node.subscribe(
                kind, topic, partial(self._on_message, topic, name_of(kind)), profile, raw=True)

    def _look_for_topics(self) -> None:
        """Subscribe to all other topics in the drones' namespaces, with their publishers' QoS."""
        if self._finds_servers:
            for server in new_servers(self._node, self._servers):
                self._servers = *self._servers, server
                self._listen_to_server(server, self._node.config)
        inside = tuple(self._node.resolve_topic_name(f'{drone}x')[:-1] for drone in self._drones)
        for topic, kinds in self._node.get_topic_names_and_types():
            new = topic.startswith(inside) and topic not in self._listeners
            if new and topic not in self._skipped and self._node.count_publishers(topic):
                self._listen_to_found(topic, kinds[0])

    def _listen_to_found(self, topic: str, name: str) -> None:
        try:
            installed_type(name)
            kind = class_of(name)
        except BagError as e:
            self._skipped.add(topic)
            self._node.get_logger().warning(f'{topic} is not recorded: {e}')
            return
        if self._wanted(kind):
            self._listen(kind, topic, self._matching(topic))
        else:
            self._skipped.add(topic)

    def _wanted(self, kind: type) -> bool:
        if kind in (Image, CompressedImage):
            return self._node.config.images
        return kind not in (FeatureTensor, RemoteResult) or self._node.config.tensors

    def _matching(self, topic: str) -> QoSProfile:
        """Return the strictest profile that every publisher of a topic can serve."""
        offered = [i.qos_profile for i in self._node.get_publishers_info_by_topic(topic)]
        return _profile(
            reliable=all(p.reliability == ReliabilityPolicy.RELIABLE for p in offered),
            latched=all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in offered))

    # -- messages ---------------------------------------------------------------------------

    def _on_message(self, topic: str, kind: str, data: bytes, info: dict[str, Any]) -> None:
        if (bag := self._bag) is None:
            return
        if len(data) > (limit := _LARGEST_TELEMETRY if kind in _SMALL else _LARGEST):
            self._node.border.ignore(topic, f'it has {len(data)} bytes, and of {kind} at most '
                                     f'{limit} are recorded')
            return
        with self._ending_on_failure(bag):
            if topic not in self._announced:
                self._announced.add(topic)
                bag.add_topic(topic, installed_type(kind), list(self._offered(topic)))
            bag.write(topic, data, self._node.get_clock().now().nanoseconds,
                            info['source_timestamp'])

    def _offered(self, topic: str) -> Iterator[dict[str, Any]]:
        for info in self._node.get_publishers_info_by_topic(topic):
            p = info.qos_profile
            yield qos_profile(reliable=p.reliability == ReliabilityPolicy.RELIABLE,
                              latched=p.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                              depth=p.depth or 10)  # discovery does not report the depth: 0

    def _flush(self) -> None:
        if (bag := self._bag) is not None:
            with self._ending_on_failure(bag):
                bag.flush()

    @contextmanager
    def _ending_on_failure(self, bag: BagWriter) -> Iterator[None]:
        """Stop recording if the bag cannot be written; the drone flies on."""
        try:
            yield
        except OSError as e:
            self._fail(f'recording ended: {bag.folder} cannot be written: {e.strerror}; '
                      'was it removed, or the disk?')
        except BagError as e:
            self._fail(str(e))

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the bag and the disk."""
        if self._problem:
            yield error('bag', self._problem)
        if (bag := self._bag) is None:
            return
        if (free := _free(bag)) is None:
            yield error('bag', f'the folder {bag.folder} is gone, and the bag with it')
        elif filling := self._disk.check(free, now_s):
            yield filling
        if not bag.messages:
            yield note('messages', 'no message yet')

    def values(self) -> dict[str, Any]:
        """Return how much is written, and how long the disk lasts."""
        if (bag := self._bag) is None:
            return {}
        free = _free(bag)
        return {'bag': bag.folder, 'messages': bag.messages,
                'free [MB]': 'unknown' if free is None else free // MB,
                'written [MB/min]': f'{self._disk.rate * 60 / MB:.1f}',
                'time left [min]': f'{self._disk.left_s / 60:.0f}',
                'topics left out': ', '.join(sorted(self._skipped)) or 'none'}


class RecorderNode(ManagedNode[RecorderConfig, Recording]):
    """Records the topics of drones; each activation makes a bag of its own."""

    doing = 'recording'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('recorder', RecorderConfig, **kwargs)

    def configure(self) -> None:
        """Find out which drones and servers to record."""
        c = self.config
        self._servers = namespaces(c.server)
        self._drones = tuple(f'{name.strip().rstrip("/")}/' for name in c.drones.split(',')
                             ) if c.drones.strip() else ('',)
        for drone in self._drones:
            self._check_drone(drone)

    def activate(self) -> Recording:
        """Make the bag."""
        return Recording(self, self._drones, self._servers)

    def _check_drone(self, drone: str) -> None:
        try:
            self.resolve_topic_name(f'{drone}frame_latency')
        except RCLError as e:
            raise ConfigError(f"parameter drones is '{self.config.drones}'; give the namespaces "
                              'of drones with commas between') from e

    def awaits_others(self) -> bool:
        """Return whether a topic of the bag still has a publisher other than this node."""
        return self.session is not None and self.session.awaits_others()


def _free(bag: BagWriter) -> int | None:
    """Return the space on the bag's disk [bytes], None if the folder was removed."""
    try:
        return free_bytes(bag.folder)
    except OSError:
        return None


def _profile(*, reliable: bool = True, latched: bool = False) -> QoSProfile:
    """Return a subscription's profile; as deep as for telemetry, so that a stall loses nothing."""
    return QoSProfile(
        depth=qos.TELEMETRY.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


main = main_of(RecorderNode)
