"""A flight is recorded, reported and flown again from its bag."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from graph.command import FLYING, WAIT_S, Command, closing
from offload_perception.msg import FrameLatency
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node

from offload_perception.nodes import qos
from offload_perception.recording import BagReader
from offload_perception.telemetry.records import stamp_ns
from offload_perception.telemetry.summary import NOT_DELIVERED

pytest.importorskip('mcap_ros2')
pytest.importorskip('matplotlib')


@pytest.fixture
def flown(run: Callable[..., Command], arguments: list[str],
          tmp_path: Path) -> tuple[str, Path, Path]:
    """Fly once; return what the demo said, its bag, and that of a recorder that was killed."""
    killed = run('recorder_node', '--ros-args', '-r', '__ns:=/drone1', '-r', '__node:=other',
                 '-p', f'bag:={tmp_path}/killed', '-p', 'flush_period:=0.1')
    killed.said('recording into')
    demo = run('demo', '--duration', '3', *arguments, 'record:=true', f'bag:={tmp_path}/whole',
               'record_images:=true', 'width:=160', 'height:=120')
    assert demo.wait() == 0, demo.output
    has_flushed(tmp_path / 'killed', closing(demo.output))
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    return demo.output, tmp_path / 'whole', tmp_path / 'killed'


def has_flushed(bag: Any, counts: Any) -> None:
    """Wait until a bag that is still being written holds every reported end of a frame."""
    _, remote, local, dropped, reasons, _ = counts
    ended = remote + local + dropped - reasons.get(NOT_DELIVERED, 0)
    give_up_s = time.monotonic() + WAIT_S
    while sum(m.topic == '/drone1/frame_latency' for m in BagReader(bag)) < ended:
        assert time.monotonic() < give_up_s
        time.sleep(0.1)


@pytest.fixture
def drone() -> Iterator[Node]:
    """A node that says how frames ended, in a context of its own."""
    context = Context()
    context.init()
    node = rclpy.create_node('edge', namespace='/drone1', context=context)
    yield node
    node.destroy_node()
    context.shutdown()


@pytest.mark.parametrize('leaves', [True, False])
def test_a_recorder_that_is_to_end_waits_for_the_last_words_of_others(
        run: Callable[..., Command], drone: Node, tmp_path: Path, leaves: bool) -> None:
    recorder = run('recorder_node', '--ros-args', '-r', '__ns:=/drone1', '-p',
                   f'bag:={tmp_path}/bag')
    recorder.said('recording into')
    ends = drone.create_publisher(FrameLatency, 'frame_latency', qos.ENDS)
    give_up_s = time.monotonic() + WAIT_S
    while not ends.get_subscription_count():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)
    ends.publish(FrameLatency(sequence=6))
    assert ends.wait_for_all_acked(Duration(seconds=WAIT_S))  # so the recorder knows of it
    recorder.interrupt()
    recorder.said('ends after those it listens to')
    ends.publish(FrameLatency(sequence=7))
    assert ends.wait_for_all_acked(Duration(seconds=WAIT_S))
    if leaves:
        drone.destroy_publisher(ends)
    assert recorder.wait() == 0
    assert [m.decode().sequence for m in BagReader(tmp_path / 'bag')
            if m.topic == '/drone1/frame_latency'] == [6, 7]


def test_a_recorded_flight_is_reported_and_flown_again(run: Callable[..., Command],
                                                       arguments: list[str],
                                                       flown: tuple[str, Path, Path]) -> None:
    said, whole, killed = flown
    report = run('report', str(whole), str(killed))
    assert report.wait() == 0, report.output
    of_whole, of_killed = (line for line in report.lines if line.startswith('frames: '))
    assert closing(of_whole) == closing(of_killed) == closing(said)
    page = (whole.parent / 'whole_report' / 'index.html').read_text()
    assert page.count('The recorder was killed') == 1 and 'EMULATED' in page

    frames, images = ({stamp_ns(m.decode().header) for m in BagReader(whole) if m.topic == topic}
                      for topic in ('/drone1/frame_latency', '/drone1/image_raw'))
    assert images <= frames and len(images) > len(frames) / 2  # some get lost on a busy computer

    model = [w for a in arguments if a.startswith(('model', 'runtime', 'threads'))
             for w in ('-p', a)]
    run('edge_inference_node', '--ros-args', '-r', '__ns:=/drone1', *model,
        '-p', 'split:=-1').said('split 21')
    monitor = run('monitor', '--namespace', 'drone1')
    replay = run('replay', str(whole), '--topics', '/image_raw$', '--loop', '--wait', '20')
    monitor.said(FLYING)
    replay.interrupt()
    assert replay.wait() == 0 and 'messages published' in replay.output
