"""What both meter nodes do with the events of their readers."""

from rclpy.node import Node

from offload_perception.power.drivers.samples import Event

_EXPECTED = ('connected', 'stopped')


def log_event(node: Node, source: str, event: Event) -> None:
    """Log the events of a reader; only unexpected ones are warnings."""
    text = f'{source}: {event.message}'
    if event.kind in _EXPECTED:  # two calls: rclpy raises if one call changes its severity
        node.get_logger().info(text)
    else:
        node.get_logger().warning(text)
