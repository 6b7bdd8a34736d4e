"""The dashboard among real topics."""

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node.world import ACTIVE, INACTIVE, UNCONFIGURED, World, image, until
from offload_perception.msg import (
    Classification,
    Detection,
    Detections,
    FrameEnergy,
    FrameLatency,
    MissionPolicy,
    OffloadDecision,
    PowerSample,
    ServerStatus,
)
from sensor_msgs.msg import CompressedImage, Image
from waits import WAIT_S

from offload_perception.imaging.compressed import decode_image, encode_image
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array

pytest.importorskip('aiohttp')


class Viewer:
    """Somebody who looks at the page; keeps the newest event of each kind."""

    def __init__(self, port: int, drone: str = '') -> None:
        self.newest: dict[str, dict[str, Any]] = {}
        self._answer = urllib.request.urlopen(
            f'http://127.0.0.1:{port}/events?drone={drone}', timeout=WAIT_S)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        kind = ''
        for line in self._answer:
            name, _, value = line.decode().strip().partition(': ')
            if name == 'event':
                kind = value
            elif name == 'data':
                self.newest[kind] = json.loads(value)

    def sees(self, predicate: Callable[..., Any]) -> dict[str, Any]:
        """Wait until the newest state is as wanted."""
        until(lambda: 'state' in self.newest and predicate(self.newest['state']))
        return self.newest['state']

    def leave(self) -> None:
        self._answer.fp.raw._sock.shutdown(2)
        self._thread.join(WAIT_S)
        self._answer.close()


@pytest.fixture
def dashboard(world: World) -> Callable[..., Any]:
    """Start a dashboard in this world."""
    from offload_perception.nodes.dashboard import DashboardNode

    def start(**parameters: Any) -> Any:
        return world.start(DashboardNode, **{
            'port': 0, 'server': f'{world.ns}/server', 'image_rate': 30.0, **parameters})
    return start


def frame(number: int) -> FrameLatency:
    m = FrameLatency(sequence=number, captured=number, remote=number, split=14, total=0.1,
                     split_name='block4_pool', codec='rans', runtime='openvino', device='cpu',
                     head=0.08, link=0.02, deadline=0.2, deadline_met=True, bytes=1200)
    m.header.stamp.sec = number
    return m


def result(number: int) -> Classification:
    m = Classification(sequence=number, kind='classification', labels=['forest'], ids=[3],
                       scores=[0.5], trained=True)
    m.header.stamp.sec = number
    return m


def test_every_topic_reaches_the_page(world: World, dashboard: Callable[..., Any]) -> None:
    node = dashboard()
    viewer = Viewer(node._server.port)
    for kind, topic, profile, messages in (
            (FrameLatency, 'frame_latency', qos.ENDS, [frame(1), frame(2)]),
            (PowerSample, 'power', qos.TELEMETRY,
             [PowerSample(power=5.5, emulated=True, integrated_energy=e) for e in (0.0, 2.5)]),
            (FrameEnergy, 'frame_energy', qos.TELEMETRY, [FrameEnergy(energy=1.0)]),
            (OffloadDecision, 'offload_decision', qos.LATCHED,
             [OffloadDecision(bandwidth=1e6, reason='least energy')]),
            (MissionPolicy, 'mission_policy', qos.LATCHED, [
                MissionPolicy(policy='ground', deadline_scale=1.0)]),
            (Classification, 'classification', qos.RESULTS, [result(2)]),
            (ServerStatus, 'server/status', qos.LATCHED, [ServerStatus(utilisation=0.5)]),
            (DiagnosticArray, '/diagnostics', 10, [DiagnosticArray(status=[DiagnosticStatus(
                level=DiagnosticStatus.WARN, name=f'{world.ns}/odd', message='warm')])])):
        publisher = world.speak(kind, topic, profile)
        for m in messages:
            publisher.publish(m)
    seen = viewer.sees(lambda s: (
        s['counts']['captured'] == 2 and s['power'] and s['power']['frame'] and s['result']
        and s['policy'] and s['link']['bandwidth'] == 1e6 and s['servers'][0]['age_s'] is not None
        and any(h['name'].endswith('/odd') for h in s['health'])))
    assert seen['drone'] == world.ns and seen['counts']['remote'] == 2
    assert seen['power']['power'] == 5.5 and seen['network']['reason'] == 'least energy'
    viewer.leave()
    until(lambda: not node._server.viewers)


