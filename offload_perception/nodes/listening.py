"""Run a monitor beside other code: a node that spins in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from offload_perception.nodes.monitor import MonitorNode


@contextmanager
def listening(namespace: str, server: str) -> Iterator[MonitorNode]:
    """Yield a monitor of the drone in `namespace`; it listens in a thread of its own."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = MonitorNode(namespace=namespace, server=server)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, name='monitor', daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.shutdown()
