"""Another node of this one's name that works: a second drone in one namespace."""

import time
from threading import Event

from diagnostic_msgs.msg import DiagnosticArray

from offload_perception.errors import ConfigError
from offload_perception.health import NOT_ACTIVE
from offload_perception.nodes.diagnostics import PERIOD_S
from offload_perception.nodes.managed import AnyManagedNode

LISTEN_S = 5.0 * PERIOD_S


def refuse_namesake(node: AnyManagedNode) -> None:
    """Look whether another node of this name is active; for `load`, which may wait.

    The graph alone is not enough: it keeps a node that was killed, for as long as its lease. One
    that lives publishes its diagnostics.

    :raises ConfigError: if there is one, whose results would be doubled.
    """
    me, name = (node.get_name(), node.get_namespace()), node.get_fully_qualified_name()
    while node.get_node_names_and_namespaces().count(me) < 2:
        if (left_s := node.discovered_s - time.monotonic()) <= 0.0:
            return
        node.cancelled.wait(min(left_s, 0.05))
    found = Event()

    def look(message: DiagnosticArray) -> None:  # this node itself is not active yet
        if any(s.name == name and not s.message.startswith(NOT_ACTIVE) for s in message.status):
            found.set()
    subscription = node.on_loop(
        lambda: node.create_subscription(DiagnosticArray, '/diagnostics', look, 10))
    try:
        if found.wait(LISTEN_S):
            raise ConfigError(f'another {name} is active, so every result would come twice; give '
                              'each drone a namespace of its own (namespace:=drone2)')
    finally:
        node.on_loop(lambda: node.destroy_subscription(subscription))