@pytest.mark.parametrize('compressed', [False, True])
def test_images_are_taken_only_while_somebody_looks(world: World, dashboard: Callable[..., Any],
                                                    compressed: bool) -> None:
    node = dashboard(image_width=64)
    kind, topic = (CompressedImage, 'image_raw/compressed') if compressed else (
        Image, 'image_raw')
    publisher = world.node.create_publisher(kind, topic, qos.CAMERA)
    until(lambda: node.count_publishers(publisher.topic_name))
    world.do(node.session._follow_viewers, node)
    assert not publisher.get_subscription_count()
    viewer = Viewer(node._server.port)
    until(lambda: publisher.get_subscription_count() == 1)
    message = image(7)
    if compressed:
        jpeg = encode_image(decode_image(encode_image(_pixels(message))))
        message = CompressedImage(header=message.header, format='jpeg', data=byte_array(jpeg))
    broken = kind(header=message.header)
    publisher.publish(broken)
    until(lambda: [f for f in node.findings(0.0) if f.text.startswith('no picture')])
    until(lambda: publisher.publish(message) or 'picture' in viewer.newest)
    shown = decode_image(base64.b64decode(viewer.newest['picture']['jpeg']))
    assert shown.shape == (48, 64, 3) and viewer.newest['picture']['result'] is None
    viewer.leave()
    until(lambda: publisher.get_subscription_count() == 0)


def test_boxes_and_class_maps_are_taken_while_somebody_looks(
        world: World, dashboard: Callable[..., Any]) -> None:
    node = dashboard(image_width=64)
    images = world.node.create_publisher(Image, 'image_raw', qos.CAMERA)
    boxes = world.node.create_publisher(Detections, 'detections', qos.RESULTS)
    maps = world.node.create_publisher(Image, 'class_map', qos.RESULTS)
    results = world.speak(Classification, 'classification', qos.RESULTS)
    until(lambda: node.count_publishers(maps.topic_name))
    world.do(node.session._follow_viewers, node)
    assert not boxes.get_subscription_count() and not maps.get_subscription_count()
    viewer = Viewer(node._server.port)
    until(lambda: all(p.get_subscription_count() == 1 for p in (images, boxes, maps)))

    def shown(number: int, key: str) -> Any:
        images.publish(image(number))
        return (viewer.newest.get('picture', {}).get('result') or {}).get(key)
    results.publish(Classification(
        header=image(7).header, kind='detection', labels=['cat'], ids=[16], scores=[0.75]))
    found = Detections(header=image(7).header, image_width=64, image_height=48, detections=[
        Detection(id=16, label='cat', score=0.75, x_min=8.0, y_min=0.0, x_max=32.0, y_max=48.0)])
    boxes.publish(Detections(header=image(7).header))  # of an image without a size
    world.said('image_width is 0')
    boxes.publish(found)
    until(lambda: shown(7, 'boxes'))
    assert viewer.newest['picture']['result']['boxes'][0]['box'] == [0.125, 0.0, 0.5, 1.0]
    results.publish(Classification(
        header=image(8).header, kind='segmentation', labels=['cat'], ids=[8], scores=[1.0]))
    classes = Image(header=image(8).header, height=4, width=4, step=4, encoding='mono8',
                    data=byte_array(bytes([8] * 16)))
    until(lambda: maps.publish(classes) or shown(8, 'map'))
    viewer.leave()
    until(lambda: boxes.get_subscription_count() == maps.get_subscription_count() == 0)


