"""The image source that a node plays itself."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from std_msgs.msg import Header

from offload_perception.bringup.config import SourceConfig
from offload_perception.camera import CameraImage, check_source, open_source
from offload_perception.camera.player import Player
from offload_perception.errors import SourceError
from offload_perception.health.source_watch import SourceWatch, in_words, source_values
from offload_perception.imaging.encodings import ValueRange
from offload_perception.incoming import text
from offload_perception.msg import Classification
from offload_perception.nodes import qos
from offload_perception.nodes.managed import AnyManagedNode

STOP_TIMEOUT_S = 2.0
Take = Callable[[Header, CameraImage], None]
"""Takes a frame and its header, in the thread of the source."""


class OwnCamera:
    """Opens the source of a node's parameters when it is configured, plays it while it is active.

    Lives as long as the node: the thread of an earlier activation may still wait for a frame, and
    then holds the device.
    """

    def __init__(self, node: AnyManagedNode) -> None:
        self._node = node
        self._player: Player | None = None

    def check(self) -> None:
        """Raise SourceError if the source cannot be opened, as far as that shows at once."""
        with _named():
            check_source(self._node.config.source)

    def open(self, take: Take) -> None:
        """Open the source, until the node is cleaned up; `take` gets its frames.

        :raises SourceError: if it cannot be opened, or an earlier thread still holds it.
        """
        if self._player is not None:
            self._player.check_free()
        node = self._node
        c: SourceConfig = node.config
        self._name, self._frame_id, self._take = c.source, text(c.frame_id), take
        open_it = partial(open_source, c.source, width=c.width, height=c.height, rate_hz=c.rate,
                          loop=c.loop, values=ValueRange(c.black, c.white))
        with _named():
            self._player = Player(open_it, self._on_frame, node.get_logger().warning)
        node.resources.callback(self._player.close)  # now, or as soon as it is not read any more
        self._truths = node.add_publisher(Classification, 'ground_truth', qos.TELEMETRY)
        source = self._player.source
        node.get_logger().info(f'showing {source.description}')
        if left_out := in_words(source.left_out):
            node.get_logger().warning(left_out)

    def watch(self) -> SourceWatch:
        """Return the watch of a new activation."""
        assert self._player is not None
        self._watch = SourceWatch(self._player, self._name, time.monotonic())
        return self._watch

    def play(self) -> None:
        """Play, until the node is deactivated or `stop`; `watch` comes before."""
        assert self._player is not None
        self._node.resources.callback(self.stop, STOP_TIMEOUT_S)
        self._player.start()

    def stop(self, timeout_s: float) -> None:
        """Play no longer; may be called twice."""
        assert self._player is not None
        self._player.stop(timeout_s)

    def _on_frame(self, frame: CameraImage) -> None:
        self._watch.observe(time.monotonic())
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._frame_id)
        self._take(header, frame)

    def publish_truth(self, header: Header, frame: CameraImage) -> None:
        """Publish the true class of a frame, if it is known."""
        assert self._player is not None
        if frame.label is not None:
            self._truths.publish(Classification(
                header=header, where='truth', trained=True, ids=[frame.label],
                labels=[self._player.source.classes[frame.label]], scores=[1.0]))

    def values(self) -> dict[str, Any]:
        """Return the source and what became of it."""
        node = self._node
        return source_values(self._player if node.configured else None,
                             node.config.source if node.configured else 'none')


@contextmanager
def _named() -> Iterator[None]:
    """Name the parameter in what is wrong with its value."""
    try:
        yield
    except SourceError as e:
        raise SourceError(f'parameter source: {e}') from e
