"""What all nodes of this package share: lifecycle, parameters, diagnostics, a clean end."""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from offload_perception.errors import OffloadError
from offload_perception.health import Finding, Steady, as_values, error, verdict
from offload_perception.health.clocks import LoopWatch
from offload_perception.memory import keep_large_buffers
from offload_perception.nodes import params
from offload_perception.nodes.executor import GroupExecutor
from offload_perception.nodes.qos_check import mismatches

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
# Python lets a thread keep its lock for 5 ms by default; a frame's worker would wait as long for
# the executor's.
SWITCH_INTERVAL_S = 0.0005
LAST_WORDS_S = 2.0  # for all of them: on a busy computer a listener may take that long
DIAGNOSTICS_PERIOD_S = 1.0
NOT_ACTIVE = 'not active'


class ManagedNode(LifecycleNode):
    """A lifecycle node with checked parameters, `autostart` and diagnostics.

    A subclass says what it needs in `configure`, `activate`, `deactivate` and `release`; an
    OffloadError there refuses the transition with its message in the log. `release` may run
    twice. `findings` and `values` fill the diagnostics; `doing` is what they say where all is
    well.
    """

    doing = 'running'

    def __init__(self, name: str, config_class: type, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._config_class = config_class
        params.declare(self, config_class)
        self.config: Any = None
        self.active = False
        self._refusal = ''
        self._steady, self._loop = Steady(), LoopWatch(DIAGNOSTICS_PERIOD_S)
        self.when_refused: Callable[[], None] = lambda: None
        self.wake_lane: Callable[[], None] = lambda: None  # its subscriptions have changed
        self.lane = MutuallyExclusiveCallbackGroup()  # of the subscriptions that carry frames
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._diagnostics_timer = self.create_timer(
            DIAGNOSTICS_PERIOD_S, self.publish_diagnostics)
        if self.declare_parameter('autostart', True).value:
            self._autostart_timer = self.create_timer(0.0, self._autostart)

    # -- for subclasses ---------------------------------------------------------------------

    def configure(self) -> None:
        """Open and create what the node needs; `self.config` is set."""

    def activate(self) -> None:
        """Start working; publishers are enabled."""

    def deactivate(self) -> None:
        """Stop working; publishers are still enabled."""

    def release(self) -> None:
        """Give back what `configure` took; may run twice."""

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Apply changed values of dynamic parameters; `self.config` has them already."""

    def verify(self, changes: dict[str, Any]) -> None:
        """Raise an OffloadError where changed values of dynamic parameters cannot be taken."""

    def findings(self, now_s: float) -> Iterable[Finding]:
        """Return what is wrong now, at `now_s` (monotonic); asked only while active."""
        return ()

    def values(self) -> dict[str, Any]:
        """Return what else the diagnostics should tell; asked in every state."""
        return {}

    def mend_qos(self, topic: str) -> str:
        """Return how this node's QoS on `topic` can be changed; empty = it cannot."""
        return ''

    # -- transitions ------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and configure."""
        return self._guard('configure', self._configure)

    def _configure(self) -> None:
        self.config = params.read(self, self._config_class)
        try:
            self.configure()
        except BaseException:
            self._release()
            raise
        self.wake_lane()

    def _release(self) -> None:
        self.release()
        self.wake_lane()
        self.config = None

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers, then start working."""
        super().on_activate(state)
        result = self._guard('activate', self.activate)
        self.active = result == SUCCESS
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working, then disable the publishers."""
        result = self._guard('deactivate', self.deactivate)
        self.active = False
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        return self._guard('clean up', self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working if need be, and give everything back."""
        if self.active:
            self.on_deactivate(state)
        return self._guard('shut down', self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, so that the node can be configured again."""
        self.active = False
        return self._guard('recover', self._release)

    def _guard(self, what: str, step: Callable[[], None]) -> TransitionCallbackReturn:
        """Run a transition; rclpy would swallow its exception without a word."""
        try:
            step()
            self._refusal = ''
        except OffloadError as e:
            self._refusal = f'refused to {what}: {e}'
            self.get_logger().error(self._refusal)
            return FAILURE
        except Exception as e:
            self._refusal = f'failed to {what}: {type(e).__name__}: {e}'
            self.get_logger().error(f'{self._refusal}\n{traceback.format_exc()}')
            return FAILURE
        finally:  # a transition may take long, and ends what was found before
            self._loop.restart()
            self._steady.clear()
        return SUCCESS

    def _autostart(self) -> None:
        self._autostart_timer.destroy()
        if self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS:
            self.when_refused()

    # -- parameters -------------------------------------------------------------------------

    def _on_set_parameters(self, changes: list[Parameter]):
        result = params.verdict(self._config_class, changes, self.config is not None)
        if result.successful and self.config is not None:
            try:
                self.verify(params.changed(self._config_class, self.config, changes))
            except OffloadError as e:
                result.successful, result.reason = False, str(e)
        return result

    def _after_set_parameters(self, changes: list[Parameter]) -> None:
        if self.config is None:
            return
        new = params.changed(self._config_class, self.config, changes)
        if new:
            self.config = replace(self.config, **new)
            if self.active:
                self.reconfigure(new)

    # -- diagnostics ------------------------------------------------------------------------

    def publish_diagnostics(self) -> None:
        """Publish the node's health now, and log what is new in it."""
        now_s = time.monotonic()
        found = self._steady.update(self._find(now_s), now_s)
        for news in self._steady.news(now_s):
            if news.level:  # two calls: rclpy raises where one call changes its severity
                self.get_logger().warning(news.text)
            else:
                self.get_logger().info(news.text)
        level, message = verdict(self.doing if self.active else NOT_ACTIVE, found)
        values = {**as_values(found), **self.values()}
        status = DiagnosticStatus(
            level=bytes([level]), name=self.get_fully_qualified_name(), message=message,
            hardware_id=self.get_namespace(),
            values=[KeyValue(key=k, value=str(v)) for k, v in values.items()])
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _find(self, now_s: float) -> Iterator[Finding]:
        if not self.active:
            if self._refusal:
                yield error('state', f'{NOT_ACTIVE}: {self._refusal}')
            return
        if late := self._loop.tick(now_s):
            yield late
        yield from mismatches(self)
        yield from self.findings(now_s)


def run(node_class: type[ManagedNode], args: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM; the main of every node executable.

    With `exit_when_refused` the process ends with code 1 when an autostart is refused; otherwise
    the node stays unconfigured and can be configured again.
    """
    # Not an Event: setting one is not reentrant, and a second signal may come during the first.
    stop: SimpleQueue[int] = SimpleQueue()  # of exit codes; the first counts
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, lambda *_: stop.put(0))
    keep_large_buffers()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        # Not rclpy's handlers: they would close the context before the node's last word.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = node_class()
    except (ParameterException, RCLError) as e:  # of a wrong type or out of range, or unreadable
        print(f'error: {e}', file=sys.stderr)
        return 1
    if node.declare_parameter('exit_when_refused', False).value:
        node.when_refused = lambda: stop.put(1)
    lane = GroupExecutor(node, lambda group: group is node.lane)
    rest = GroupExecutor(node, lambda group: group is not node.lane)
    rest.add_node(node)
    node.wake_lane = lane.wake
    spinners = [threading.Thread(target=_spin, args=(executor, node, stop), daemon=True)
                for executor in (lane, rest)]
    for spinner in spinners:
        spinner.start()
    exit_code = stop.get()
    for executor in (lane, rest):
        executor.shutdown()
    for spinner in spinners:
        spinner.join()
    if node.active:
        node.on_deactivate(None)
    node.publish_diagnostics()
    _let_last_words_arrive(node)
    node.release()
    node.destroy_node()
    rclpy.shutdown()
    return exit_code


def _let_last_words_arrive(node: ManagedNode) -> None:
    """Wait until everybody who listens has what was published; bounded, for some never answer."""
    give_up_s = time.monotonic() + LAST_WORDS_S
    for publisher in node.publishers:
        left_s = max(0.0, give_up_s - time.monotonic())
        publisher.wait_for_all_acked(Duration(seconds=left_s))


def _spin(executor: GroupExecutor, node: ManagedNode, stop: SimpleQueue[int]) -> None:
    """Spin; a callback that raises ends the process, as it does under `rclpy.spin`."""
    try:
        executor.spin()
    except Exception:
        node.get_logger().fatal(f'a callback failed:\n{traceback.format_exc()}')
        stop.put(1)


def main_of(node_class: type[ManagedNode]) -> Callable[[], None]:
    """Return the entry point of a node executable."""
    def main() -> None:
        sys.exit(run(node_class, sys.argv))
    return main
