"""The flight node between a simulated autopilot and the drone's own topics."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from node import stand_in_packages
from node.simulated_autopilot import STACKS, SimulatedPx4
from node.world import ACTIVE, UNCONFIGURED, Heard, World, image, until
from offload_perception.msg import (
    Classification,
    Detection,
    Detections,
    FrameLatency,
    GeotaggedClassification,
    MissionPolicy,
)
from sensor_msgs.msg import Image

from offload_perception.nodes import mission, qos
from offload_perception.nodes.flight import FlightNode


@pytest.fixture(scope='module', autouse=True)
def flight_messages() -> None:
    """Put stand-ins for mavros_msgs, px4_msgs and vision_msgs if they are not installed."""
    print(f'stand-ins: {stand_in_packages.provide()}')


class Sky:
    """A flight node that listens to a simulated autopilot, and what it says."""

    def __init__(self, world: World, stack: str, **parameters: Any) -> None:
        self.world, self.prefix = world, f'{world.ns}/{stack}'
        self.policies: Heard = world.hear(MissionPolicy, 'mission_policy', qos.LATCHED)
        self.tagged: Heard = world.hear(GeotaggedClassification, 'geotagged', qos.RESULTS)
        self.node = world.start(FlightNode, **{
            'stack': stack, 'prefix': self.prefix, 'hold': 0.0, 'pose_wait': 10.0, **parameters})
        self.autopilot = STACKS[stack](world.node, self.prefix)
        self.results = world.speak(Classification, 'classification', qos.RESULTS)
        until(lambda: all(p.get_subscription_count() for p in self.autopilot.publishers))
        until(lambda: world.node.count_publishers(f'{world.ns}/geotagged'))

    def step(self) -> None:
        self.world.do(self.autopilot.step)

    def complaints(self) -> list[str]:
        return [f.text for f in self.node.findings(time.monotonic())]

    def policy(self, name: str) -> MissionPolicy:
        """Fly until a policy is said."""
        seen = len(self.policies)
        until(lambda: self.step() or any(p.policy == name for p in self.policies[seen:]))
        return next(p for p in self.policies[seen:] if p.policy == name)

    def result(self, stamp_s: float, **fields: Any) -> Classification:
        """Say a result of an image that was taken at `stamp_s`."""
        m = Classification(labels=['river', 'field'], ids=[3, 1], scores=[0.75, 0.2], **fields)
        m.header.frame_id = 'camera_optical_frame'
        m.header.stamp.sec, m.header.stamp.nanosec = int(stamp_s), int(stamp_s % 1 * 1e9)
        self.results.publish(m)
        return m

    def poses(self, *stamps_s: float) -> None:
        """Have the autopilot say where it was at some moments."""
        truth, say = self.autopilot.truth, self.autopilot.say_pose
        for t in stamps_s:
            self.world.do(partial(say, t, *truth.position(t), truth.heading(t)))


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def sky(world: World, stack: str) -> Callable[..., Any]:
    return lambda **parameters: Sky(world, stack, **parameters)


def nose(m: GeotaggedClassification) -> np.ndarray:
    """Return where the body's x axis points: east, north, up."""
    q = m.attitude
    return np.array([1 - 2 * (q.y ** 2 + q.z ** 2), 2 * (q.x * q.y + q.w * q.z),
                     2 * (q.x * q.z - q.w * q.y)])


def test_a_result_is_tagged_with_the_pose_at_its_image(sky: Callable[..., Any]) -> None:
    flight = sky()
    taken_s = flight.autopilot.now()
    sent = flight.result(taken_s, sequence=7)
    flight.poses(taken_s - 0.3, taken_s - 0.1, taken_s + 0.1)
    m, = flight.tagged.wait_for(1)
    assert m.header == sent.header and m.classification == sent and m.reason == ''
    assert m.position_valid and m.attitude_valid
    truth = flight.autopilot.truth
    assert (m.latitude, m.longitude, m.altitude) == pytest.approx(
        truth.position(taken_s), abs=1e-3)
    assert m.latitude == pytest.approx(truth.position(taken_s)[0], abs=1e-8)
    heading = np.radians(truth.heading(taken_s))
    assert nose(m) == pytest.approx([np.sin(heading), np.cos(heading), 0.0], abs=1e-4)
    for age, gap in ((m.position_age, m.position_gap), (m.attitude_age, m.attitude_gap)):
        assert (age, gap) == (pytest.approx(0.1, abs=1e-5), pytest.approx(0.2, abs=1e-5))


def test_a_result_without_a_pose_says_why(sky: Callable[..., Any]) -> None:
    flight = sky(pose_wait=0.05)
    flight.result(flight.autopilot.now())
    m, = flight.tagged.wait_for(1)
    assert not m.position_valid and not m.attitude_valid and np.isnan(m.latitude)
    assert m.reason == 'no position: none received; no attitude: none received'
    assert np.isnan([m.attitude.w, m.position_gap]).all()


