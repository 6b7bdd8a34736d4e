"""What all nodes of this package share: lifecycle, parameters, diagnostics, a clean end."""

import inspect
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import (
    LifecycleState,
    TransitionCallbackReturn,
)
from rclpy.parameter import Parameter

from offload_perception.errors import CancelledError, OffloadError
from offload_perception.health import NOT_ACTIVE, Finding, error, note
from offload_perception.nodes import params, qos
from offload_perception.nodes.diagnostics import PERIOD_S, Diagnostics
from offload_perception.nodes.resources import ResourceNode
from offload_perception.nodes.setup import Setup

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR

ConfigT = TypeVar('ConfigT', bound='DataclassInstance')
SessionT = TypeVar('SessionT', bound='Session')


class Session:
    """What one activation of a node works with; `activate` makes it, and it ends with that."""

    def start(self) -> None:
        """Start what calls the node back; `to_session` leads to this session from now on."""

    def findings(self, now_s: float) -> Iterable[Finding]:
        """Return what is wrong now, at `now_s` (monotonic)."""
        return ()

    def values(self) -> dict[str, Any]:
        """Return further values for the diagnostics."""
        return {}


class ManagedNode(ResourceNode, Generic[ConfigT, SessionT]):
    """A lifecycle node with checked parameters, `autostart` and diagnostics.

    A subclass says what it needs in `load`, `configure` and `activate`; an OffloadError there
    refuses the transition with its message in the log. What it takes there it gives back through
    `resources`, an ExitStack: that of the configuration in `load` and `configure`, that of the
    activation in `activate`. `add_publisher` and the like do so themselves. Whatever belongs to
    one activation is held by the session that `activate` returns.

    Requests to change the state are served in a thread of their own, so that all else goes on
    during `load`; every other step runs where the callbacks run (`on_loop`), between them.

    :ivar session: the session while the node is active, None otherwise.
    :ivar latest: the session of the last activation since the node was configured.
    :ivar doing: what the diagnostics say if all is well.
    """

    doing = 'running'

    def __init__(self, name: str, config_class: type[ConfigT], **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._config_class = config_class
        params.declare(self, config_class)
        self._config: ConfigT | None = None
        self.session: SessionT | None = None
        self.latest: SessionT | None = None
        self._configuration = self.resources
        self._refusal = self._loading = ''
        self.cancelled = Event()  # the process is to end
        self.discovered_s = time.monotonic() + params.declare_discovery_s(self, qos.DISCOVERY_S)
        self.when_refused: Callable[[], None] = lambda: None
        self.wake_lane: Callable[[], None] = lambda: None  # it has new subscriptions
        self.settle_lane: Callable[[], None] = lambda: None  # subscriptions of it have gone
        self.on_loop: Callable[[Callable[[], Any]], Any] = lambda step: step()
        self.orders = MutuallyExclusiveCallbackGroup()  # of requests to change the state
        self._take_orders()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._health, self._setup = Diagnostics(self), Setup(self)
        self._diagnostics_timer = self.create_timer(PERIOD_S, self.publish_diagnostics)
        self._stays_inactive = self.declare_parameter('stay_inactive', False).value
        if self.declare_parameter('autostart', True).value:
            self._autostart_timer = self.create_timer(0.0, self._autostart,
                                                      callback_group=self.orders)

    @property
    def configured(self) -> bool:
        """Return whether the node has a configuration."""
        return self._config is not None

    @property
    def config(self) -> ConfigT:
        """Return the parameters' values while the node is configured."""
        config = self._config  # another thread may be releasing it
        if config is None:
            raise RuntimeError(f'{self.get_name()} is not configured')
        return config

    @property
    def active(self) -> bool:
        """Return whether the node works."""
        return self.session is not None

    # -- for subclasses ---------------------------------------------------------------------

    def load(self) -> None:
        """Do what takes long before `configure`; call `progress` between its steps.

        Callbacks run at the same time, so topics, timers and the like are not for here.
        """

    def configure(self) -> None:
        """Open and create what the node needs; `self.config` is set."""

    def activate(self) -> SessionT:
        """Start working, publishers are enabled; return the session of this activation."""
        raise NotImplementedError

    def awaits_others(self) -> bool:
        """Return whether others of the graph may still say what this active node must hear.

        Asked when the process is to end, from another thread than that of the callbacks.
        """
        return False

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Apply changed values of dynamic parameters; `self.config` has them already."""

    def verify(self, changes: dict[str, Any]) -> None:
        """Raise an OffloadError if changed values of dynamic parameters cannot be taken."""

    def findings(self, now_s: float) -> Iterable[Finding]:
        """Return what is wrong now, at `now_s` (monotonic); called only while active."""
        return () if self.session is None else self.session.findings(now_s)

    def values(self) -> dict[str, Any]:
        """Return further values for the diagnostics; called in every state."""
        return {} if self.latest is None else self.latest.values()

    def qos_remedy(self, topic: str) -> str:
        """Return how this node's QoS on `topic` can be changed; empty = it cannot."""
        return ''

    def progress(self, text: str) -> None:
        """Report the current step of `load`.

        :raises CancelledError: if the process is to end.
        """
        self.raise_if_cancelled()
        self._loading = text
        self.get_logger().info(text)

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError if the process is to end."""
        if self.cancelled.is_set():
            raise CancelledError('the process is to end')

    # -- sessions -------------------------------------------------------------------------------

    def to_session(self, method: Callable[..., None]) -> Callable[..., None]:
        """Return a callback that calls a method of the session that there is when it is called.

        What comes while the node is not active is ignored.

        :param method: of the session's class, not bound.
        """
        def receive(*arguments: Any) -> None:
            session = self.session  # another thread may be ending it
            if session is not None:
                method(session, *arguments)
        signature = inspect.signature(method)
        receive.__signature__ = signature.replace(  # type: ignore[attr-defined]  # rclpy asks
            parameters=list(signature.parameters.values())[1:])
        return receive

    # -- transitions ------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load what takes long, and configure."""
        return self._guard('configure', self._configure)

    def _configure(self) -> None:
        self._config = params.read(self, self._config_class)
        self._loading = 'loading'
        try:
            self.load()
            self.on_loop(self.configure)
        except BaseException:
            self.on_loop(self.release)
            raise
        finally:
            self._loading = ''
        self.wake_lane()

    def release(self) -> None:
        """Give back what configuring took; may run twice."""
        try:
            self._configuration.close()
        finally:
            self.settle_lane()
            self._config = self.latest = None

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers, then start working; if that fails, neither."""
        return self.on_loop(partial(self._activate, state))

    def _activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        self.resources = ExitStack()
        result = self._guard('activate', self._begin)
        if result == SUCCESS:
            self._setup.publish(self)
        else:
            refusal = self._refusal
            self._guard('deactivate', self._stop)
            super().on_deactivate(state)
            self._refusal = refusal
        return result

    def _begin(self) -> None:
        self.session = self.latest = self.activate()
        self.session.start()
        self.wake_lane()

    def _stop(self) -> None:
        activation, self.resources = self.resources, self._configuration
        try:
            activation.close()
        finally:
            self.session = None

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working, then disable the publishers."""
        return self.on_loop(partial(self._deactivate, state))

    def _deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._guard('deactivate', self._stop)
        super().on_deactivate(state)
        return result if result == SUCCESS else ERROR  # FAILURE would leave the state active

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        result = self.on_loop(lambda: self._guard('clean up', self.release))
        return result if result == SUCCESS else ERROR  # FAILURE would leave it half released

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working if need be, and give everything back."""
        if self.active:
            self.on_deactivate(state)
        return self.on_loop(lambda: self._guard('shut down', self.release))

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, so that the node can be configured again."""
        refusal = self._refusal
        result = self.on_loop(lambda: self._guard('recover', self.release))
        self._refusal = self._refusal or refusal
        return result

    def _guard(self, what: str, step: Callable[[], None]) -> TransitionCallbackReturn:
        """Run a transition; rclpy would swallow its exception without a word."""
        try:
            step()
            self._refusal = ''
        except CancelledError as e:
            self.get_logger().info(f'{what} was given up: {e}')
            return FAILURE
        except OffloadError as e:
            self._refusal = f'refused to {what}: {e}'
            self.get_logger().error(self._refusal)
            return FAILURE
        except Exception as e:
            self._refusal = f'failed to {what}: {type(e).__name__}: {e}'
            self.get_logger().error(f'{self._refusal}\n{traceback.format_exc()}')
            return FAILURE
        return SUCCESS

    def _take_orders(self) -> None:
        """Serve `change_state` among the orders; a request that does not fit is refused.

        rclpy of Jazzy raises there, which would end the node; that of Kilted says little.
        """
        service = self._service_change_state
        service.callback = partial(self._on_change_state, service.callback)
        service.callback_group = self.orders
        self.orders.add_entity(service)

    def _on_change_state(self, change: Callable[..., ChangeState.Response],
                         request: ChangeState.Request,
                         response: ChangeState.Response) -> ChangeState.Response:
        asked = request.transition
        if any(asked.label == label if asked.label else asked.id == number
               for number, label, *_ in self._state_machine.available_transitions):
            return change(request, response)
        self.get_logger().warning(
            f'transition {asked.label[:40]!r} ({asked.id}) does not fit: this node is '
            f'{self._state_machine.current_state[1]}')
        response.success = False
        return response

    def _autostart(self) -> None:
        """Take the steps to `active` that no launch file has taken yet, or to `inactive`."""
        self._autostart_timer.destroy()
        steps: tuple[tuple[str, Callable[[], TransitionCallbackReturn]], ...] = (
            ('unconfigured', self.trigger_configure), ('inactive', self.trigger_activate))
        for state, step in steps[:1] if self._stays_inactive else steps:
            if self._state_machine.current_state[1] == state and step() != SUCCESS:
                self.when_refused()
                return

    # -- parameters -------------------------------------------------------------------------

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            return self._judged(changes)
        except Exception as e:  # the caller is to hear of it, and the node goes on
            self.callback_failed(e)
            return SetParametersResult(reason=f'{type(e).__name__}: {e}')

    def _judged(self, changes: list[Parameter]) -> SetParametersResult:
        if self._loading:
            return SetParametersResult(reason=f'this node is busy ({self._loading}); try again '
                                       'when it is configured')
        result = params.verdict(self._config_class, changes, self._config)
        if result.successful and self._config is not None:
            try:
                self.verify(params.changed(self._config_class, self._config, changes))
            except OffloadError as e:
                result.successful, result.reason = False, str(e)
        return result

    def _after_set_parameters(self, changes: list[Parameter]) -> None:
        if self._config is None:
            return
        new = params.changed(self._config_class, self._config, changes)
        if new:
            self._config = replace(self._config, **new)
            if self.active:
                self._setup.publish(self)
                self._reconfigure(new)

    def _reconfigure(self, changes: dict[str, Any]) -> None:
        try:
            self.reconfigure(changes)
        except Exception as e:  # the value is set, and its caller is to hear that
            self.callback_failed(e)

    # -- diagnostics ------------------------------------------------------------------------

    def callback_failed(self, e: Exception) -> None:
        """Report what a callback raised; the node goes on."""
        self._health.fault = error('callback', f'a callback failed: {type(e).__name__}: {e}')
        lines = ''.join(traceback.format_exception(e))
        self.get_logger().error(f'a callback failed:\n{lines}', throttle_duration_sec=5.0)

    def publish_diagnostics(self) -> None:
        """Publish the node's health now, and log what is new in it."""
        self._health.publish(self)

    @property
    def state_now(self) -> Finding | None:
        """Return why the node is not active, if that is worth a word."""
        if self.active:
            return None
        if self._loading:
            return note('state', self._loading)
        return error('state', f'{NOT_ACTIVE}: {self._refusal}') if self._refusal else None


AnyManagedNode = ManagedNode[Any, Any]
"""A node of any parameters and session."""
