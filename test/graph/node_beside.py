"""A node of the test's own beside the processes of a graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from waits import WAIT_S

from offload_perception.nodes.executor import ThreadExecutor


@contextmanager
def node_beside(name: str) -> Iterator[Node]:
    """Yield a spinning node in a context of its own: other tests may have the default one."""
    context = Context()
    context.init()
    node = rclpy.create_node(name, context=context)
    executor = ThreadExecutor(context=context)
    executor.add_node(node)
    thread = Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(WAIT_S)
    node.destroy_node()
    context.shutdown()
