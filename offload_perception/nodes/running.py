"""The main of every node executable: spin, watch the threads, end cleanly and quickly."""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

import rclpy
from lifecycle_msgs.msg import State
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleState
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from offload_perception.bringup.dds import remove_leftovers, stay_on_this_host
from offload_perception.errors import ConfigError
from offload_perception.memory import keep_large_buffers
from offload_perception.nodes.executor import GroupExecutor
from offload_perception.nodes.managed import AnyManagedNode
from offload_perception.threads import PATIENCE, Worker, running, troubled

# Python lets a thread keep its lock for 5 ms by default; a frame's worker would wait as long for
# the executor's.
SWITCH_INTERVAL_S = 0.0005
LAST_WORDS_S = 2.0  # for all publishers: on a busy computer a subscriber may take that long
WATCH_PERIOD_S = 1.0
OTHERS_S = 2.0  # for other nodes to end before this one; some never do
OTHERS_PERIOD_S = 0.02
GRACE_S = 1.0  # grace period for the current callback
LEAVE_S = 20.0  # for the middleware, and Python itself, to end
ACTIVE = LifecycleState('active', State.PRIMARY_STATE_ACTIVE)
SAME_WISH_S = 0.5  # one Ctrl-C may arrive twice: from the terminal and from the launcher


class _Wish:
    """The request to end, by signal or because the node cannot go on; the first one counts."""

    def __init__(self) -> None:
        # Not an Event: setting one is not reentrant, and a signal may come during another.
        self._codes: SimpleQueue[int] = SimpleQueue()
        self._signalled_s = 0.0
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        now_s = time.monotonic()
        if self._signalled_s and now_s - self._signalled_s > SAME_WISH_S:
            os._exit(128 + number)  # a second signal means now
        self._signalled_s = self._signalled_s or now_s
        self._codes.put(0)

    def end(self, exit_code: int) -> None:
        """Ask for the end."""
        self._codes.put(exit_code)

    def wait(self) -> int:
        """Wait for a signal or a dead vital thread; return the exit code."""
        while True:
            with suppress(Empty):
                return self._codes.get(timeout=WATCH_PERIOD_S)
            if any(w.dead and w.vital for w in troubled()):
                return 1


def run(make: Callable[[], AnyManagedNode], args: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM, or until a thread has died that it cannot do without.

    With `exit_when_refused` the process ends with code 1 when an autostart is refused; otherwise
    the node stays unconfigured and can be configured again.
    """
    wish = _Wish()
    keep_large_buffers()
    left = remove_leftovers()
    stay_on_this_host()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        # Not rclpy's handlers: they would close the context before the final diagnostics.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make()
    except (ConfigError, ParameterException, RCLError) as e:  # a wrong value, or unreadable
        print(f'error: {e}', file=sys.stderr)
        return 1
    if left:
        node.get_logger().info(f'removed {left / 1e6:.0f} MB of shared memory of Fast DDS that '
                               'killed processes had left')
    if node.declare_parameter('exit_when_refused', False).value:
        node.when_refused = lambda: wish.end(1)
    spinners = spin(node)
    exit_code = wish.wait()
    if not exit_code:
        _let_others_end(node)
    node.cancelled.set()
    idle = [spinner.stop(GRACE_S) for spinner in spinners]
    if not all(idle):
        print(f'{node.get_name()}: exits without waiting for its running callbacks',
              file=sys.stderr)
    _end(node, exit_code, idle=all(idle))
    return exit_code


class Spinner:
    """An executor in a thread of its own."""

    def __init__(self, name: str, node: AnyManagedNode,
                 accepts: Callable[[CallbackGroup], bool]) -> None:
        self.executor = GroupExecutor(node, accepts)
        self._worker = Worker(name, self.executor.step, patience=PATIENCE,
                              failed=node.callback_failed, vital=True)
        self.start = self._worker.start

    def stop(self, timeout_s: float) -> bool:
        """Stop after the current callback; False if that takes longer."""
        self.executor.shutdown()
        return self._worker.stop(timeout_s)


class Spinners(NamedTuple):
    """The three threads of a node, in the order of their end."""

    orders: Spinner
    lane: Spinner
    rest: Spinner


def spin(node: AnyManagedNode) -> Spinners:
    """Spin the node in three threads."""
    own = (node.orders, node.lane)
    orders = Spinner('orders', node, lambda group: group is node.orders)
    lane = Spinner('lane', node, lambda group: group is node.lane)
    rest = Spinner('callbacks', node, lambda group: group not in own)
    rest.executor.add_node(node)
    node.wake_lane, node.settle_lane = lane.executor.wake, lane.executor.settle
    node.on_loop = rest.executor.call
    spinners = Spinners(orders, lane, rest)
    for spinner in spinners:
        spinner.start()
    return spinners


def _let_others_end(node: AnyManagedNode) -> None:
    """Keep running while the node awaits final messages; bounded, and a second signal ends it.

    A launch file's Ctrl-C reaches all nodes at once.
    """
    give_up_s = time.monotonic() + OTHERS_S
    if node.active and node.awaits_others():
        node.get_logger().info(f'ends after those it listens to, {OTHERS_S:.0f} s from now at the '
                               'latest')
    while node.active and node.awaits_others() and time.monotonic() < give_up_s:
        time.sleep(OTHERS_PERIOD_S)


def _end(node: AnyManagedNode, exit_code: int, idle: bool) -> None:
    """Report why, stop working, publish the final diagnostics; no step may prevent the next.

    What a thread still works with is not released, but the node leaves the graph. The middleware
    has been seen to wait for a thread of its own that never ended: after `LEAVE_S` the process
    prints where each thread is, and ends with code 1.
    """
    node.on_loop = lambda step: step()
    stop: list[Callable[[], object]] = [lambda: node.active and node.on_deactivate(ACTIVE)]
    last_words: list[Callable[[], object]] = [
        node.publish_diagnostics, lambda: wait_for_acknowledgements(node)]
    for step in (*(last_words[:1] if exit_code else ()), *(stop if idle else ()), *last_words,
                 *([node.release] if idle else ()), _leave_soon, node.destroy_node,
                 rclpy.shutdown):
        try:
            step()
        except Exception:
            traceback.print_exc()


def _leave_soon() -> None:
    """End the process if it still runs after `LEAVE_S`, also when no Python code can run."""
    faulthandler.dump_traceback_later(LEAVE_S, exit=True)


def wait_for_acknowledgements(node: Node) -> None:
    """Wait until all subscribers have acknowledged; bounded, since some never do."""
    give_up_s = time.monotonic() + LAST_WORDS_S
    for publisher in node.publishers:
        left_s = max(0.0, give_up_s - time.monotonic())
        publisher.wait_for_all_acked(Duration(seconds=left_s))


def exit_at_once(exit_code: int) -> None:
    """End the process without waiting for any thread: the system takes back what they hold."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def main_of(make: Callable[[], AnyManagedNode]) -> Callable[[], None]:
    """Return the entry point of a node executable."""
    def main() -> None:
        exit_code = run(make, sys.argv)
        if running():
            exit_at_once(exit_code)
        sys.exit(exit_code)
    return main
