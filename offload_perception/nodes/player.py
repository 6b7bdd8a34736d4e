"""Publish the messages of a bag again, with the QoS they were recorded with.

They are not decoded, except those of earlier versions of this package, which had fewer fields.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from offload_perception.bringup.dds import stay_on_this_host
from offload_perception.errors import BagError
from offload_perception.msg import FrameLatency
from offload_perception.nodes import qos
from offload_perception.nodes.earlier import with_new_fields
from offload_perception.nodes.message_types import class_of, name_of
from offload_perception.nodes.running import wait_for_acknowledgements
from offload_perception.recording import BagMessage, BagReader, MessageType, installed_type
from offload_perception.recording.definitions import comparable, difference, only_grew
from offload_perception.recording.playback import Selection, Timeline, play, ticking, topics_of
from offload_perception.stopping import StopSignal

CLOCK = '/clock'
_OURS = 'offload_perception/'


def replay(reader: BagReader, selection: Selection, *, rate: float, loop: bool,
           wait_s: float, stop: StopSignal, clock_hz: float | None = None) -> int:
    """Play a bag until its end, or until it is stopped; return how many were published.

    Topics whose type is not installed, or with another definition than the recorded one, are left
    out and named in the log; but a type of this package may have got more fields.

    :param wait_s: how long to wait for a subscriber to every topic before the start.
    :param clock_hz: how often a second the time of the bag is published on /clock, for nodes with
        use_sim_time; the bag's own /clock is left out then. None = never.

    :raises BagError: if no topic is left to play.
    """
    topics = topics_of(reader, selection)
    if clock_hz:
        topics.pop(CLOCK, None)
    if not topics:
        raise BagError(f'{reader.path} has no message to play on the chosen topics')
    context = Context()
    stay_on_this_host()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node('player', context=context, start_parameter_services=False)
    try:
        publishers = _publishers(node, topics, selection)
        if not publishers:
            raise BagError(f'no message type of {reader.path} is installed')
        clock = node.create_publisher(Clock, CLOCK, qos.CLOCK) if clock_hz else None
        _wait_for_subscribers([*publishers.values(), *([clock] if clock else [])], wait_s, stop)
        published = _play_once(reader, publishers, rate, stop, clock, clock_hz)
        while loop and not stop.wait(0.0):
            published += _play_once(reader, publishers, rate, stop, clock, clock_hz)
        return published
    finally:
        wait_for_acknowledgements(node)
        node.destroy_node()
        context.try_shutdown()


def _play_once(reader: BagReader, publishers: dict[str, Any], rate: float, stop: StopSignal,
               clock: Publisher | None, clock_hz: float | None) -> int:
    timeline = Timeline(rate, time.monotonic)
    wait: Callable[[float], bool] = stop.wait
    if clock is not None and clock_hz:
        wait = ticking(wait, partial(_publish_clock, clock, timeline), period_s=1.0 / clock_hz,
                       clock=time.monotonic)
    chosen = (m for m in reader if m.topic in publishers)
    published = 0
    for m in play(chosen, timeline, wait):
        publishers[m.topic].publish(_as_installed(m))
        published += 1
    return published


def _as_installed(m: BagMessage) -> Any:
    """Return the message of an earlier version with the fields of this one, others as bytes."""
    if m.type.name.startswith(_OURS) and only_grew(m.type, installed_type(m.type.name)):
        return with_new_fields(m.type.name, m.decode())
    return m.data


def _publish_clock(clock: Publisher, timeline: Timeline) -> None:
    """Publish the time of the bag on /clock."""
    if (now_ns := timeline.now_ns) is not None:
        clock.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))


def _publishers(node: Node, topics: dict[str, BagMessage], selection: Selection) -> dict[str, Any]:
    found = {}
    for topic, first in topics.items():
        try:
            _check_definition(node, topic, first.type)
            found[topic] = node.create_publisher(
                class_of(first.type.name), selection.name_of(topic), _profile_of(first))
        except (BagError, InvalidTopicNameException) as e:
            node.get_logger().warning(f'{topic} is not played: {e}')
    return found


def _check_definition(node: Node, topic: str, recorded: MessageType) -> None:
    """Refuse a type whose bytes would be read as another one."""
    installed = installed_type(recorded.name)
    problem = difference(recorded, installed)
    if problem and not (recorded.name.startswith(_OURS) and only_grew(recorded, installed)):
        raise BagError(problem)
    if not comparable(recorded, installed):
        node.get_logger().warning(f'{topic}: the bag does not contain the definition of '
                                  f'{recorded.name} that it was recorded with; the installed one '
                                  'is used')


def _profile_of(first: BagMessage) -> QoSProfile:
    """Return the recorded profile: the laxest if several publishers offered.

    Ends of frames get that of today, which viewers ask for.
    """
    if first.type.name == name_of(FrameLatency):
        return qos.ENDS

    def every(policy: str, wanted: str) -> bool:
        return all(str(p.get(policy)) in (wanted, '1') for p in first.qos)
    reliable, latched = every('reliability', 'reliable'), every('durability', 'transient_local')
    if first.qos and latched:
        return qos.LATCHED
    return qos.TELEMETRY if reliable else qos.images('best_effort')


def _wait_for_subscribers(publishers: list[Any], wait_s: float, stop: StopSignal) -> None:
    give_up_s = time.monotonic() + wait_s
    while time.monotonic() < give_up_s and not all(
            p.get_subscription_count() for p in publishers):
        if stop.wait(0.02):
            return
