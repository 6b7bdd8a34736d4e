"""Run a node beside other code: it spins in a thread of its own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from offload_perception.bringup.dds import stay_on_this_host
from offload_perception.nodes.executor import GroupExecutor
from offload_perception.nodes.monitor import MonitorNode
from offload_perception.threads import FOREVER, Worker

AnyNode = TypeVar('AnyNode', bound=Node)


@contextmanager
def spinning(make: Callable[[], AnyNode]) -> Iterator[AnyNode]:
    """Yield the node that `make` makes, and run its callbacks in a thread until the end."""
    with ExitStack() as ends:
        stay_on_this_host()
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        ends.callback(rclpy.shutdown)
        node = make()
        ends.callback(node.destroy_node)
        executor = GroupExecutor(node, lambda group: True)
        executor.add_node(node)
        spinner = Worker(node.get_name(), executor.step, patience=FOREVER)
        spinner.start()
        ends.callback(spinner.stop)
        ends.callback(executor.shutdown)
        yield node


def listening(namespace: str, server: str, *,
              fleet: bool = False) -> AbstractContextManager[MonitorNode]:
    """Return a context that holds a monitor of the drone in `namespace`.

    :param fleet: whether it looks for other drones and servers too.
    """
    return spinning(lambda: MonitorNode(namespace=namespace, server=server, fleet=fleet))
