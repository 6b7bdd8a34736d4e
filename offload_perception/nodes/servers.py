"""The servers that a drone may use: tensors to each, and status from each."""

from collections.abc import Callable
from functools import partial
from typing import Any

from offload_perception.errors import ConfigError
from offload_perception.frames import FeaturePacket
from offload_perception.health.trend import Lasting
from offload_perception.msg import FeatureTensor, ServerBeat, ServerStatus
from offload_perception.nodes import qos
from offload_perception.nodes.convert import feature_message
from offload_perception.nodes.managed import AnyManagedNode


def namespaces(parameter: str) -> tuple[str, ...]:
    """Return the servers in a comma-separated list, each with one leading slash.

    :raises ConfigError: if there is none, or one twice.
    """
    found = tuple(f'/{name.strip().strip("/")}' for name in parameter.split(',') if name.strip())
    if not found or len(set(found)) < len(found):
        raise ConfigError(f"parameter server is '{parameter}'; give the namespace of a server, "
                          'or several different ones with commas between')
    return found


class Servers:
    """Topics to and from some servers, each named by its namespace."""

    def __init__(self, node: AnyManagedNode, names: tuple[str, ...], *, depth: int,
                 on_status: Callable[[str, ServerStatus], None],
                 on_beat: Callable[[str, ServerBeat, dict[str, Any]], None] | None) -> None:
        """Make the topics.

        :param on_beat: gets a server's beat and what the middleware reports of its receiving;
            None = without beats.
        """
        self._node, self.names = node, names
        self._several = {name: Lasting(qos.GHOST_S) for name in names}
        self._publishers = {name: node.add_publisher(FeatureTensor, f'{name}/features',
                                                     qos.features(depth)) for name in names}
        for name in names:
            node.add_subscription(ServerStatus, f'{name}/status', partial(on_status, name),
                                  qos.PERIODIC)
            if on_beat is not None:
                node.add_subscription(ServerBeat, f'{name}/beat', partial(on_beat, name),
                                      qos.BEAT, lane=True)

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
