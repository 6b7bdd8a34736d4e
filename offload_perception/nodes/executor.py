"""An executor that other threads may stop, and one for a part of a node, such as its lane.

The lane holds the subscriptions in the path of a frame.

rclpy builds its wait set anew for each wake-up, holding Python's lock for some ten microseconds an
entity; a lifecycle node has about forty of them. With a wait set of its own for the two or three
subscriptions that carry frames, neither they nor the threads that compute wait for that
(benchmarks/latency.py). rclpy's EventsExecutor would build none, but does not run reliably in
Jazzy: its timers never fire with the wheels of 7.1.6.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from time import sleep
from typing import Any, TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from offload_perception.threads import fulfil

Result = TypeVar('Result')
SETTLE_S = 1.0  # a callback of the lane takes milliseconds


class ThreadExecutor(SingleThreadedExecutor):
    """Spins in a thread while others shut it down and destroy entities.

    rclpy's own may then raise in its thread: `shutdown` takes away what it is about to wait for.
    """

    def spin(self) -> None:
        """Execute callbacks until `shutdown`; raise what one raises."""
        while self.step():
            pass

    def step(self) -> bool:
        """Spin once, and raise what a callback raises; return False after `shutdown`.

        An entity that another thread destroys at that time is ignored.
        """
        try:
            self.spin_once()
        except InvalidHandle:
            pass
        except Exception:
            if not self._over:
                raise
        return not self._over

    @property
    def _over(self) -> bool:
        return self._is_shutdown or not self.context.ok()

    def call(self, step: Callable[[], Result]) -> Result:
        """Run `step` between the callbacks, return its result; never call it from a callback."""
        future: Future[Result] = Future()
        self.create_task(fulfil, future, step)
        return future.result()

    def settle(self) -> None:
        """Wait until no entity is waited on that was destroyed before this call; bounded.

        The middleware keeps an entity in the graph as long as an executor waits on it.
        """
        if not self._over:
            future: Future[None] = Future()
            self.create_task(fulfil, future, lambda: None)
            wait([future], SETTLE_S)


class GroupExecutor(ThreadExecutor):
    """Spins those entities of a node whose callback group is accepted."""

    def __init__(self, node: Node, accepts: Callable[[CallbackGroup], bool]) -> None:
        super().__init__(context=node.context)
        self._node, self._accepts = node, accepts

    def get_nodes(self) -> list[Node]:
        """Return the node; `add_node` would remove it from the other executor."""
        return [self._node]

    def can_execute(self, entity: Any) -> bool:
        """Return whether this executor is the one for `entity`, and it is free."""
        return self._accepts(entity.callback_group) and super().can_execute(entity)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Spin once, then hand Python's lock to the thread that a callback may have woken."""
        super().spin_once(timeout_sec)
        sleep(0.0)
