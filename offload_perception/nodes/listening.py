"""Run a node beside other code: it spins in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from offload_perception.nodes.monitor import MonitorNode

AnyNode = TypeVar('AnyNode', bound=Node)


@contextmanager
def spinning(make: Callable[[], AnyNode]) -> Iterator[AnyNode]:
    """Yield the node that `make` makes, and run its callbacks in a thread until the end."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = make()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, name=node.get_name(), daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.shutdown()


def listening(namespace: str, server: str) -> AbstractContextManager[MonitorNode]:
    """Return a context that holds a monitor of the drone in `namespace`."""
    return spinning(lambda: MonitorNode(namespace=namespace, server=server))
