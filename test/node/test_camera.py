import threading
import time
from pathlib import Path

import numpy as np
import pytest
from node.world import World
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.camera import Source
from offload_perception.imaging.compressed import encode_image
from offload_perception.nodes import own_camera, qos
from offload_perception.nodes.camera import CameraNode


def test_raw_images_have_size_stamp_and_frame(world: World, photos: str) -> None:
    heard = world.hear(Image, 'image_raw', qos.images('reliable'))
    world.start(CameraNode, source=photos, width=64, height=48, rate=50.0, frame_id='nose')
    first, second = heard.wait_for(2)[:2]
    assert (first.width, first.height, first.encoding, first.step) == (64, 48, 'rgb8', 192)
    assert len(first.data) == 64 * 48 * 3 and first.header.frame_id == 'nose'
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in (first, second)]
    assert stamps[0] < stamps[1]


def test_jpeg_is_published_where_drivers_publish_it(world: World, photos: str) -> None:
    heard = world.hear(CompressedImage, 'image_raw/compressed', qos.images('reliable'))
    world.start(CameraNode, source=photos, transport='jpeg', rate=50.0)
    message = heard.wait_for(1)[0]
    assert message.format == 'jpeg' and bytes(message.data[:2]) == b'\xff\xd8'


def test_images_without_a_subscriber_are_counted_apart(world: World, photos: str) -> None:
    node = world.start(CameraNode, source=photos, rate=200.0)
    world.drive(node, 'deactivate')
    assert not node._camera._player.busy and node.values()['frames published'] == 0


@pytest.mark.parametrize('source', ['/dev/video99', 'pan:/no/such', 'terrain:abc'])
def test_a_source_that_cannot_be_opened_is_named(world: World, source: str) -> None:
    node = world.make(CameraNode, source=source)
    world.drive(node, 'configure')
    assert source.split(':')[-1] in world.said('refused to configure')


def test_what_a_folder_leaves_out_is_named_and_an_end_is_reported(
        world: World, tmp_path: Path) -> None:
    for name in ('a.jpg', 'b.jpg'):
        (tmp_path / name).write_bytes(encode_image(np.zeros((48, 64, 3), np.uint8)).tobytes())
    (tmp_path / 'c.heic').write_bytes(bytes((0, 0, 0, 24)) + b'ftypheic' + bytes(12))
    heard = world.hear(Image, 'image_raw', qos.images('reliable'))
    node = world.start(CameraNode, source=str(tmp_path), rate=50.0, loop=False)
    heard.wait_for(1)
    assert 'c.heic (HEIC' in world.said('left out')
    node._camera._player._worker._thread.join(30)
    said = {f.name: f.text for f in node.findings(time.monotonic())}
    assert 'c.heic (HEIC' in said['pictures'] and said['source'] == 'all pictures were shown'


def test_a_camera_that_hangs_is_not_opened_a_second_time(world: World,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(own_camera, 'open_source', lambda *_, **__: Hanging(let_go))
    monkeypatch.setattr(own_camera, 'STOP_TIMEOUT_S', 0.01)
    node = world.start(CameraNode, source='terrain')
    hanging = node._camera._player.source
    assert hanging.read.wait(30)
    for transition in ('deactivate', 'cleanup', 'configure'):
        world.drive(node, transition)
    assert 'still waits for a frame' in world.said('refused to configure')
    assert not hanging.closed.is_set()
    let_go.set()
    assert hanging.closed.wait(30) and not hanging.closed_under_a_read
    node._camera._player._worker._thread.join(30)
    world.drive(node, 'configure')
    assert node._camera._player.source is not hanging


class Hanging(Source):
    """A camera whose read does not come back until it is let go."""

    live = True

    def __init__(self, let_go: threading.Event) -> None:
        super().__init__()
        self._let_go, self.read, self.closed = let_go, threading.Event(), threading.Event()
        self._inside = self.closed_under_a_read = False

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        self._inside = True
        self.read.set()
        self._let_go.wait(60)
        self._inside = False
        return np.zeros((48, 64, 3), np.uint8), None

    def close(self) -> None:
        self.closed_under_a_read = self._inside
        self.closed.set()
