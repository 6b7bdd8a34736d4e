"""Publish the messages of a bag again, undecoded, with the QoS they were recorded with."""

import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from offload_perception.cli.stopping import StopSignal
from offload_perception.errors import BagError
from offload_perception.nodes import qos
from offload_perception.nodes.message_types import class_of
from offload_perception.recording import BagMessage, BagReader
from offload_perception.recording.playback import Selection, play, topics_of


def replay(reader: BagReader, selection: Selection, *, rate: float, loop: bool,
           wait_s: float, stop: StopSignal) -> int:
    """Play a bag until its end, or until somebody says stop; return how many were published.

    :param wait_s: how long to wait for a subscriber to every topic before the start.
    Topics whose type is not installed are left out and named in the log.

    :raises BagError: where no topic is left to play.
    """
    topics = topics_of(reader, selection)
    if not topics:
        raise BagError(f'{reader.path} has no message to play on the chosen topics')
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node('player', context=context, start_parameter_services=False)
    try:
        publishers = _publishers(node, topics, selection)
        if not publishers:
            raise BagError(f'no message type of {reader.path} is installed')
        _wait_for_subscribers(publishers, wait_s, stop)
        published = _play_once(reader, publishers, rate, stop)
        while loop and not stop.wait(0.0):
            published += _play_once(reader, publishers, rate, stop)
        return published
    finally:
        node.destroy_node()
        context.try_shutdown()


def _play_once(reader: BagReader, publishers: dict[str, Any], rate: float,
               stop: StopSignal) -> int:
    chosen = (m for m in reader if m.topic in publishers)
    published = 0
    for m in play(chosen, rate=rate, clock=time.monotonic, wait=stop.wait):
        publishers[m.topic].publish(m.data)
        published += 1
    return published


def _publishers(node: Node, topics: dict[str, BagMessage], selection: Selection) -> dict[str, Any]:
    found = {}
    for topic, first in topics.items():
        try:
            found[topic] = node.create_publisher(
                class_of(first.type.name), selection.name_of(topic), _profile_of(first))
        except BagError as e:
            node.get_logger().warning(f'{topic} is not played: {e}')
    return found


def _profile_of(first: BagMessage) -> QoSProfile:
    """Return the recorded profile: the laxest where several publishers offered."""
    def every(policy: str, wanted: str) -> bool:
        return all(str(p.get(policy)) in (wanted, '1') for p in first.qos)
    reliable, latched = every('reliability', 'reliable'), every('durability', 'transient_local')
    if first.qos and latched:
        return qos.LATCHED
    return qos.TELEMETRY if reliable else qos.images('best_effort')


def _wait_for_subscribers(publishers: dict[str, Any], wait_s: float, stop: StopSignal) -> None:
    give_up_s = time.monotonic() + wait_s
    while time.monotonic() < give_up_s and not all(
            p.get_subscription_count() for p in publishers.values()):
        if stop.wait(0.02):
            return