def test_other_drones_and_servers_are_found_while_somebody_looks(
        world: World, dashboard: Callable[..., Any]) -> None:
    node = dashboard(image_width=64)
    other, far = f'{world.ns}/other', f'{world.ns}/far'
    create = world.node.create_publisher
    ends = create(FrameLatency, 'other/frame_latency', qos.ENDS)
    results = create(Classification, 'other/classification', qos.RESULTS)
    images = create(Image, 'other/image_raw', qos.CAMERA)
    status = create(ServerStatus, 'far/status', qos.LATCHED)
    until(lambda: node.count_publishers(images.topic_name))
    world.do(node.session._follow_viewers, node)
    assert not any(p.get_subscription_count() for p in (ends, results, images, status))
    viewer = Viewer(node._server.port)
    until(lambda: ends.get_subscription_count() and status.get_subscription_count())
    assert not results.get_subscription_count(), 'only what its line needs'
    ends.publish(frame(1))
    status.publish(ServerStatus(server=far, utilisation=0.5, batch=4, batches=[0, 3]))

    def row(state: dict[str, Any], part: str, name: str) -> Any:
        return next((r for r in state['fleet'][part] if r['name'] == name), None)
    seen = viewer.sees(lambda s: (
        (d := row(s, 'drones', other)) and d['frame_age_s'] is not None
        and (x := row(s, 'servers', far)) and x['age_s'] is not None))
    assert row(seen, 'drones', other)['where'] == 'block4_pool rans'
    assert row(seen, 'servers', far)['mean_batch'] == 2.0
    in_full = Viewer(node._server.port, other)
    until(lambda: results.get_subscription_count() and images.get_subscription_count())
    results.publish(result(1))
    images.publish(image(1))
    until(lambda: 'picture' in in_full.newest)
    assert in_full.sees(lambda s: s['result'])['drone'] == other
    for each in (viewer, in_full):
        each.leave()
    until(lambda: not any(p.get_subscription_count() for p in (ends, results, images)))


def _pixels(message: Image) -> np.ndarray:
    from offload_perception.imaging.encodings import to_rgb
    return to_rgb(message.data, height=message.height, width=message.width, step=message.step,
                  encoding=message.encoding)


def test_a_busy_port_is_refused_and_the_node_can_be_configured_again(
        world: World, dashboard: Callable[..., Any]) -> None:
    from offload_perception.nodes.dashboard import DashboardNode

    first = dashboard()
    second = world.make(DashboardNode, port=first._server.port)
    world.drive(second, 'configure')
    assert 'another program' in world.said('dashboard_port')
    assert world.state(second) == UNCONFIGURED
    world.drive(first, 'deactivate', 'cleanup')
    world.drive(second, 'configure', 'activate', 'deactivate')
    assert world.state(second) == INACTIVE
    world.drive(second, 'activate')
    assert world.state(second) == ACTIVE


def test_a_page_for_the_whole_network_says_that_it_has_no_login(
        world: World, dashboard: Callable[..., Any]) -> None:
    dashboard(host='0.0.0.0')
    assert 'NO LOGIN' in world.said('the live page has')


@pytest.mark.parametrize(('host', 'control', 'on'), [
    ('127.0.0.1', 'auto', True), ('127.0.0.1', 'off', False), ('0.0.0.0', 'auto', False),
    ('0.0.0.0', 'on', True)])
def test_only_who_may_can_change_the_drone(dashboard: Callable[..., Any], host: str, control: str,
                                           on: bool) -> None:
    node = dashboard(host=host, control=control)
    assert (node._server.control is not None) is on


def test_a_drone_is_changed_from_the_page(world: World, edge: Callable[..., Any],
                                          dashboard: Callable[..., Any]) -> None:
    drone, node = edge(split='-1'), dashboard()
    own = f'http://127.0.0.1:{node._server.port}'

    def post(value: str) -> tuple[int, Any]:
        body = json.dumps({'parameter': 'split', 'value': value}).encode()
        request = urllib.request.Request(f'{own}/control', body, {'Origin': own})
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())
    assert post('block3_pool') == (200, 'block3_pool')
    assert drone.config.split == 'block3_pool'
    status, refused = post('block9_pool')
    assert status == 409 and "no cut 'block9_pool'" in refused['error']
    with urllib.request.urlopen(f'{own}/control?drone={drone.get_namespace()}',
                                timeout=WAIT_S) as answer:
        assert json.loads(answer.read())['split'] == 'block3_pool'
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f'{own}/control?drone=/no%20such', timeout=WAIT_S)
    assert json.loads(caught.value.read())['error'] == 'no drone flies in /no such'
