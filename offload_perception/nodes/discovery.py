"""What other nodes publish, by type and name, wherever they are."""

from rclpy.node import Node

from offload_perception.msg import ServerStatus
from offload_perception.nodes.message_types import name_of

MAX_SERVERS = 32
"""With more of them those that are found later are not used: names can be forged."""


def publishing(node: Node, kind: type, name: str) -> list[str]:
    """Return the namespaces in which a topic of a name and type has a publisher."""
    return [topic.rpartition('/')[0] or '/' for topic, kinds in node.get_topic_names_and_types()
            if topic.endswith(f'/{name}') and name_of(kind) in kinds
            and node.count_publishers(topic)]


def new_servers(node: Node, known: tuple[str, ...]) -> list[str]:
    """Return the namespaces of servers that are not known yet, `MAX_SERVERS` in all."""
    found = sorted({*publishing(node, ServerStatus, 'status')} - {*known})
    return found[:max(MAX_SERVERS - len(known), 0)]
