"""The servers that a drone may use: tensors to each, and status from each."""

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecyclePublisher

from offload_perception.errors import ConfigError
from offload_perception.frames import FeaturePacket
from offload_perception.health.trend import Lasting
from offload_perception.msg import FeatureTensor, ServerBeat, ServerStatus
from offload_perception.nodes import qos
from offload_perception.nodes.convert import feature_message
from offload_perception.nodes.discovery import new_servers
from offload_perception.nodes.managed import AnyManagedNode

AUTO = 'auto'
LOOK_PERIOD_S = 0.5


def namespaces(parameter: str) -> tuple[str, ...]:
    """Return the servers in a comma-separated list, each with one leading slash.

    There is none in `auto`, with which servers are found.

    :raises ConfigError: if there is none, or one twice.
    """
    if parameter.strip() == AUTO:
        return ()
    found = tuple(f'/{name.strip().strip("/")}' for name in parameter.split(',') if name.strip())
    if not found or len(set(found)) < len(found):
        raise ConfigError(f"parameter server is '{parameter}'; give the namespace of a server, "
                          f'or several different ones with commas between, or {AUTO}')
    return found


class Servers:
    """Topics to and from some servers, each named by its namespace.

    Without names it takes all that announce themselves on the network, `MAX_SERVERS` at most.
    """

    def __init__(self, node: AnyManagedNode, names: tuple[str, ...], *, depth: int,
                 on_status: Callable[[str, ServerStatus], None],
                 on_beat: Callable[[str, ServerBeat, dict[str, Any]], None] | None) -> None:
        """Make the topics.

        :param on_beat: gets a server's beat and what the middleware reports of its receiving;
            None = without beats.
        """
        self._node, self._depth = node, depth
        self._on_status, self._on_beat = on_status, on_beat
        self._several: dict[str, Lasting] = {}
        self._publishers: dict[str, LifecyclePublisher] = {}
        self._resources = node.resources  # those of the configuration
        for name in names:
            self._add(name)
        if not names:
            self._look()
            node.add_timer(LOOK_PERIOD_S, self._look)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the servers that are known now."""
        return tuple(self._publishers)

    def _look(self) -> None:
        """Add the servers that have come."""
        for name in new_servers(self._node, self.names):
            self._node.get_logger().info(f'found server {name}')
            with self._node.owned_by(self._resources):
                self._add(name)
            if self._node.session is not None:
                self._publishers[name].on_activate(None)
            self._node.wake_lane()

    def _add(self, name: str) -> None:
        node = self._node
        self._several[name] = Lasting(qos.GHOST_S)
        publisher = node.add_publisher(FeatureTensor, f'{name}/features',
                                       qos.features(self._depth))
        node.add_subscription(ServerStatus, f'{name}/status', partial(self._on_status, name),
                              qos.PERIODIC)
        if self._on_beat is not None:
            node.add_subscription(ServerBeat, f'{name}/beat', partial(self._on_beat, name),
                                  qos.BEAT, lane=True)
        # Replaced, not changed: other threads read it.
        self._publishers = {**self._publishers, name: publisher}

    def send(self, packet: FeaturePacket, server: str) -> bool:
        """Publish a packet to a server; False if it is not subscribed."""
        if not self.listening(server):
            return False
        self._publishers[server].publish(feature_message(packet))
        return True

    def listening(self, server: str) -> bool:
        """Return whether the server's topic has a subscriber."""
        return self._publishers[server].get_subscription_count() > 0

    def problem(self, server: str, now_s: float) -> str:
        """Return what is wrong with a server's topic now; empty if one node serves it."""
        topic = self._publishers[server].topic_name
        serving = [i for i in self._node.get_subscriptions_info_by_topic(topic)
                   if i.node_namespace.strip('/') == server.strip('/')]
        if not serving:
            return f'no server is subscribed to {topic}'
        if self._several[server].update(len(serving) > 1, now_s):
            return (f'{len(serving)} servers answer on {topic}, so every tensor is computed '
                    'more than once; give each a namespace of its own')
        return ''
