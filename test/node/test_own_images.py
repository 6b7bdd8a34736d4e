"""The edge node plays a source of its own: frames without a topic, and a preview on request."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import numpy as np
import pytest
from node.world import ACTIVE, INACTIVE, UNCONFIGURED, Heard, World, image, until
from offload_perception.msg import Classification, FeatureTensor, FrameLatency
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from offload_perception.camera import CameraImage, Source
from offload_perception.camera import player as playing
from offload_perception.errors import SourceError
from offload_perception.imaging.compressed import compressed_to_rgb
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import own_camera, own_images, qos
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.nodes.own_images import shrunk


class ByHand(Source):
    """A camera that has a frame whenever the test says so."""

    live, endless = True, False

    def __init__(self) -> None:
        super().__init__()
        self.classes = ('house', 'road')
        self.ready, self.closed, self.fault = Event(), Event(), ''

    def show(self) -> None:
        """Have the camera give a frame, or fail."""
        self.ready.set()

    def _picture(self, index: int) -> tuple[np.ndarray, int]:
        while not self.endless and not self.ready.wait(0.05):
            if self.closed.is_set():
                raise SourceError('closed')
        self.ready.clear()
        if self.fault:
            raise SourceError(self.fault)
        return np.full((48, 64, 3), index, np.uint8), 1

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[ByHand]:
    """Replace every source by one that the test has in hand; return those that were opened."""
    opened: list[ByHand] = []

    def open_(*_: object, **__: object) -> ByHand:
        opened.append(ByHand())
        return opened[-1]
    monkeypatch.setattr(own_camera, 'open_source', open_)
    monkeypatch.setattr(own_camera, 'STOP_TIMEOUT_S', 0.3)
    return opened


@pytest.fixture
def ends(world: World) -> Heard:
    return world.hear(FrameLatency, 'frame_latency', qos.ENDS)


def stamp(message: Any) -> tuple[int, int, str]:
    header = message.header
    return header.stamp.sec, header.stamp.nanosec, header.frame_id


def findings(world: World, node: EdgeInferenceNode) -> dict[str, str]:
    return {f.name: f.text
            for f in world.do(lambda: list(node.session.findings(time.monotonic())), node)}


def test_result_truth_and_preview_have_the_header_of_their_frame(
        world: World, edge: Callable[..., Any], server: Callable[..., Any], ends: Heard,
        sources: list[ByHand]) -> None:
    server()
    images = world.hear(Image, 'image_raw', qos.images('reliable'))
    results = world.hear(Classification, 'classification', qos.RESULTS)
    truths = world.hear(Classification, 'ground_truth', qos.TELEMETRY)
    node = edge(source='terrain', frame_id='nose', split='block4_pool', deadline=30.0)
    until(lambda: node._parts.servers.listening(node._parts.servers.names[0]))
    for n in range(1, 4):
        sources[0].show()
        for heard in (images, results, truths, ends):
            heard.wait_for(n)
    assert len({stamp(m) for m in ends}) == 3 and stamp(ends[0])[2] == 'nose'
    for heard in (images, results, truths):
        assert [stamp(m) for m in heard] == [stamp(m) for m in ends]
    assert [m.sequence for m in ends] == [1, 2, 3]
    last = ends[-1]
    assert (last.captured, last.remote, last.local, last.dropped) == (3, 3, 0, 0)
    assert [m.data[0] for m in images] == [0, 1, 2] and images[0].encoding == 'rgb8'
    assert [t.labels for t in truths] == [['road']] * 3
    assert node.values()['images from'] == 'its own source'
    assert node.values()['preview on'] == f'{world.ns}/image_raw'


def test_frames_of_pictures_that_come_too_fast_are_accounted(
        world: World, edge: Callable[..., Any], photos: str, ends: Heard) -> None:
    node = edge(source=photos, rate=200.0, split='-1')
    ends.wait_for(30)
    world.drive(node, 'deactivate')
    counts = node.latest.pipeline.counts
    assert counts.captured == counts.local + counts.dropped and not counts.under_way
    assert set(counts.reasons) <= {'superseded', 'shutdown'}
    assert len({stamp(m) for m in ends}) == len(ends)


def test_nothing_is_published_until_there_is_a_subscriber(
        world: World, edge: Callable[..., Any], photos: str, ends: Heard) -> None:
    node = edge(source=photos, rate=50.0, split='-1')
    ends.wait_for(5)
    assert node.values()['previews published'] == 0
    assert not world.node.count_subscribers(f'{world.ns}/image_raw')  # its own feed, for one
    heard = world.hear(Image, 'image_raw', qos.images('reliable'))
    first = heard.wait_for(1)[0]
    ends.wait_for(lambda m: stamp(m) == stamp(first))


def test_the_preview_is_limited_in_rate_and_size(world: World, edge: Callable[..., Any],
                                                 photos: str, ends: Heard) -> None:
    heard = world.hear(CompressedImage, 'image_raw/compressed', qos.images('reliable'))
    edge(source=photos, rate=50.0, split='-1', preview='jpeg', preview_rate=5.0,
         preview_width=32, width=64, height=48)
    heard.wait_for(6)
    at_s = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in heard[:6]]
    assert at_s[5] - at_s[0] >= 0.9 - 0.02  # five periods of 0.2 s, the first a half
    assert compressed_to_rgb(heard[0].data, heard[0].format).shape == (24, 32, 3)


def test_a_preview_that_hangs_delays_no_frame(
        world: World, edge: Callable[..., Any], ends: Heard, sources: list[ByHand],
        monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, tried = Event(), Event()
    real = own_images.image_of

    def hang(*arguments: Any) -> Any:
        tried.set()
        assert goes_on.wait(60)
        return real(*arguments)
    monkeypatch.setattr(own_images, 'image_of', hang)
    images = world.hear(Image, 'image_raw', qos.images('reliable'))
    node = edge(source='terrain', split='-1')
    try:
        for n in range(1, 6):
            sources[0].show()
            ends.wait_for(n)
            assert tried.wait(60)
        assert ends[-1].local == 5
    finally:
        goes_on.set()
    images.wait_for(2)
    assert [m.data[0] for m in images] == [0, 4]  # the newest wins
    assert node.values()['previews skipped'] == 3


def test_a_source_that_failed_is_opened_again(world: World, edge: Callable[..., Any], ends: Heard,
                                              sources: list[ByHand],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playing, 'BACK_OFF_S', (0.01,))
    node = edge(source='terrain', split='-1')
    sources[0].fault = '/dev/video7 gives no frames: is it plugged in?'
    sources[0].show()
    until(lambda: len(sources) == 2)
    assert findings(world, node)['source'] == sources[0].fault and sources[0].closed.is_set()
    sources[1].show()
    ends.wait_for(1)
    assert 'source' not in findings(world, node) and node.values()['outages over'] == 1


def test_the_end_of_the_pictures_is_reported(world: World, edge: Callable[..., Any], photos: str,
                                             ends: Heard) -> None:
    node = edge(source=photos, rate=50.0, loop=False, split='-1')
    until(lambda: node._camera._player.ended)
    assert findings(world, node)['source'] == 'all pictures were shown'
    assert ends.wait_for(3)[-1].captured == 3


@pytest.mark.parametrize('source', ['/dev/video99', 'pan:/no/such', 'terrain:abc'])
def test_a_source_that_cannot_be_is_refused_before_the_model_is_loaded(
        world: World, artefact: Artefact, source: str) -> None:
    node = world.make(EdgeInferenceNode, source=source, model=str(artefact.path))
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    said = world.said('refused to configure: parameter source: ')
    assert source.split(':')[-1] in said
    assert not any('digest' in m.msg for m in world.log)


def test_the_device_is_free_after_a_clean_up_and_can_be_played_again(
        world: World, edge: Callable[..., Any], ends: Heard, sources: list[ByHand],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ByHand, 'endless', True)
    monkeypatch.setattr(ByHand, 'rate_hz', 50.0)
    node = edge(source='terrain', split='-1')
    for _ in range(2):
        ends.wait_for(len(ends) + 1)
        world.drive(node, 'deactivate')
        assert world.state(node) == INACTIVE and not node._camera._player.busy
        assert not sources[-1].closed.is_set()
        world.drive(node, 'activate')
        assert world.state(node) == ACTIVE
    world.drive(node, 'deactivate', 'cleanup')
    assert sources[0].closed.is_set() and len(sources) == 1
    world.drive(node, 'configure', 'activate')
    assert world.state(node) == ACTIVE and len(sources) == 2


def test_a_source_that_hangs_is_not_opened_a_second_time(
        world: World, edge: Callable[..., Any], sources: list[ByHand],
        monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = Event()
    monkeypatch.setattr(ByHand, '_picture', lambda self, index: (
        let_go.wait(60), (np.zeros((48, 64, 3), np.uint8), 1))[1])
    node = edge(source='terrain', split='-1')
    until(lambda: node._camera._player.busy)
    world.drive(node, 'deactivate', 'cleanup', 'configure')
    assert world.state(node) == UNCONFIGURED and not sources[0].closed.is_set()
    world.said('still waits for a frame')
    let_go.set()
    assert sources[0].closed.wait(30)


def test_another_camera_on_the_topic_is_named(world: World, edge: Callable[..., Any],
                                              photos: str, ends: Heard) -> None:
    node = edge(source=photos, split='-1')
    ends.wait_for(1)
    assert 'images' not in findings(world, node)
    other = world.node.create_publisher(Image, 'image_raw', qos.CAMERA)
    until(lambda: 'images' in findings(world, node))
    said = findings(world, node)['images']
    assert said.startswith(f'{world.ns}/test publishes on {world.ns}/image_raw, but this node')
    assert 'camera:=false' in said
    other.publish(image(7777))
    ends.wait_for(len(ends) + 3)
    assert not any(m.header.stamp.sec == 7777 for m in ends)


def test_what_is_under_way_is_awaited_at_the_end_and_no_frame_follows(
        world: World, edge: Callable[..., Any], ends: Heard, sources: list[ByHand]) -> None:
    sent = world.hear(FeatureTensor, f'{world.ns}/server/features', qos.features(4))
    node = edge(source='terrain', split='block4_pool', reply_timeout=1.0)
    until(lambda: node._parts.servers.listening(node._parts.servers.names[0]))
    sources[0].show()
    sent.wait_for(1)
    assert node.awaits_others()
    sources[0].show()
    until(lambda: not node._camera._player.busy)
    ends.wait_for(1)  # no reply
    assert not node.awaits_others() and ends[-1].captured == 1


def test_a_preview_keeps_the_aspect_and_enlarges_nothing() -> None:
    rgb = np.zeros((480, 640, 3), np.uint8)
    assert shrunk(rgb, 320).shape == (240, 320, 3)
    assert shrunk(rgb, 0) is rgb and shrunk(rgb, 640) is rgb and shrunk(rgb, 2000) is rgb
    assert shrunk(np.zeros((16, 8192, 3), np.uint8), 16).shape == (1, 16, 3)


def test_a_frame_goes_to_the_pipeline_without_a_copy(
        world: World, edge: Callable[..., Any], photos: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    node = edge(source=photos, split='-1', rate=1.0)
    offered: list[Any] = []
    monkeypatch.setattr(node.session.images, '_offer', lambda header, rgb: offered.append(rgb))
    frame = CameraImage(np.zeros((48, 64, 3), np.uint8), None, 0)
    node.session.on_frame(Header(), frame)
    assert any(rgb is frame.rgb for rgb in offered)
