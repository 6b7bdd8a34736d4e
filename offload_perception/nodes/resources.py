"""A lifecycle node that owns what it creates: each thing goes with what it was created for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from offload_perception.nodes.border import Border

STEADY = Clock(clock_type=ClockType.STEADY_TIME)


class ResourceNode(LifecycleNode):
    """Creates publishers, subscriptions and timers that end with `resources`.

    None of them has rclpy's handlers of middleware events, which each wake-up of an executor would
    go through; the diagnostics report what they would log.

    :ivar resources: gives back what is taken now; `ManagedNode` says until when.
    :ivar border: checks the messages of the subscriptions.
    :ivar lane: callback group of the subscriptions that carry frames.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.resources = ExitStack()
        self.lane = MutuallyExclusiveCallbackGroup()
        self.border = Border(self)

    def create_timer(self, timer_period_sec: float, callback: Callable[..., Any],
                     callback_group: CallbackGroup | None = None, clock: Clock | None = None,
                     autostart: bool = True) -> Timer:
        """Return a timer of a steady clock: with `use_sim_time` a paused /clock stops no work."""
        return super().create_timer(timer_period_sec, callback, callback_group,
                                    STEADY if clock is None else clock, autostart)

    def get_logger(self) -> RcutilsLogger:
        """Return the node's logger; rclpy does not say of which type it is."""
        logger: RcutilsLogger = Node.get_logger(self)
        return logger

    @contextmanager
    def owned_by(self, resources: ExitStack) -> Iterator[None]:
        """Have what is created in this context end with other resources than those of now."""
        before, self.resources = self.resources, resources
        try:
            yield
        finally:
            self.resources = before

    def add_publisher(self, kind: type, topic: str, profile: QoSProfile) -> LifecyclePublisher:
        """Return a publisher that is enabled while the node is active."""
        create: Callable[..., LifecyclePublisher] = self.create_lifecycle_publisher
        publisher = create(kind, topic, profile, event_callbacks=PublisherEventCallbacks(
            use_default_callbacks=False))
        self.resources.callback(self.destroy_lifecycle_publisher, publisher)
        return publisher

    def add_subscription(self, kind: type, topic: str, take: Callable[..., None],
                         profile: QoSProfile, *, lane: bool = False) -> Subscription:
        """Subscribe; `take` gets the messages that pass the check of `telemetry.rules`.

        :param lane: whether they come in a thread of their own, as those that carry frames.
        """
        subscription = self.subscribe(kind, topic, self.border.checked(kind, topic, take), profile,
                                      callback_group=self.lane if lane else None)
        self.resources.callback(self.destroy_subscription, subscription)
        return subscription

    def subscribe(self, kind: type, topic: str, take: Callable[..., None], profile: QoSProfile,
                  **options: Any) -> Subscription:
        """Subscribe until the caller destroys it; `take` gets all messages."""
        return self.create_subscription(
            kind, topic, take, profile, **options,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))

    def add_timer(self, period_s: float, call: Callable[[], None]) -> Timer:
        """Have `call` called every `period_s`."""
        timer = self.create_timer(period_s, call)
        self.resources.callback(self.destroy_timer, timer)
        return timer
