"""Follow the mission's policy: how often images are worked on, and how patiently."""

import time
from collections.abc import Callable
from math import inf

from offload_perception.flight.policy import VALID_S
from offload_perception.msg import MissionPolicy
from offload_perception.nodes import qos
from offload_perception.nodes.managed import AnyManagedNode


class MissionFollower:
    """Calls `apply(min_period_s, deadline_scale)` with the current policy; without one 0 and 1."""

    def __init__(self, node: AnyManagedNode, apply: Callable[[float, float], None]) -> None:
        self._node, self._apply = node, apply
        self._received_s, self.policy = -inf, ''
        node.add_subscription(MissionPolicy, 'mission_policy', self._on_policy, qos.LATCHED)

    def _on_policy(self, m: MissionPolicy) -> None:
        self._received_s, self.policy = time.monotonic(), f'{m.policy}: {m.reason}'
        self._apply(m.min_period, m.deadline_scale)

    def expire(self) -> None:
        """Lift a policy that was not repeated in time; call this from a timer."""
        if self.policy and time.monotonic() - self._received_s > VALID_S:
            self.policy = ''
            self._apply(0.0, 1.0)
            self._node.get_logger().warning(f'no mission policy for {VALID_S:.0f} s: full again')
