"""The recorder and the player among real topics."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import TransitionEvent
from node.world import ACTIVE, INACTIVE, UNCONFIGURED, WAIT_S, Heard, World, image, until
from offload_perception.msg import (
    Classification,
    Detections,
    FeatureTensor,
    FrameEnergy,
    FrameLatency,
    GeotaggedClassification,
    MissionPolicy,
    OffloadDecision,
    OutputTensors,
    PowerSample,
    ServerStatus,
)
from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import BatteryState, Image
from unit.report.flights import FlightBag, frame, message

from offload_perception import recording
from offload_perception.errors import BagError
from offload_perception.nodes import qos
from offload_perception.nodes.message_types import name_of
from offload_perception.nodes.recorder import RecorderNode
from offload_perception.recording.bag_reader import BagReader
from offload_perception.stopping import StopSignal

pytest.importorskip('mcap_ros2')

EACH = [(FrameLatency, 'frame_latency', qos.ENDS), (PowerSample, 'power', qos.TELEMETRY),
        (FrameEnergy, 'frame_energy', qos.TELEMETRY),
        (Classification, 'classification', qos.RESULTS),
        (Detections, 'detections', qos.RESULTS), (Image, 'class_map', qos.RESULTS),
        (OutputTensors, 'outputs', qos.RESULTS),
        (GeotaggedClassification, 'geotagged', qos.RESULTS),
        (MissionPolicy, 'mission_policy', qos.LATCHED),
        (OffloadDecision, 'offload_decision', qos.LATCHED),
        (ServerStatus, 'server/status', qos.LATCHED),
        (FeatureTensor, 'server/features', qos.features(2)), (Image, 'image_raw', qos.CAMERA)]


def recorder_class() -> type[RecorderNode]:
    from offload_perception.nodes.recorder import RecorderNode
    return RecorderNode


@pytest.fixture
def record(world: World, tmp_path: Path) -> Callable[..., Any]:
    """Start a recorder in this world."""
    def start(**parameters: Any) -> Any:
        return world.start(recorder_class(), **{
            'bag': str(tmp_path / 'bag'), 'server': f'{world.ns}/server', 'min_free': 0,
            **parameters})
    return start


def count(recorder: RecorderNode, topic: str) -> int:
    return recorder.session._bag._files[-1].counts.get(topic, 0)


def messages_of(tmp_path: Path, world: World) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for m in recording.BagReader(tmp_path / 'bag'):
        if m.topic.startswith(world.ns):
            found.setdefault(m.topic.removeprefix(f'{world.ns}/'), []).append(m)
    return found


def test_every_type_is_recorded_with_its_definition(world: World, record: Callable[..., Any],
                                                    tmp_path: Path) -> None:
    recorder = record(images=True, tensors=True)

    def recorded(topic: str, wanted: int) -> bool:
        return count(recorder, topic) == wanted

    for kind, topic, profile in EACH:
        publisher = world.speak(kind, topic, profile)
        for stamp in (1, 2):
            message = kind()
            message.header.stamp.sec = stamp
            publisher.publish(message)
            until(partial(recorded, f'{world.ns}/{topic}', stamp))
    world.drive(recorder, 'deactivate')
    found = messages_of(tmp_path, world)
    for kind, topic, _ in EACH:
        stamps = [m.decode().header.stamp.sec for m in found[topic]]
        assert stamps == [1, 2], topic
        assert found[topic][0].type.hash.startswith('RIHS01_')
        assert found[topic][0].type.name == f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def test_the_drones_of_a_fleet_are_recorded_from_the_start(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    recorder = record(drones='a, b')
    publishers = {name: world.speak(FrameLatency, f'{name}/frame_latency', qos.ENDS)
                  for name in ('a', 'b')}
    for name, publisher in publishers.items():
        for n in (1, 2):
            publisher.publish(FrameLatency(sequence=n))
        until(partial(lambda name: count(recorder, f'{world.ns}/{name}/frame_latency') == 2, name))
    found = world.speak(PowerSample, 'b/extra', qos.TELEMETRY)
    found.publish(PowerSample())
    until(lambda: count(recorder, f'{world.ns}/b/extra') == 1)
    world.node.create_publisher(PowerSample, 'c/power', qos.TELEMETRY)
    world.do(recorder.session._look_for_topics, recorder)
    assert f'{world.ns}/c/power' not in recorder.session._listeners
    world.drive(recorder, 'deactivate')
    assert [m.decode().sequence for name in 'ab'
            for m in messages_of(tmp_path, world)[f'{name}/frame_latency']] == [1, 2, 1, 2]


def test_names_that_are_none_of_drones_are_refused(world: World, tmp_path: Path) -> None:
    recorder = world.make(recorder_class(), drones='a b', bag=str(tmp_path / 'bag'))
    world.drive(recorder, 'configure')
    assert "parameter drones is 'a b'" in world.said('refused to configure')
    assert world.state(recorder) == UNCONFIGURED


def test_the_last_word_from_before_the_start_is_recorded_too(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    world.node.create_publisher(OffloadDecision, 'offload_decision', qos.LATCHED).publish(
        OffloadDecision(reason='before'))
    recorder = record()
    until(lambda: f'{world.ns}/offload_decision' in recorder.session._announced)
    world.drive(recorder, 'deactivate')
    (m,) = messages_of(tmp_path, world)['offload_decision']
    assert m.decode().reason == 'before' and m.qos[0]['durability'] == 'transient_local'


def test_ends_of_frames_from_before_the_recorder_was_matched_are_in_the_bag(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    ends = world.node.create_publisher(FrameLatency, 'frame_latency', qos.ENDS)
    for sequence in (1, 2, 3):
        ends.publish(FrameLatency(sequence=sequence))
    recorder = record()
    until(lambda: count(recorder, f'{world.ns}/frame_latency') == 3)
    world.drive(recorder, 'deactivate')
    assert len(messages_of(tmp_path, world)['frame_latency']) == 3


def test_what_came_in_before_the_end_is_in_the_bag(world: World, record: Callable[..., Any],
                                                   tmp_path: Path) -> None:
    recorder = record()
    ends = world.speak(FrameLatency, 'frame_latency', qos.ENDS)

    end = threading.Thread(target=world.drive, args=(recorder, 'deactivate'))

    def publish_and_end() -> None:  # in one callback: no other one can run between
        for sequence in range(1, 51):
            ends.publish(FrameLatency(sequence=sequence))
        assert ends.wait_for_all_acked(Duration(seconds=WAIT_S))
        end.start()

    world.do(publish_and_end, recorder)
    end.join(WAIT_S)
    found = messages_of(tmp_path, world)['frame_latency']
    assert [m.decode().sequence for m in found] == list(range(1, 51))


def test_other_topics_of_the_drone_are_found_and_images_left_out(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    recorder = record()
    battery = world.node.create_publisher(BatteryState, 'mavros/battery', QoSProfile(depth=1))
    thermal = world.node.create_publisher(Image, 'thermal', QoSProfile(depth=1))
    until(battery.get_subscription_count)
    until(lambda: f'{world.ns}/thermal' in recorder.session._skipped)
    battery.publish(BatteryState(voltage=11.0))
    thermal.publish(image())
    until(lambda: f'{world.ns}/mavros/battery' in recorder.session._announced)
    world.drive(recorder, 'deactivate')
    found = messages_of(tmp_path, world)
    assert [m.decode().voltage for m in found['mavros/battery']] == [11.0]
    assert 'thermal' not in found


@pytest.mark.parametrize(('kind', 'topic', 'largest'), [
    (Classification, 'classification', 4 << 20), (Image, 'image_raw', 32 << 20)])
def test_a_message_beyond_all_measure_is_counted_and_not_recorded(
        world: World, record: Callable[..., Any], tmp_path: Path, kind: type[Any], topic: str,
        largest: int) -> None:
    recorder = record(images=True)
    publisher = world.speak(kind, topic, qos.RESULTS)
    for length in (largest, largest - 1000, 9):
        message = kind()
        message.header.frame_id = 'x' * length
        publisher.publish(message)
    until(lambda: count(recorder, f'{world.ns}/{topic}') == 2)
    world.said(f'bytes, and of {name_of(kind)} at most {largest} are recorded')
    found, = [f for f in world.do(lambda: list(recorder.border.findings()), recorder)]
    assert found.text.startswith(f'1 message on {world.ns}/{topic} ignored')
    world.drive(recorder, 'deactivate')
    assert [len(m.decode().header.frame_id) for m in messages_of(tmp_path, world)[topic]] == [
        largest - 1000, 9]


def test_a_disk_that_is_full_at_the_start_refuses_and_leaves_nothing(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    recorder = world.make(recorder_class(), bag=str(tmp_path / 'bag'), min_free=1_000_000)
    world.drive(recorder, 'configure', 'activate')  # a terabyte is to stay free
    assert world.state(recorder) == INACTIVE and not list(tmp_path.iterdir())
    assert 'free some space' in world.said('refused to activate')


def test_a_full_disk_ends_the_recording_and_says_so(world: World, record: Callable[..., Any],
                                                    tmp_path: Path) -> None:
    recorder = record(flush_period=0.05)
    recorder.session._bag._min_free_bytes = 10**18
    world.said('recording ended')
    heard: Heard = world.hear(DiagnosticArray, '/diagnostics', 10)
    m = heard.wait_for(lambda m: 'recording ended' in m.status[0].message)
    assert 'free some space' in m.status[0].message and world.state(recorder) == ACTIVE
    assert not recording.BagReader(tmp_path / 'bag').truncated


def test_a_bag_that_is_removed_in_flight_ends_the_recording_and_nothing_else(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    recorder = record(flush_period=1.5)  # diagnostics come first
    shutil.rmtree(tmp_path / 'bag')
    heard: Heard = world.hear(DiagnosticArray, '/diagnostics', 10)
    heard.wait_for(lambda m: 'is gone, and the bag with it' in m.status[0].message)
    heard.wait_for(lambda m: 'cannot be written: No such file' in m.status[0].message)
    assert world.state(recorder) == ACTIVE


def test_a_second_activation_does_not_write_over_the_bag(
        world: World, record: Callable[..., Any], tmp_path: Path) -> None:
    recorder = record()
    world.drive(recorder, 'deactivate', 'activate', 'deactivate', 'activate')
    assert world.state(recorder) == ACTIVE
    assert {p.name for p in tmp_path.iterdir()} == {'bag', 'bag_2', 'bag_3'}


class NeverStop(StopSignal):
    """What the player needs of a StopSignal; ends it when `enough` is set."""

    def __init__(self) -> None:  # of this class alone: the other one takes the signals over
        self.enough = threading.Event()

    def wait(self, timeout_s: float) -> bool:
        return self.enough.wait(timeout_s)


@pytest.fixture
def played(world: World, record: Callable[..., Any], tmp_path: Path) -> BagReader:
    """A bag with three power samples and a lifecycle event."""
    recorder = record()
    power = world.speak(PowerSample, 'power', qos.TELEMETRY)
    for n in range(3):
        power.publish(PowerSample(power=float(n)))
    event = world.node.create_publisher(TransitionEvent, 'x/transition_event', 1)
    until(event.get_subscription_count)
    event.publish(TransitionEvent())
    until(lambda: count(recorder, f'{world.ns}/power') == 3)
    until(lambda: count(recorder, f'{world.ns}/x/transition_event') == 1)
    world.drive(recorder, 'deactivate')
    return recording.BagReader(tmp_path / 'bag')


def test_a_bag_is_played_to_other_nodes(world: World, played: BagReader) -> None:
    from offload_perception.nodes.player import replay
    from offload_perception.recording.playback import Selection

    heard = world.hear(PowerSample, 'again', qos.TELEMETRY)
    selection = Selection((f'{world.ns}/power',), {f'{world.ns}/power': f'{world.ns}/again'})
    assert replay(played, selection, rate=100.0, loop=False, wait_s=20.0, stop=NeverStop()) == 3
    assert [m.power for m in heard.wait_for(3)] == [0.0, 1.0, 2.0]


def play_all(reader: BagReader, **options: Any) -> int:
    from offload_perception.nodes.player import replay
    from offload_perception.recording.playback import Selection

    return replay(reader, Selection(), **{'rate': 1.0, 'loop': False, 'wait_s': 0.0,
                                          'stop': NeverStop(), **options})


def bag_of(path: Path, *types: recording.MessageType) -> recording.BagReader:
    """Return a bag with a PowerSample on /t0, /t1, ... under types that a bag claims."""
    with recording.BagWriter(path) as bag:
        for n, kind in enumerate(types):
            bag.add_topic(f'/t{n}', kind, [])
            bag.write(f'/t{n}', serialize_message(PowerSample()), 1 + n)
    return recording.BagReader(path)


def test_a_topic_whose_type_is_not_installed_is_left_out_and_named(
        ros: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ours = recording.installed_type('offload_perception/msg/PowerSample')
    bag = bag_of(tmp_path / 'bag', replace(ours, name='no_such_msgs/msg/Thing'), ours)
    assert play_all(bag) == 1
    assert '/t0 is not played: there is no definition of no_such_msgs' in capfd.readouterr().err


def test_bytes_of_another_definition_are_never_published(
        ros: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ours = recording.installed_type('offload_perception/msg/PowerSample')
    older = replace(ours, hash='', text=ours.text.replace('float64 voltage', 'float32 voltage'))
    bag = bag_of(tmp_path / 'bag', replace(ours, hash='RIHS01_' + 64 * '0'), older,
                 replace(ours, hash='', text=''), replace(ours, hash=''))
    assert play_all(bag) == 2
    said = capfd.readouterr().err
    for topic in ('/t0', '/t1'):
        assert f'{topic} is not played: it was recorded with another definition' in said
    assert '/t2: the bag does not contain the definition' in said and '/t3' not in said


def test_messages_of_a_version_with_fewer_fields_are_played(world: World, tmp_path: Path) -> None:
    ends = world.hear(FrameLatency, '/drone1/frame_latency', qos.ENDS)
    energies = world.hear(FrameEnergy, '/drone1/frame_energy', qos.TELEMETRY)
    with FlightBag(tmp_path / 'bag', lacking=('end', 'residual_w')) as bag:
        bag.add('/drone1/frame_latency', frame(7, 0, 0.1), 0.0)
        bag.add('/drone1/frame_energy', message(
            'FrameEnergy', sequence=7, energy=0.5, stages=['head']), 0.1)
    assert play_all(recording.BagReader(tmp_path / 'bag'), wait_s=20.0) == 2
    end, energy = ends.wait_for(1)[0], energies.wait_for(1)[0]
    assert (end.sequence, end.total, end.header.frame_id) == (7, 0.1, 'camera')
    assert isnan(end.end) and isnan(energy.residual_w)
    assert (energy.energy, energy.stages) == (0.5, ['head'])


def test_the_time_of_the_bag_is_published_on_clock(world: World, tmp_path: Path) -> None:
    ours = recording.installed_type('offload_perception/msg/PowerSample')
    heard, stop = world.hear(Clock, '/clock', qos.CLOCK), NeverStop()
    with recording.BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/t0', ours, [])
        for time_ns in (7_000_000_000, 7_500_000_000):
            bag.write('/t0', serialize_message(PowerSample()), time_ns)
    reader = recording.BagReader(tmp_path / 'bag')
    assert play_all(reader, clock_hz=100.0) == 2, 'the clock is not counted'

    def stop_when_heard() -> int:  # the first ones are lost: /clock is best effort
        try:
            return int(heard.wait_for(1)[0].clock.sec)
        finally:
            stop.enough.set()
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(stop_when_heard)
        play_all(reader, clock_hz=100.0, loop=True, stop=stop)
        assert second.result() == 7


def test_a_bag_without_the_chosen_topics_is_refused(played: BagReader) -> None:
    from offload_perception.nodes.player import replay
    from offload_perception.recording.playback import Selection

    with pytest.raises(BagError, match='no message to play'):
        replay(played, Selection(('nothing',)), rate=1.0, loop=False, wait_s=0.0,
               stop=NeverStop())
