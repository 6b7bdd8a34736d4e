"""A running ROS graph in this process: nodes under test, and what a test hears and says."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from threading import Condition, Thread
from typing import Any, TypeVar

import numpy as np
import rclpy
from lifecycle_msgs.msg import State
from offload_perception.msg import FeatureTensor
from rcl_interfaces.msg import Log
from rclpy.executors import Executor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waits import LONG_S, WAIT_S

from offload_perception.codec import encode_tensors
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array, image_message, part_messages
from offload_perception.nodes.executor import ThreadExecutor
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.running import Spinners, spin
from offload_perception.pipeline.packing import joined
from offload_perception.threads import fulfil

UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = (
    State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE,
    State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_FINALIZED)
AnyNode = ManagedNode[Any, Any]
N = TypeVar('N', bound=AnyNode)
_numbers = count(1)
qos.DISCOVERY_S = 0.0  # nodes of one process know each other


class Heard(list[Any]):
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
    """Spins nodes as their executables do; everything in a namespace of its own.

    The test's own node, and what is not of this package, spins in one more thread.
    """

    def __init__(self) -> None:
        self.ns = f'/world{next(_numbers)}'
        self.executor = ThreadExecutor()
        self._nodes: dict[AnyNode, Spinners] = {}
        self.node = rclpy.create_node('test', namespace=self.ns)
        self.executor.add_node(self.node)
        self.log: Heard = self.hear(Log, '/rosout', 100)
        self._thread = Thread(target=self.executor.spin, daemon=True)
        self._thread.start()

    def do(self, function: Callable[[], Any], node: AnyNode | None = None) -> Any:
        """Run `function` where the callbacks of `node` run, or of the test; return its result."""
        return self._call(self._nodes[node].rest.executor if node else self.executor, function)

    def order(self, node: AnyNode, function: Callable[[], Any]) -> Any:
        """Run `function` where a node takes orders, and return its result."""
        return self._call(self._nodes[node].orders.executor, function, LONG_S)

    def hold_lane(self, node: AnyNode, function: Callable[[], Any]) -> Any:
        """Run `function` where a node's frames come in, so that none does; return its result."""
        return self._call(self._nodes[node].lane.executor, function)

    @staticmethod
    def _call(executor: Executor, function: Callable[[], Any],
              timeout_s: float = WAIT_S) -> Any:
        future: Future[Any] = Future()
        executor.create_task(fulfil, future, function)
        return future.result(timeout_s)

    @property
    def newest(self) -> Any:
        """Return the node that was made last."""
        return list(self._nodes)[-1]

    def make(self, node_class: Callable[..., N], *, ns: str = '', autostart: bool = False,
             remap: str = '', **parameters: Any) -> N:
        """Return a node; with the model `artefact` if it takes one."""
        overrides = [Parameter(name, value=value)
                     for name, value in {'autostart': autostart, **parameters}.items()]
        node = node_class(namespace=self.ns + ns, parameter_overrides=overrides,
                          cli_args=['--ros-args', '-r', remap] if remap else None)
        self._nodes[node] = spin(node)
        return node

    def start(self, node_class: Callable[..., N], **options: Any) -> N:
        """Return an active node."""
        node = self.make(node_class, **options)
        self.drive(node, 'configure', 'activate')
        assert self.state(node) == ACTIVE
        return node

    def drive(self, node: AnyNode, *transitions: str) -> None:
        for transition in transitions:
            self.order(node, getattr(node, f'trigger_{transition}'))

    def state(self, node: AnyNode) -> int:
        return node._state_machine.current_state[0]

    def set(self, node: AnyNode, **parameters: Any) -> Any:
        """Set parameters as `ros2 param set` does; return the node's verdict."""
        changes = [Parameter(name, value=value) for name, value in parameters.items()]
        return self.do(lambda: node.set_parameters_atomically(changes), node)

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
        for node, spinners in self._nodes.items():
            if self.state(node) == ACTIVE:
                self.drive(node, 'deactivate')
            assert all([spinner.stop(WAIT_S) for spinner in spinners])
        self.executor.shutdown()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        for node in self._nodes:
            node.on_loop = lambda step: step()
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


def tensor_of(artefact: Artefact, cut: int) -> FeatureTensor:
    """Return the message of a tensor of zeros at a cut, as a drone sends it."""
    specs = artefact.tensors(cut)
    parts, data = joined(specs, encode_tensors(
        tuple(np.zeros(spec.shape, spec.dtype) for spec in specs), specs))
    return FeatureTensor(model_digest=artefact.digest, split=cut, parts=part_messages(parts),
                         data=byte_array(data))
