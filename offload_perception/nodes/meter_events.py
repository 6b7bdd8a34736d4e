"""What both meter nodes do with their readers and the events of these."""

from typing import Protocol

from rclpy.node import Node

from offload_perception.errors import MeterError
from offload_perception.power.drivers.samples import Event

_EXPECTED = ('connected', 'stopped')


def log_event(node: Node, source: str, event: Event) -> None:
    """Log the events of a reader; only unexpected ones are warnings."""
    text = f'{source}: {event.message}'
    if event.kind in _EXPECTED:  # two calls: rclpy raises if one call changes its severity
        node.get_logger().info(text)
    else:
        node.get_logger().warning(text)


class Reader(Protocol):
    """A thread that reads a meter."""

    def stop(self) -> bool:
        """Stop reading; False if the thread still waits for the meter."""


def check_ended(reader: Reader | None, source: str) -> None:
    """Raise MeterError if the reader of an earlier activation still waits for the meter."""
    if reader is not None and not reader.stop():
        raise MeterError(f'{source}: its last reader was stopped and still waits for the meter; '
                         'unplug that, then try again')
