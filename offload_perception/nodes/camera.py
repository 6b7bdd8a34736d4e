"""Publish images from a camera, a file, a folder or a generated flight."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.bringup.config import CameraConfig
from offload_perception.camera import CameraImage, open_source
from offload_perception.camera.player import Player
from offload_perception.camera.stream import without_password
from offload_perception.health import Finding, error, note, warning
from offload_perception.health.arrivals import Arrivals
from offload_perception.health.trend import Recent
from offload_perception.imaging.compressed import encode_image
from offload_perception.imaging.encodings import ValueRange
from offload_perception.msg import Classification
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array, image_message
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.running import main_of

STOP_TIMEOUT_S = 2.0
NAMED = 5  # of the files that are left out
SLOW_SHARE = 0.2  # of the frames asked for


class ShowSession(Session):
    """One activation: publishes the frames of a player, and counts them."""

    def __init__(self, node: 'CameraNode', player: Player, images: LifecyclePublisher,
                 truths: LifecyclePublisher) -> None:
        self._node, self._player, self._images, self._truths = node, player, images, truths
        self._arrivals, self._recent = Arrivals('frame', time.monotonic()), Recent()
        self.published = self.unheard = 0

    def start(self) -> None:
        """Start to play."""
        self._node.resources.callback(self._player.stop, STOP_TIMEOUT_S)
        self._player.start()

    def show(self, frame: CameraImage) -> None:
        """Publish a frame, if it has a subscriber."""
        self._arrivals.observe(time.monotonic())
        if not self._images.get_subscription_count():
            self.unheard += 1
            return
        node, source = self._node, self._player.source
        header = Header(stamp=node.get_clock().now().to_msg(), frame_id=node.config.frame_id)
        self._images.publish(_message(frame, header, node.config.transport))
        self.published += 1
        if frame.label is not None:
            self._truths.publish(Classification(
                header=header, where='truth', trained=True, ids=[frame.label],
                labels=[source.classes[frame.label]], scores=[1.0]))

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the source, and whether there is a subscriber."""
        player, source = self._player, self._player.source
        if player.ended:
            yield note('source', player.ended)
        elif player.problem:
            yield error('source', player.problem)
        elif silent := self._arrivals.finding(
                now_s, where=without_password(self._node.config.source), why=source.hangs):
            yield silent
        if slow := self._slowness(player, now_s):
            yield slow
        if left_out := source.left_out:
            yield note('pictures', f'{len(left_out)} file(s) left out: {_some(left_out)}')
        if not self._images.get_subscription_count():
            yield note('listeners', f'{self._images.topic_name} has no subscriber')

    def _slowness(self, player: Player, now_s: float) -> Finding | None:
        """Return the finding for a source that does not keep its rate."""
        cadence, rate_hz = player.cadence, player.source.rate_hz
        if cadence is None or player.problem or player.ended:
            return None
        missed = self._recent.increase({'frames': cadence.missed}, now_s)['frames']
        share = missed / (rate_hz * self._recent.window_s)
        if share <= SLOW_SHARE:
            return None
        return warning('rate', f'{(1 - min(share, 1)) * rate_hz:.1f} of {rate_hz:g} frames a '
                       'second come: the source, the size or this computer is too slow')


class CameraNode(ManagedNode[CameraConfig, ShowSession]):
    """Plays a source at a rate from a thread of its own."""

    doing = 'playing'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('camera', CameraConfig, **kwargs)
        self._player: Player | None = None

    def configure(self) -> None:
        """Open the source."""
        if self._player is not None:
            self._player.check_free()  # an earlier activation's thread may still hold the device
        c = self.config
        open_it = partial(open_source, c.source, width=c.width, height=c.height, rate_hz=c.rate,
                          loop=c.loop, values=ValueRange(c.black, c.white))
        log = self.get_logger()
        self._player = Player(open_it, self.to_session(ShowSession.show), log.warning)
        self.resources.callback(self._player.close)  # now, or as soon as it is not read any more
        kind, topic = ((CompressedImage, 'image_raw/compressed') if c.transport == 'jpeg' else
                       (Image, 'image_raw'))
        self._images = self.add_publisher(kind, topic, qos.CAMERA)
        self._truths = self.add_publisher(Classification, 'ground_truth', qos.TELEMETRY)
        source = self._player.source
        log.info(f'showing {source.description}')
        if left_out := source.left_out:
            log.warning(f'{len(left_out)} file(s) left out: {_some(left_out)}')

    def activate(self) -> ShowSession:
        """Start to play."""
        assert self._player is not None
        return ShowSession(self, self._player, self._images, self._truths)

    def values(self) -> dict[str, Any]:
        """Return the source and how many frames it gave."""
        player, session = self._player if self.configured else None, self.latest
        return {'source': without_password(self.config.source) if self.configured else 'none',
                'shows': player.source.description if player else 'nothing, it is closed',
                'frames published': session.published if session else 0,
                'frames without a subscriber': session.unheard if session else 0,
                'pictures skipped': player.source.skipped if player else 0,
                'outages over': player.reopened if player else 0}


def _message(frame: CameraImage, header: Header, transport: str) -> Image | CompressedImage:
    if transport == 'raw':
        return image_message(frame.rgb, header)
    return CompressedImage(header=header, format='jpeg',
                           data=byte_array(encode_image(frame.rgb, 'jpeg')))


def _some(left_out: dict[str, str]) -> str:
    """Return the first of the files that are not shown, with the reasons."""
    first = [f'{name} ({why})' for name, why in list(left_out.items())[:NAMED]]
    return ', '.join(first) + (' ...' if len(left_out) > NAMED else '')


main = main_of(CameraNode)
