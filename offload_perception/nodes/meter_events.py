"""What both meter nodes do with the events of their readers."""

from rclpy.node import Node

from offload_perception.power.samples import Event

_EXPECTED = ('connected', 'stopped')


def log_event(node: Node, source: str, event: Event) -> None:
    """Log what a reader tells; only what nobody asked for is a warning."""
    log = node.get_logger()
    (log.info if event.kind in _EXPECTED else log.warning)(f'{source}: {event.message}')
