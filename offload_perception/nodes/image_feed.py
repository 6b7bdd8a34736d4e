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
from offload_perception.nodes.managed import AnyManagedNode, Session

LOOK_PERIOD_S = 0.25
RAW, COMPRESSED = 'image_raw', 'image_raw/compressed'


class ImageFeed:
    """Subscribes to the camera in a node's namespace, and follows it when it changes.

    :param take: gets each image, and what the middleware reports of it, in the node's lane.
    """

    def __init__(self, node: AnyManagedNode, *, transport: str, reliability: str,
                 take: Callable[[Image | CompressedImage, dict[str, Any]], None]) -> None:
        self._node, self._take = node, take
        self._transport, self._reliability = transport, reliability
        self._subscription: Any = None
        self.listening = Listening(compressed=False, reliable=True)
        self.resubscribe()
        node.resources.callback(self._unsubscribe)
        node.add_timer(LOOK_PERIOD_S, self.resubscribe)

    def resubscribe(self) -> None:
        """Subscribe to what is published now, unless that is done already."""
        raw, compressed = ([is_reliable(i) for i in self.publishers(t)]
                           for t in (RAW, COMPRESSED))
        if self._transport != 'auto':
            raw, compressed = (([], compressed) if self._transport == 'compressed' else (raw, []))
        wanted = fixed(choose(raw, compressed, self.listening), self._transport,
                       self._reliability)
        if wanted != self.listening or self._subscription is None:
            self._listen(wanted)

    def _listen(self, wanted: Listening) -> None:
        """Change the subscription: the old one goes first, so that no image arrives twice."""
        self._unsubscribe()
        kind, topic = (CompressedImage, COMPRESSED) if wanted.compressed else (Image, RAW)
        self.listening, self._subscription = wanted, self._node.subscribe(
            kind, topic, self._take,
            qos.images('reliable' if wanted.reliable else 'best_effort'),
            callback_group=self._node.lane)
        self._node.wake_lane()
        self._node.get_logger().info(f'listening to {self.describe()}')

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def describe(self) -> str:
        """Return the topic and the QoS."""
        return f'{self.topic}, {"reliable" if self.listening.reliable else "best effort"}'

    @property
    def topic(self) -> str:
        """Return the full name of the subscribed topic."""
        return self._node.resolve_topic_name(COMPRESSED if self.listening.compressed else RAW)

    def where(self) -> str:
        """Return the topics that images may come on now, for a sentence."""
        if self._transport != 'auto' or self.publishers(self.topic):
            return self.topic
        return ' or '.join(self._node.resolve_topic_name(t) for t in (RAW, COMPRESSED))

    def publishers(self, topic: str) -> list[TopicEndpointInfo]:
        """Return who publishes on a topic."""
        return self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))

    def qos_remedy(self, topic: str) -> str:
        """Return how to fit a camera's QoS; empty if `topic` is not the camera's."""
        return 'set parameter image_reliability to auto' if topic == self.topic else ''


class ImageWatch(Session):
    """What became of the images of one activation: silence, stamps, losses on the way."""

    def __init__(self, feed: ImageFeed, ros_now_ns: Callable[[], int]) -> None:
        self._feed, self._ros_now_ns = feed, ros_now_ns
        self._images, self._stamps = Arrivals('image', time.monotonic()), StampWatch()
        self._delivery, self._senders = DeliveryWatch(), set[bytes]()
        self._listening = feed.listening

    def observe(self, message: Image | CompressedImage, info: dict[str, Any]) -> None:
        """Take note of an image."""
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        self._images.observe(time.monotonic())
        if self._listening is not self._feed.listening:  # another topic or QoS counts anew
            self._listening, self._delivery = self._feed.listening, DeliveryWatch()
        self._delivery.observe(info['publication_sequence_number'], len(message.data))
        if now_ns := self._ros_now_ns():  # 0: no /clock has come yet
            self._stamps.observe(stamp_s, 1e-9 * now_ns)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the images; `now_s` is monotonic."""
        found, reliable = self._feed.publishers(self._feed.topic), self._feed.listening.reliable
        self._count_anew_after_a_change({bytes(i.endpoint_gid) for i in found})
        cameras, offered = ', '.join(sorted({*map(name_of, found)})), all(map(is_reliable, found))
        if silent := self._images.finding(now_s, where=self._feed.where(),
                                          why=_why(cameras, reliable, offered)):
            yield silent
        yield from self._stamps.findings(now_s)
        yield from self._delivery.findings(cameras, reliable=reliable, offered=offered)

    def values(self) -> dict[str, Any]:
        """Return where the images come from."""
        return {'images from': self._feed.describe()}

    def _count_anew_after_a_change(self, senders: set[bytes]) -> None:
        """A camera's absence is no loss."""
        if senders != self._senders:
            self._delivery, self._senders = DeliveryWatch(), senders


def _why(cameras: str, reliable: bool, offered: bool) -> str:
    """Return why no image arrives, from the publishers in the graph."""
    if not cameras:
        return 'it has no publisher; start the camera, in this namespace, or remap it'
    lossy = '' if reliable else f'; or its images get lost: {why_lost(offered=offered)}'
    return f'{cameras} publishes it, but nothing arrives: check its camera{lossy}'


def is_reliable(publisher: TopicEndpointInfo) -> bool:
    """Tell whether a publisher offers reliable delivery."""
    return bool(publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE)


def name_of(publisher: TopicEndpointInfo) -> str:
    """Return the fully qualified name of a publisher's node."""
    return f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'
