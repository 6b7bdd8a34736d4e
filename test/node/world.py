"""A running ROS graph in this process: nodes under test, and what a test hears and says."""

import time
from collections.abc import Callable
from itertools import count
from threading import Condition, Thread
from typing import Any

import numpy as np
import rclpy
from lifecycle_msgs.msg import State
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waits import WAIT_S

from offload_perception.nodes import qos
from offload_perception.nodes.convert import image_message
from offload_perception.nodes.managed import ManagedNode

UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = (
    State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE,
    State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_FINALIZED)
_numbers = count(1)
qos.DISCOVERY_S = 0.0  # nodes of one process know each other


class Heard(list):
    """Messages of one topic, in order; a test waits until enough, or the right one, came."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = Condition()

    def __call__(self, message: Any) -> None:
        with self._changed:
            self.append(message)
            self._changed.notify_all()

    def wait_for(self, wanted: int | Callable[[Any], bool]) -> Any:
        """Wait for a number of messages and return them, or for one and return it."""
        def found() -> Any:
            if callable(wanted):
                return next((m for m in self if wanted(m)), None)
            return list(self) if len(self) >= wanted else None
        with self._changed:
            result = self._changed.wait_for(found, WAIT_S)
        assert result is not None, f'{len(self)} messages came, the last: {self[-1:]}'
        return result


class World:
    """Spins nodes in a thread; everything in a namespace of its own."""

    def __init__(self) -> None:
        self.ns = f'/world{next(_numbers)}'
        self._executor = SingleThreadedExecutor()
        self._nodes: list[ManagedNode] = []
        self.node = rclpy.create_node('test', namespace=self.ns)
        self._executor.add_node(self.node)
        self.log: Heard = self.hear(Log, '/rosout', 100)
        self._thread = Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def do(self, function: Callable[[], Any]) -> Any:
        """Run `function` where the callbacks run, and return its result."""
        done = Condition()
        task = self._executor.create_task(function)
        with done:
            task.add_done_callback(lambda _: self._notify(done))
            assert done.wait_for(task.done, WAIT_S)
        return task.result()

    @staticmethod
    def _notify(condition: Condition) -> None:
        with condition:
            condition.notify_all()

    def make(self, node_class: type[ManagedNode], *, ns: str = '', autostart: bool = False,
             remap: str = '', **parameters: Any) -> ManagedNode:
        """Return a node; with the model `artefact` if it takes one."""
        overrides = [Parameter(name, value=value)
                     for name, value in {'autostart': autostart, **parameters}.items()]
        node = node_class(namespace=self.ns + ns, parameter_overrides=overrides,
                          cli_args=['--ros-args', '-r', remap] if remap else None)
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def start(self, node_class: type[ManagedNode], **options: Any) -> ManagedNode:
        """Return an active node."""
        node = self.make(node_class, **options)
        self.drive(node, 'configure', 'activate')
        assert self.state(node) == ACTIVE
        return node

    def drive(self, node: ManagedNode, *transitions: str) -> None:
        for transition in transitions:
            self.do(getattr(node, f'trigger_{transition}'))

    def state(self, node: ManagedNode) -> int:
        return node._state_machine.current_state[0]

    def set(self, node: ManagedNode, **parameters: Any) -> Any:
        """Set parameters as `ros2 param set` does; return the node's verdict."""
        changes = [Parameter(name, value=value) for name, value in parameters.items()]
        return self.do(lambda: node.set_parameters_atomically(changes))

    def hear(self, kind: type, topic: str, profile: Any) -> Heard:
        heard = Heard()
        self.node.create_subscription(kind, topic, heard, profile)
        return heard

    def speak(self, kind: type, topic: str, profile: Any) -> Any:
        """Return a publisher with a subscriber."""
        publisher = self.node.create_publisher(kind, topic, profile)
        until(publisher.get_subscription_count)
        return publisher

    def said(self, text: str) -> str:
        """Wait until a node has logged `text`; return the whole line."""
        return self.log.wait_for(lambda m: text in m.msg).msg

    def close(self) -> None:
        for node in self._nodes:
            if self.state(node) == ACTIVE:
                self.drive(node, 'deactivate')
        self._executor.shutdown()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        for node in self._nodes:
            node.release()
            node.destroy_node()
        self.node.destroy_node()


def until(predicate: Callable[[], Any]) -> None:
    """Wait until `predicate` holds; for states of the middleware that notify nobody."""
    give_up_s = time.monotonic() + WAIT_S
    nothing = Condition()
    with nothing:
        while not predicate():
            assert time.monotonic() < give_up_s
            nothing.wait(0.005)


def image(stamp: int = 1, frame_id: str = 'camera', **changes: Any) -> Image:
    """Return a small rgb8 image of noise, with some fields changed."""
    rgb = np.random.default_rng(stamp).integers(0, 256, (48, 64, 3), np.uint8)
    header = Header(frame_id=frame_id)
    header.stamp.sec = stamp
    message = image_message(rgb, header)
    for name, value in changes.items():
        setattr(message, name, value)
    return message