def test_the_mission_decides_how_much_perception_may_cost(sky: Callable[..., Any]) -> None:
    flight = sky(economy_period=0.25, return_deadline_scale=3.0)
    pilot = flight.autopilot
    assert flight.policy('full').min_period == 0.0
    pilot.fraction = 0.2
    low = flight.policy('economy')
    assert (low.min_period, low.reason) == (0.25, 'battery at 20%')
    pilot.returning = True
    assert flight.policy('return').deadline_scale == 3.0
    pilot.landed = True
    assert flight.policy('ground').reason == 'landed'
    pilot.armed, pilot.landed = False, False
    assert until(lambda: flight.step() or 'disarmed' in flight.policies[-1].reason) is None
    pilot.armed, pilot.returning, pilot.fraction = True, False, None
    assert flight.policy('full').reason == 'in flight, battery not known'
    battery = flight.node.values()['battery']
    assert battery.current_a == 12.25 and battery.voltage_v == 15.5 and battery.fraction is None


def test_an_autopilot_that_falls_silent_holds_nothing_back(sky: Callable[..., Any]) -> None:
    flight = sky(timeout=0.5)
    flight.autopilot.armed = False
    flight.policy('ground')
    full = flight.policies.wait_for(lambda m: m.policy == 'full' and 'not known' in m.reason)
    assert (full.min_period, full.deadline_scale) == (0.0, 1.0)
    until(lambda: any('no recent message' in text for text in flight.complaints()))


def test_a_node_that_is_deactivated_lifts_its_policy(sky: Callable[..., Any]) -> None:
    flight = sky()
    flight.autopilot.armed = False
    flight.policy('ground')
    flight.world.drive(flight.node, 'deactivate')
    assert flight.policies.wait_for(lambda m: 'deactivated' in m.reason).policy == 'full'


def test_nothing_is_ever_sent_to_the_flight_stack(sky: Callable[..., Any],
                                                  edge: Callable[..., Any]) -> None:
    flight = sky()
    flight.policy('full')
    node, drone = flight.node, edge(split='-1')
    for one in (node, drone):
        topics = {p.topic_name for p in one.publishers}
        assert not {t for t in topics if t.startswith((flight.prefix, '/mavros', '/fmu'))}
        assert not list(one.clients), 'no service of the flight stack is called'


def test_clocks_that_differ_are_named(world: World) -> None:
    flight = Sky(world, 'px4', pose_wait=0.05)
    assert isinstance(flight.autopilot, SimulatedPx4)
    flight.autopilot.clock_offset_s = 50.0 - flight.autopilot.now()  # since the autopilot's boot
    flight.step()
    until(lambda: sum('UXRCE_DDS_SYNCT' in text for text in flight.complaints()) == 2)
    flight.result(flight.autopilot.now())
    assert 'older than the image' in flight.tagged.wait_for(1)[0].reason


def test_a_position_that_is_not_valid_is_named(world: World) -> None:
    flight = Sky(world, 'px4')
    t_s, nan = flight.autopilot.now(), float('nan')
    world.do(lambda: flight.autopilot.say_pose(t_s, nan, nan, nan, 0.0))
    until(lambda: any('is not valid' in text and 'vehicle_global_position' in text
                      for text in flight.complaints()))
    until(lambda: not any('vehicle_attitude' in text for text in flight.complaints()))


@pytest.mark.parametrize(('parameters', 'remedy'), [
    ({'stack': 'mavros'}, 'ros-$ROS_DISTRO-mavros-msgs'),
    ({'stack': 'px4'}, 'https://github.com/PX4/px4_msgs'),
    ({'vision': 'on'}, 'ros-$ROS_DISTRO-vision-msgs')])
def test_messages_that_are_not_installed_are_refused_with_the_remedy(
        world: World, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any],
        remedy: str) -> None:
    for name in stand_in_packages.PACKAGES:
        monkeypatch.setitem(sys.modules, f'{name}.msg', None)
    node = world.make(FlightNode, **parameters)
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    assert remedy in world.said('refused to configure')


def test_topics_can_be_named(world: World) -> None:
    node = world.start(FlightNode, stack='px4', state_topic=f'{world.ns}/mine_v9')
    topics = {s.topic_name for s in node.subscriptions}
    assert f'{world.ns}/mine_v9' in topics
    assert any(t.startswith('/fmu/out/battery_status') for t in topics)


def test_results_are_republished_for_vision_msgs(world: World) -> None:
    import vision_msgs.msg as vision
    heard = world.hear(vision.Classification, 'vision_classification', qos.RESULTS)
    world.start(FlightNode)
    results = world.speak(Classification, 'classification', qos.RESULTS)
    until(lambda: world.node.count_publishers(f'{world.ns}/vision_classification'))
    result = Classification(labels=['river', 'field'], ids=[3, 1], scores=[0.75, 0.125],
                            model_digest='d1')
    result.header.stamp.sec = 5
    results.publish(result)
    m, = heard.wait_for(1)
    assert m.header == result.header
    assert [(r.class_id, r.score) for r in m.results] == [('river', 0.75), ('field', 0.125)]
    infos = world.hear(vision.VisionInfo, 'vision_info', qos.LATCHED)  # later, and still told
    assert 'd1' in infos.wait_for(1)[0].method
    assert world.node.count_publishers(f'{world.ns}/mission_policy') == 0


