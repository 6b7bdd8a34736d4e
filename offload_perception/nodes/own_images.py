"""The images of a node's own camera as messages, and the edge node's way with them."""

import time
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Any, NamedTuple

import numpy as np
from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.bringup.config import EdgeConfig
from offload_perception.cadence import RateLimit
from offload_perception.camera import CameraImage
from offload_perception.health import Finding, warning
from offload_perception.imaging.compressed import encode_image
from offload_perception.imaging.resize import fit
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array, image_message
from offload_perception.nodes.image_feed import COMPRESSED, RAW, name_of
from offload_perception.nodes.managed import AnyManagedNode, ManagedNode, Session
from offload_perception.nodes.own_camera import OwnCamera
from offload_perception.threads import FOREVER, Worker


def add_image_publisher(node: AnyManagedNode, transport: str) -> LifecyclePublisher:
    """Return the publisher of a transport: raw, or jpeg as drivers publish it."""
    kind, topic = (CompressedImage, COMPRESSED) if transport == 'jpeg' else (Image, RAW)
    return node.add_publisher(kind, topic, qos.CAMERA)


def image_of(rgb: np.ndarray, header: Header, transport: str) -> Image | CompressedImage:
    """Return the message of a picture, uint8 (H, W, 3) RGB, for a transport."""
    if transport == 'raw':
        return image_message(rgb, header)
    return CompressedImage(header=header, format='jpeg',
                           data=byte_array(encode_image(rgb, 'jpeg')))


class Preview:
    """Publishes frames for people and recordings, while there is a subscriber.

    In a thread of its own, so that it delays no frame on its way: a newer one takes the place of
    one that still waits, which is skipped.

    :param rate_hz: is not exceeded, and 0 is none.
    :param width: wider pictures are shrunk to this [pixels]; 0 = none is.
    """

    def __init__(self, publisher: LifecyclePublisher, *, transport: str, rate_hz: float,
                 width: int) -> None:
        self._publisher, self._transport, self._width = publisher, transport, width
        self._limit = RateLimit(rate_hz)
        self._wake = Condition()
        self._newest: tuple[Header, np.ndarray] | None = None
        self._worker = Worker('preview', self._publish, patience=FOREVER)
        self.published = self.skipped = 0

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def stop(self) -> None:
        """End the thread after the frame that it publishes."""
        self._worker.stopping.set()
        with self._wake:
            self._wake.notify()
        self._worker.stop()

    def offer(self, header: Header, rgb: np.ndarray) -> None:
        """Take a frame, if it is wanted and due; returns at once."""
        if not self._publisher.get_subscription_count() or not self._limit.due(time.monotonic()):
            return
        with self._wake:
            self.skipped += self._newest is not None
            self._newest = header, rgb
            self._wake.notify()

    def _publish(self) -> bool:
        stopping = self._worker.stopping
        with self._wake:
            self._wake.wait_for(lambda: self._newest is not None or stopping.is_set())
            newest, self._newest = self._newest, None
        if newest is None or stopping.is_set():
            return False
        header, rgb = newest
        self._publisher.publish(image_of(shrunk(rgb, self._width), header, self._transport))
        self.published += 1
        return True


def shrunk(rgb: np.ndarray, width: int) -> np.ndarray:
    """Return a picture of `width` pixels at most, of the same aspect; 0 = as it is."""
    rows, cols = rgb.shape[:2]
    if not 0 < width < cols:
        return rgb
    return fit(rgb, max(1, round(rows * width / cols)), width, how='stretch')


class EdgeCamera(NamedTuple):
    """The camera of the edge node, and the publisher of its preview."""

    camera: OwnCamera
    publisher: LifecyclePublisher


class OwnImages(Session):
    """One activation of the edge node's own camera: frames for the pipeline, and a preview.

    :param offer: takes each frame: its header, and the picture as uint8 (H, W, 3) RGB.
    """

    def __init__(self, node: ManagedNode[EdgeConfig, Any], own: EdgeCamera,
                 offer: Callable[[Header, np.ndarray], None]) -> None:
        c = node.config
        self._node, self._camera, self._offer = node, own.camera, offer
        self._topic = own.publisher.topic_name
        self._preview = Preview(own.publisher, transport=c.preview, rate_hz=c.preview_rate,
                                width=c.preview_width)
        self._watch = own.camera.watch()

    def start(self) -> None:
        """Start to play."""
        self._node.resources.callback(self._preview.stop)
        self._preview.start()
        self._camera.play()

    def stop(self) -> None:
        """Play no longer, without waiting for the source."""
        self._camera.stop(0.0)

    def take(self, header: Header, frame: CameraImage) -> None:
        """Take a frame of the source."""
        self._offer(header, frame.rgb)
        self._preview.offer(header, frame.rgb)
        self._camera.publish_truth(header, frame)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the source, and who else publishes images."""
        yield from self._watch.findings(now_s)
        node = self._node
        me = node.get_name(), node.get_namespace()
        for topic in map(node.resolve_topic_name, (RAW, COMPRESSED)):
            others = {name_of(p) for p in node.get_publishers_info_by_topic(topic)
                      if (p.node_name, p.node_namespace) != me}
            if others:
                yield warning('images', f'{", ".join(sorted(others))} publishes on {topic}, but '
                              'this node plays a source of its own: start it with camera:=false '
                              '(source empty) to take those images, or end the other camera')

    def values(self) -> dict[str, Any]:
        """Return the source, and what the preview has published."""
        return {'images from': 'its own source', **self._camera.values(),
                'preview on': self._topic, 'previews published': self._preview.published,
                'previews skipped': self._preview.skipped}
