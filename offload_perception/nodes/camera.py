"""Publish images from a camera, a file, a folder or a generated flight."""

from collections.abc import Iterator
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from std_msgs.msg import Header

from offload_perception.bringup.config import CameraConfig
from offload_perception.camera import CameraImage
from offload_perception.health import Finding, note
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.own_camera import OwnCamera
from offload_perception.nodes.own_images import add_image_publisher, image_of
from offload_perception.nodes.running import main_of


class ShowSession(Session):
    """One activation: publishes the frames of the source, and counts them."""

    def __init__(self, node: 'CameraNode', camera: OwnCamera, images: LifecyclePublisher) -> None:
        self._node, self._camera, self._images = node, camera, images
        self._watch = camera.watch()
        self.published = self.unheard = 0

    def start(self) -> None:
        """Start to play."""
        self._camera.play()

    def show(self, header: Header, frame: CameraImage) -> None:
        """Publish a frame, if it has a subscriber."""
        if not self._images.get_subscription_count():
            self.unheard += 1
            return
        self._images.publish(image_of(frame.rgb, header, self._node.config.transport))
        self.published += 1
        self._camera.publish_truth(header, frame)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the source, and whether there is a subscriber."""
        yield from self._watch.findings(now_s)
        if not self._images.get_subscription_count():
            yield note('listeners', f'{self._images.topic_name} has no subscriber')


class CameraNode(ManagedNode[CameraConfig, ShowSession]):
    """Plays a source at a rate from a thread of its own."""

    doing = 'playing'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('camera', CameraConfig, **kwargs)
        self._camera = OwnCamera(self)

    def configure(self) -> None:
        """Open the source."""
        self._camera.open(self.to_session(ShowSession.show))
        self._images = add_image_publisher(self, self.config.transport)

    def activate(self) -> ShowSession:
        """Start to play."""
        return ShowSession(self, self._camera, self._images)

    def values(self) -> dict[str, Any]:
        """Return the source and how many frames it gave."""
        session = self.latest
        return {**self._camera.values(),
                'frames published': session.published if session else 0,
                'frames without a subscriber': session.unheard if session else 0}


main = main_of(CameraNode)
