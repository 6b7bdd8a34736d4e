import pytest
from sensor_msgs.msg import CompressedImage, Image

from offload_perception.nodes import qos
from offload_perception.nodes.camera import CameraNode


def test_raw_images_have_size_stamp_and_frame(world, photos):
    heard = world.hear(Image, 'image_raw', qos.images('reliable'))
    world.start(CameraNode, source=photos, width=64, height=48, rate=50.0, frame_id='nose')
    first, second = heard.wait_for(2)[:2]
    assert (first.width, first.height, first.encoding, first.step) == (64, 48, 'rgb8', 192)
    assert len(first.data) == 64 * 48 * 3 and first.header.frame_id == 'nose'
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in (first, second)]
    assert stamps[0] < stamps[1]


def test_jpeg_is_published_where_drivers_publish_it(world, photos):
    heard = world.hear(CompressedImage, 'image_raw/compressed', qos.images('reliable'))
    world.start(CameraNode, source=photos, transport='jpeg', rate=50.0)
    message = heard.wait_for(1)[0]
    assert message.format == 'jpeg' and bytes(message.data[:2]) == b'\xff\xd8'


def test_what_nobody_hears_is_counted_apart(world, photos):
    node = world.start(CameraNode, source=photos, rate=200.0)
    thread = node._thread
    world.drive(node, 'deactivate')
    assert not thread.is_alive() and node.values()['frames published'] == 0


@pytest.mark.parametrize('source', ['/dev/video99', 'pan:/no/such', 'terrain:abc'])
def test_a_source_that_cannot_be_opened_is_named(world, source):
    node = world.make(CameraNode, source=source)
    world.drive(node, 'configure')
    assert source.split(':')[-1] in world.said('refused to configure')
