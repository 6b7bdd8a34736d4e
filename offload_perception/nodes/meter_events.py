"""What both meter nodes do with the events of their readers."""

from rclpy.node import Node

from offload_perception.power.drivers.samples import Event

_EXPECTED = ('connected', 'stopped')


def log_event(node: Node, source: str, event: Event) -> None:
    """Log what a reader tells; only what nobody asked for is a warning."""
    text = f'{source}: {event.message}'
    if event.kind in _EXPECTED:  # two calls: rclpy raises where one call changes its severity
        node.get_logger().info(text)
    else:
        node.get_logger().warning(text)
