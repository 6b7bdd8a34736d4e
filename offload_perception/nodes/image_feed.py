"""The one subscription to a drone's images; topic and QoS follow from the graph."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.qos import ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.health import Finding
from offload_perception.health.arrivals import Arrivals
from offload_perception.health.clocks import StampWatch
from offload_perception.health.delivery import DeliveryWatch, why_lost
from offload_perception.imaging.listening import Listening, choose, fixed
from offload_perception.nodes import qos
from offload_perception.nodes.executor import subscribe_in_lane
from offload_perception.nodes.managed import ManagedNode

LOOK_PERIOD_S = 0.25
RAW, COMPRESSED = 'image_raw', 'image_raw/compressed'


class ImageFeed:
    """Subscribes to the camera in a node's namespace, and follows it when it changes.

    :param take: gets each image, in the node's lane.
    """

    def __init__(self, node: ManagedNode, *, transport: str, reliability: str,
                 take: Callable[[Image | CompressedImage], None]) -> None:
        self._node, self._take = node, take
        self._transport, self._reliability = transport, reliability
        self._now: Listening | None = None
        self._subscription: Any = None
        self.restart()
        self.look()
        self._timer = node.create_timer(LOOK_PERIOD_S, self.look)

    def look(self) -> None:
        """Subscribe to what is published now, unless that is done already."""
        raw, compressed = ([_is_reliable(i) for i in self._publishers(t)]
                           for t in (RAW, COMPRESSED))
        if self._transport != 'auto':
            raw, compressed = (([], compressed) if self._transport == 'compressed' else (raw, []))
        before = self._now or Listening(compressed=False, reliable=True)
        wanted = fixed(choose(raw, compressed, before), self._transport, self._reliability)
        if wanted != self._now:
            self._listen(wanted)

    def _listen(self, wanted: Listening) -> None:
        """Change the subscription: the old one goes first, so that no image arrives twice."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        kind, topic = (CompressedImage, COMPRESSED) if wanted.compressed else (Image, RAW)
        self._delivery, self._alive = DeliveryWatch(), set()
        self._now, self._subscription = wanted, subscribe_in_lane(
            self._node, kind, topic, self._on_image,
            qos.images('reliable' if wanted.reliable else 'best_effort'))
        self._node.wake_lane()
        self._node.get_logger().info(f'listening to {self.describe()}')

    def _on_image(self, message: Image | CompressedImage, info: dict[str, Any]) -> None:
        if not self._node.active:
            return
        self._take(message)
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        self._images.arrived(time.monotonic())
        self._delivery.arrived(info['publication_sequence_number'], len(message.data))
        if now_ns := self._node.get_clock().now().nanoseconds:  # 0: no /clock has come yet
            self._stamps.see(stamp_s, 1e-9 * now_ns)

    def restart(self) -> None:
        """Forget what was seen of the images before."""
        self._images, self._stamps = Arrivals('image', time.monotonic()), StampWatch()
        self._delivery, self._alive = DeliveryWatch(), set()

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    # -- health -----------------------------------------------------------------------------

    def describe(self) -> str:
        """Return the topic and the QoS."""
        return f'{self.topic}, {"reliable" if self._now.reliable else "best effort"}'

    @property
    def topic(self) -> str:
        """Return the full name of the subscribed topic."""
        return self._subscription.topic_name

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the images; `now_s` is monotonic."""
        found = self._publishers(self.topic)
        self._watch_alone({bytes(i.endpoint_gid) for i in found})
        cameras, offered = ', '.join(sorted({*map(_name, found)})), all(map(_is_reliable, found))
        why = self._why(cameras, offered)
        if silent := self._images.finding(now_s, where=self._where(), why=why):
            yield silent
        yield from self._stamps.findings(now_s)
        yield from self._delivery.findings(cameras, reliable=self._now.reliable, offered=offered)

    def _watch_alone(self, alive: set[bytes]) -> None:
        """Count losses anew when the publishers have changed: a camera's absence is no loss."""
        if alive != self._alive:
            self._delivery, self._alive = DeliveryWatch(), alive

    def _where(self) -> str:
        if self._transport != 'auto' or self._publishers(self.topic):
            return self.topic
        return ' or '.join(self._node.resolve_topic_name(t) for t in (RAW, COMPRESSED))

    def _why(self, cameras: str, offered: bool) -> str:
        """Return why no image arrives, from the publishers in the graph."""
        if not cameras:
            return 'it has no publisher; start the camera, in this namespace, or remap it'
        lossy = '' if self._now.reliable else (
            f'; or its images get lost: {why_lost(offered=offered)}')
        return f'{cameras} publishes it, but nothing arrives: check its camera{lossy}'

    def mend_qos(self, topic: str) -> str:
        """Return how to fit a camera's QoS; empty if `topic` is not the camera's."""
        return 'set parameter image_reliability to auto' if topic == self.topic else ''

    def _publishers(self, topic: str) -> list[TopicEndpointInfo]:
        return self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))


def _is_reliable(publisher: TopicEndpointInfo) -> bool:
    return publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def _name(publisher: TopicEndpointInfo) -> str:
    return f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'
