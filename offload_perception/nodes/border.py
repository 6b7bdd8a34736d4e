"""Checks incoming messages: an invalid one is counted and reported, and reaches no callback."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from threading import Lock
from typing import Any

from rclpy.node import Node

from offload_perception.errors import IncomingError
from offload_perception.health import Finding, warning
from offload_perception.health.finding import several
from offload_perception.health.trend import Recent
from offload_perception.telemetry.rules import checked

Receive = Callable[..., None]


class Border:
    """Checks the messages that a node receives; may be used from several threads."""

    def __init__(self, node: Node) -> None:
        self._node, self._lock, self._recent = node, Lock(), Recent()
        self._ignored, self._last = Counter[str](), dict[str, str]()

    def checked(self, kind: type, topic: str, callback: Receive) -> Receive:
        """Return a callback that passes only valid messages to `callback`; see `rules`."""
        @wraps(callback)  # rclpy asks for its signature
        def receive(message: Any, *info: Any) -> None:
            try:
                checked(kind.__name__, message)
            except IncomingError as e:
                self.ignore(topic, e)
                return
            callback(message, *info)
        return receive

    def ignore(self, topic: str, why: object) -> None:
        """Count and log an ignored message on `topic`."""
        full = self._node.resolve_topic_name(topic)
        with self._lock:
            self._ignored[full] += 1
            self._last[full] = str(why)
        self._node.get_logger().warning(f'message on {full} ignored: {why}',
                                        throttle_duration_sec=5.0)

    def findings(self) -> Iterator[Finding]:
        """Yield the topics on which messages were ignored recently."""
        with self._lock:
            grown, last = self._recent.increase(self._ignored, time.monotonic()), dict(self._last)
        for topic, n in grown.items():
            if n:
                yield warning(f'messages on {topic}', f'{several(n, "message")} on {topic} '
                              f'ignored in the last {self._recent.window_s:.0f} s: {last[topic]}')
