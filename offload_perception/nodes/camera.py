"""Publish images from a camera, a file, a folder or a generated flight."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.config import CameraConfig
from offload_perception.errors import SourceError
from offload_perception.health import Finding, error, said, warning
from offload_perception.health.arrivals import Arrivals
from offload_perception.health.trend import Recent
from offload_perception.imaging.compressed import encode_image
from offload_perception.imaging.sources import Frame, open_source
from offload_perception.msg import Classification
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array, image_message
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.running import main_of
from offload_perception.power.cadence import Cadence

REOPEN_PERIOD_S = 1.0
SLOW_SHARE = 0.2  # of the frames asked for


class CameraNode(ManagedNode):
    """Plays a source at a rate from a thread of its own."""

    doing = 'playing'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('camera', CameraConfig, **kwargs)
        self._source = self._thread = None
        self._stopping = threading.Event()
        self._published = self._unheard = 0
        self._problem = ''

    def configure(self) -> None:
        """Open the source."""
        self._open()
        if self.config.transport == 'jpeg':
            self._image_pub = self.create_lifecycle_publisher(
                CompressedImage, 'image_raw/compressed', qos.CAMERA)
        else:
            self._image_pub = self.create_lifecycle_publisher(Image, 'image_raw', qos.CAMERA)
        self._truth_pub = self.create_lifecycle_publisher(
            Classification, 'ground_truth', qos.TELEMETRY)
        self.get_logger().info(f'showing {self._source.description}')

    def _open(self) -> None:
        c = self.config
        self._source = open_source(c.source, width=c.width, height=c.height, rate_hz=c.rate)

    def activate(self) -> None:
        """Start to play."""
        self._published = self._unheard = 0
        self._cadence = Cadence(1.0 / self.config.rate, time.monotonic())
        self._frames, self._recent = Arrivals('frame', time.monotonic()), Recent()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._play, name='camera', daemon=True)
        self._thread.start()

    def deactivate(self) -> None:
        """Stop playing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
            self._thread = None

    def release(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()
            self._source = None
            self.destroy_lifecycle_publisher(self._image_pub)
            self.destroy_lifecycle_publisher(self._truth_pub)

    def _play(self) -> None:
        while not self._stopping.wait(self._cadence.wait_s(time.monotonic())):
            try:
                frame = self._source.next()
                self._frames.arrived(time.monotonic())
                self._publish(frame)
            except SourceError as e:
                self._recover(str(e))
            except Exception as e:  # a camera that only looks alive helps nobody
                self._recover(f'{type(e).__name__}: {e}')

    def _recover(self, error: str) -> None:
        """Say that the source has failed, and try to open it again, once a period."""
        self._problem = error
        self.get_logger().error(f'{error}; trying again every {REOPEN_PERIOD_S:.0f} s')
        self._source.close()
        while not self._stopping.wait(REOPEN_PERIOD_S):
            try:
                self._open()
            except SourceError as e:
                self._problem = str(e)
                continue
            self._problem = ''
            self.get_logger().info(f'showing {self._source.description} again')
            return

    def _publish(self, frame: Frame) -> None:
        if not self._image_pub.get_subscription_count():
            self._unheard += 1
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.config.frame_id)
        self._image_pub.publish(self._message(frame, header))
        self._published += 1
        if frame.label is not None:
            self._truth_pub.publish(Classification(
                header=header, where='truth', trained=True, ids=[frame.label],
                labels=[self._source.classes[frame.label]], scores=[1.0]))

    def _message(self, frame: Frame, header: Header) -> Image | CompressedImage:
        if self.config.transport == 'raw':
            return image_message(frame.rgb, header)
        return CompressedImage(header=header, format='jpeg',
                               data=byte_array(encode_image(frame.rgb, 'jpeg')))

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the source, and whether anybody listens."""
        if self._problem:
            yield error('source', self._problem)
        elif silent := self._frames.finding(now_s, where=self.config.source,
                                            why='the camera hangs; unplug it and plug it in'):
            yield silent
        c = self.config
        missed = self._recent.grown({'frames': self._cadence.missed}, now_s)['frames']
        share = missed / (c.rate * self._recent.window_s)
        if share > SLOW_SHARE and not self._problem:
            yield warning('rate', f'{(1 - min(share, 1)) * c.rate:.1f} of {c.rate:g} frames a '
                          'second come: the source, the size or this computer is too slow')
        if not self._image_pub.get_subscription_count():
            yield said('listeners', f'nobody listens on {self._image_pub.topic_name}')

    def values(self) -> dict[str, Any]:
        """Return the source and how many frames it gave."""
        return {'source': self.config.source if self.config else 'none',
                'shows': self._source.description if self._source else 'nothing, it is closed',
                'frames published': self._published,
                'frames nobody listened to': self._unheard,
                'pictures skipped': self._source.skipped if self._source else 0}


main = main_of(CameraNode)
