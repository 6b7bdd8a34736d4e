"""The edge node finds the camera's topic and QoS, whatever the driver does."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from node.world import Heard, World, image, until
from offload_perception.msg import FrameLatency
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.live.picture import jpeg_of_raw
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array
from offload_perception.nodes.edge_inference import EdgeInferenceNode

RELIABLE = QoSProfile(depth=10)


@pytest.fixture
def ends(world: World) -> Heard:
    return world.hear(FrameLatency, 'frame_latency', qos.ENDS)


def jpeg(stamp: int) -> CompressedImage:
    raw = image(stamp)
    return CompressedImage(header=raw.header, format='rgb8; jpeg compressed bgr8',
                           data=byte_array(jpeg_of_raw(raw, 64)))


class Driver:
    """Advertises raw and compressed images, and publishes each only while it has a subscriber.

    That is what image_transport's publishers do.
    """

    def __init__(self, world: World, profile: Any = RELIABLE) -> None:
        self._raw = world.node.create_publisher(Image, 'image_raw', profile)
        self._compressed = world.node.create_publisher(CompressedImage, 'image_raw/compressed',
                                                       profile)

    def take(self, stamp: int) -> int:
        """Take a picture; return in how many ways it was published."""
        ways = [(p, make) for p, make in ((self._raw, image), (self._compressed, jpeg))
                if p.get_subscription_count()]
        for publisher, make in ways:
            publisher.publish(make(stamp))
        return len(ways)


def test_a_driver_of_the_image_transport_kind_gives_each_picture_once(
        world: World, edge: Callable[..., Any], ends: Heard) -> None:
    node = edge(split='-1', image_reliability='auto')
    driver = Driver(world)
    until(lambda: driver._raw.get_subscription_count() == 1)
    for stamp in range(1, 31):
        assert driver.take(stamp) == 1
        ends.wait_for(stamp)
    looked = Event()
    world.do(lambda: (node._feed.resubscribe(), looked.set()), node)
    assert looked.is_set() and [m.header.stamp.sec for m in ends] == list(range(1, 31))
    assert not driver._compressed.get_subscription_count()
    changes = [m.msg for m in world.log if 'listening to' in m.msg]
    assert len(changes) <= 2, changes  # the first guess, and what the driver publishes


def test_compressed_images_are_taken_where_no_raw_ones_are_published(
        world: World, edge: Callable[..., Any], ends: Heard) -> None:
    node = edge(split='-1', image_reliability='auto')
    publisher = world.node.create_publisher(CompressedImage, 'image_raw/compressed', RELIABLE)
    until(publisher.get_subscription_count)
    publisher.publish(jpeg(1))
    assert ends.wait_for(1)[0].outcome == FrameLatency.LOCAL
    assert node._feed.topic.endswith('/compressed')
    raw = world.node.create_publisher(Image, 'image_raw', RELIABLE)
    until(raw.get_subscription_count)
    raw.publish(image(2))
    ends.wait_for(2)
    until(lambda: not publisher.get_subscription_count())


def test_the_qos_follows_the_publishers(world: World, edge: Callable[..., Any],
                                        ends: Heard) -> None:
    node = edge(split='-1', image_reliability='auto')
    reliable = world.node.create_publisher(Image, 'image_raw', RELIABLE)
    until(lambda: 'reliable' in node._feed.describe() and reliable.get_subscription_count())
    lossy = world.node.create_publisher(Image, 'image_raw', qos_profile_sensor_data)
    until(lambda: 'best effort' in node._feed.describe() and lossy.get_subscription_count())
    lossy.publish(image(1))
    ends.wait_for(1)
    world.node.destroy_publisher(lossy)
    until(lambda: 'reliable' in node._feed.describe() and reliable.get_subscription_count())
    reliable.publish(image(2))
    ends.wait_for(2)


def test_what_the_user_chose_holds(world: World, edge: Callable[..., Any]) -> None:
    node = edge(split='-1', transport='raw', image_reliability='best_effort')
    publisher = world.node.create_publisher(CompressedImage, 'image_raw/compressed', RELIABLE)
    until(lambda: world.node.count_publishers(f'{world.ns}/image_raw/compressed'))
    world.do(node._feed.resubscribe, node)
    assert not publisher.get_subscription_count()
    assert node._feed.describe() == f'{world.ns}/image_raw, best effort'


def delivery(world: World, node: EdgeInferenceNode) -> list[str]:
    return [f.text for f in world.do(lambda: list(node.session.images.findings(0.0)), node)
            if f.name == 'delivery']


def test_only_what_one_camera_published_and_nobody_got_is_lost(
        world: World, edge: Callable[..., Any], ends: Heard) -> None:
    node = edge(split='-1', image_reliability='auto')

    def camera() -> Any:
        publisher = world.node.create_publisher(Image, 'image_raw', RELIABLE)
        until(publisher.get_subscription_count)
        return publisher

    def stamped(stamp: int) -> Callable[[Any], bool]:
        return lambda m: m.header.stamp.sec == stamp

    def show(publisher: Any, *stamps: int) -> None:
        for stamp in stamps:
            publisher.publish(image(stamp))
            ends.wait_for(stamped(stamp))

    first = camera()
    show(first, *range(1, 7), *range(100, 106))  # it paused
    assert not delivery(world, node)
    world.node.destroy_publisher(first)
    again = camera()
    show(again, *range(200, 230))  # another process, after a while
    assert not delivery(world, node)

    show(again, 300)

    def burst() -> None:  # the subscription holds five of them
        for stamp in range(301, 351):
            again.publish(image(stamp))

    world.hold_lane(node, burst)
    ends.wait_for(lambda m: m.header.stamp.sec == 350)
    show(again, 400)
    assert '45 of ' in delivery(world, node)[0]