def test_boxes_are_republished_for_vision_msgs_and_are_no_classification(world: World) -> None:
    import vision_msgs.msg as vision
    heard = world.hear(vision.Detection2DArray, 'vision_detections', qos.RESULTS)
    classes = world.hear(vision.Classification, 'vision_classification', qos.RESULTS)
    infos = world.hear(vision.VisionInfo, 'vision_info', qos.LATCHED)
    world.start(FlightNode)
    results = world.speak(Classification, 'classification', qos.RESULTS)
    boxes = world.speak(Detections, 'detections', qos.RESULTS)
    until(lambda: world.node.count_publishers(f'{world.ns}/vision_detections'))
    cat = Detection(id=16, label='cat', score=0.75, x_min=10.0, y_min=20.0, x_max=50.0,
                    y_max=100.0)
    found = Detections(image_width=640, image_height=480, detections=[cat])
    found.header.stamp.sec, found.header.frame_id = 5, 'camera'
    results.publish(Classification(header=found.header, kind='detection', labels=['cat'],
                                   ids=[16], scores=[0.75], model_digest='d1'))
    boxes.publish(found)
    m, = heard.wait_for(1)
    d, = m.detections
    assert m.header == d.header == found.header
    assert [(r.hypothesis.class_id, r.hypothesis.score) for r in d.results] == [('cat', 0.75)]
    assert (d.bbox.center.position.x, d.bbox.center.position.y) == (30.0, 60.0)
    assert (d.bbox.size_x, d.bbox.size_y, d.bbox.center.theta) == (40.0, 80.0, 0.0)
    assert 'd1' in infos.wait_for(1)[0].method
    results.publish(Classification(labels=['river'], ids=[3], scores=[0.75]))
    assert [r.class_id for r in classes.wait_for(1)[0].results] == ['river']


def test_without_vision_msgs_there_is_no_topic_and_no_error(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'vision_msgs.msg', None)
    node = world.start(FlightNode)
    topics = [*(p.topic_name for p in node.publishers),
              *(s.topic_name for s in node.subscriptions)]
    names = {topic.rpartition('/')[2] for topic in topics}
    assert 'classification' in names
    assert not names & {'vision_classification', 'vision_detections', 'vision_info', 'detections'}


# -- the drone's own node -------------------------------------------------------------------------

def test_the_drone_obeys_a_policy_until_it_is_old(world: World, edge: Callable[..., Any],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mission, 'VALID_S', 0.3)
    drone = edge(split='-1', deadline=0.5)
    frames = world.hear(FrameLatency, 'frame_latency', qos.ENDS)
    images = world.speak(Image, 'image_raw', qos.CAMERA)
    until(lambda: world.node.count_publishers(f'{world.ns}/frame_latency'))
    images.publish(image(1))
    frames.wait_for(1)
    policies = world.speak(MissionPolicy, 'mission_policy', qos.LATCHED)
    policies.publish(MissionPolicy(policy='return', min_period=60.0, deadline_scale=4.0))
    until(lambda: drone.values()['mission policy'].startswith('return'))
    images.publish(image(2))
    first, paced = frames.wait_for(2)
    assert (first.reason, first.deadline) == ('', 0.5)
    assert (paced.reason, paced.deadline, paced.dropped) == ('paced', 0.0, 1)
    world.said('no mission policy for')
    images.publish(image(3))
    assert frames.wait_for(3)[2].reason == ''
    policies.publish(MissionPolicy(policy='economy', min_period=0.0, deadline_scale=2.0))
    until(lambda: drone.values()['mission policy'].startswith('economy'))
    images.publish(image(4))
    assert frames.wait_for(4)[3].deadline == 1.0
    assert world.state(drone) == ACTIVE


@pytest.mark.parametrize('bad', [
    {'min_period': -1.0, 'deadline_scale': 1.0}, {'min_period': 0.0, 'deadline_scale': 0.5},
    {'min_period': float('nan'), 'deadline_scale': 1.0},
    {'min_period': 0.0, 'deadline_scale': float('inf')}])
def test_a_policy_that_makes_no_sense_is_ignored(world: World, edge: Callable[..., Any],
                                                 bad: dict[str, float]) -> None:
    drone = edge(split='-1')
    policies = world.speak(MissionPolicy, 'mission_policy', qos.LATCHED)
    policies.publish(MissionPolicy(**bad))
    world.said('mission_policy ignored')
    assert drone.values()['mission policy'] == 'none'
