"""Publishers for the topics of drones, made when they are first needed."""

import threading
import time
from collections import OrderedDict, deque

from rclpy.node import Node
from rclpy.publisher import Publisher

from offload_perception.msg import RemoteResult
from offload_perception.nodes import qos

MAX_TOPICS = 256
"""With more drones the least recently used publisher is destroyed, so that forged names cannot
fill the memory."""
MATCH_TIMEOUT_S = 2.0
RETRY_PERIOD_S = 0.02


class ReplyPublishers:
    """Publishes each reply on its drone's topic; may be called from several threads.

    A new publisher has not matched its subscription yet, and would lose what it publishes: such
    replies wait, at most `MATCH_TIMEOUT_S` and `MAX_TOPICS` of them. `lost`
    counts those that waited in vain. A topic without a subscriber gets no publisher.
    """

    def __init__(self, node: Node) -> None:
        self._node, self._lock = node, threading.Lock()
        self._publishers: OrderedDict[str, Publisher] = OrderedDict()
        self._waiting: deque[tuple[float, str, RemoteResult]] = deque()
        self.lost, self._closed = 0, False
        self._timer = node.create_timer(RETRY_PERIOD_S, self._retry, autostart=False)

    def publish(self, topic: str, message: RemoteResult) -> None:
        """Publish `message`, as soon as it has a subscriber."""
        with self._lock:
            if not self._closed and not self._delivered(topic, message):
                if len(self._waiting) >= MAX_TOPICS:
                    self._count_lost(*self._waiting.popleft()[1:])
                self._waiting.append((time.monotonic() + MATCH_TIMEOUT_S, topic, message))
                self._timer.reset()

    def close(self) -> None:
        """Destroy the publishers; later replies are ignored."""
        self._node.destroy_timer(self._timer)
        with self._lock:
            self._closed = True
            while self._publishers:
                self._node.destroy_publisher(self._publishers.popitem()[1])

    def _delivered(self, topic: str, message: RemoteResult) -> bool:
        """Publish if there is a subscriber."""
        if topic not in self._publishers and not self._node.count_subscribers(topic):
            return False
        publisher = self._publisher(topic)
        if not publisher.get_subscription_count():
            return False
        publisher.publish(message)
        return True

    def _publisher(self, topic: str) -> Publisher:
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(
                RemoteResult, topic, qos.RESULTS)
            if len(self._publishers) > MAX_TOPICS:
                self._node.destroy_publisher(self._publishers.popitem(last=False)[1])
        self._publishers.move_to_end(topic)
        return self._publishers[topic]

    def _retry(self) -> None:
        now = time.monotonic()
        with self._lock:
            for _ in range(len(self._waiting)):
                give_up_s, topic, message = self._waiting.popleft()
                if self._delivered(topic, message):
                    continue
                if now < give_up_s:
                    self._waiting.append((give_up_s, topic, message))
                else:
                    self._count_lost(topic, message)
            if not self._waiting:
                self._timer.cancel()

    def _count_lost(self, topic: str, message: RemoteResult) -> None:
        self.lost += 1
        self._node.get_logger().warning(
            f'{topic} has no subscriber: a reply to {message.drone} is lost',
            throttle_duration_sec=5.0)
