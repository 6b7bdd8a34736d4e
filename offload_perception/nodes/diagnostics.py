"""The health that a node publishes: findings and values, each source with an error boundary."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ROSClock

from offload_perception.health import (
    NOT_ACTIVE,
    Finding,
    Steady,
    as_values,
    error,
    verdict,
    warning,
)
from offload_perception.health.clocks import LoopWatch
from offload_perception.health.guard import fault, guarded, thread_findings
from offload_perception.health.trend import Lasting
from offload_perception.incoming import text
from offload_perception.nodes.endpoint_check import mismatches
from offload_perception.nodes.qos import GHOST_S
from offload_perception.threads import troubled

if TYPE_CHECKING:
    from offload_perception.nodes.managed import AnyManagedNode

PERIOD_S = 1.0
LONGEST_TEXT = 2000  # characters; texts from outside were cut before


class Diagnostics:
    """Publishes the health of one node; `fault` is a finding for the next message only."""

    def __init__(self, node: 'AnyManagedNode') -> None:
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._steady, self._loop = Steady(), LoopWatch(PERIOD_S)
        self._before: object = None
        self._doubled = Lasting(GHOST_S)
        self.fault: Finding | None = None

    def publish(self, node: 'AnyManagedNode') -> None:
        """Publish the node's current health, and log what is new in it."""
        now_s = time.monotonic()
        values, faults = _values(node)
        self._forget_before_a_transition(node)
        found = self._steady.update((*self._find(node, now_s), *faults), now_s)
        for finding in self._steady.due(now_s):
            if finding.level:  # two calls: rclpy raises if one call changes its severity
                node.get_logger().warning(finding.text)
            else:
                node.get_logger().info(finding.text)
        level, message = verdict(node.doing if node.active else NOT_ACTIVE, found)
        values = {**as_values(found), **values}
        status = DiagnosticStatus(
            level=bytes([level]), name=node.get_fully_qualified_name(),
            message=text(message, LONGEST_TEXT),
            hardware_id=node.get_namespace(),
            values=[KeyValue(key=text(k), value=text(str(v), LONGEST_TEXT))
                    for k, v in values.items()])
        array = DiagnosticArray(status=[status])
        array.header.stamp = node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _forget_before_a_transition(self, node: 'AnyManagedNode') -> None:
        """Forget earlier findings at a transition, which may take long."""
        state = node.active, node.state_now
        if state != self._before:
            self._steady.clear()
            self._loop.restart()
        self._before = state

    def _find(self, node: 'AnyManagedNode', now_s: float) -> Iterator[Finding]:
        own, self.fault = self.fault, None
        yield from (f for f in (own, node.state_now) if f)
        yield from thread_findings(troubled())
        if not node.active:
            return
        if late := self._loop.tick(now_s):
            yield late
        if _awaits_first_time(node.get_clock()):
            yield warning('clock', 'use_sim_time is set and no /clock comes, so what this node '
                          'stamps itself is stamped 0: play or simulate a clock, or leave '
                          'use_sim_time false')
        yield from guarded('topics', lambda: mismatches(node))
        yield from node.border.findings()
        yield from guarded('name', lambda: self._namesakes(node, now_s))
        yield from guarded(node.get_name(), lambda: node.findings(now_s))

    def _namesakes(self, node: 'AnyManagedNode', now_s: float) -> Iterator[Finding]:
        """Yield a finding if other nodes have this name, as with two drones in one namespace."""
        me = node.get_name(), node.get_namespace()
        count = node.get_node_names_and_namespaces().count(me)
        if self._doubled.update(count > 1, now_s):
            yield error('name', f'{count} nodes are called {node.get_fully_qualified_name()}, so '
                        'that what each publishes is doubled or mixed up: give each drone and '
                        'each server a namespace of its own (namespace:=drone2)')


def _awaits_first_time(clock: Clock) -> bool:
    """Return whether a clock follows /clock, and nothing has come there."""
    return isinstance(clock, ROSClock) and clock.ros_time_is_active and not clock.now().nanoseconds


def _values(node: 'AnyManagedNode') -> tuple[dict[str, Any], tuple[Finding, ...]]:
    try:
        return node.values(), ()
    except Exception as e:
        return {}, (fault('values', e),)
