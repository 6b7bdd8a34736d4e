"""Topics that match by name and not by QoS, type or its version: nothing useful is delivered."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rclpy.duration import Duration, Infinite
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

from offload_perception.health import Finding, error, warning
from offload_perception.nodes.message_types import name_of

if TYPE_CHECKING:
    from offload_perception.nodes.managed import AnyManagedNode


def mismatches(node: 'AnyManagedNode') -> Iterator[Finding]:
    """Yield what other nodes offer or ask for that a node's own topics do not fit.

    From the graph, since QoS events would wake the executor for each subscription.
    """
    for taken in node.subscriptions:
        topic, kind = taken.topic_name, name_of(taken.msg_type)
        for other in node.get_publishers_info_by_topic(topic):
            name = _name(other)
            if other.topic_type != kind:
                yield error(f'type of {name} on {topic}', f'{name} publishes {other.topic_type} '
                            f'on {topic}, but this node takes {kind}: remap one of them')
            elif _other_version(node, other):
                yield error(f'version of {name} on {topic}', f'{name} publishes another version '
                            f'of {kind} on {topic}: {_SAME_VERSION}')
            elif why := _why(other.qos_profile, taken.qos_profile):
                yield error(f'QoS of {name} on {topic}', f'QoS mismatch on {topic}, nothing '
                            f'arrives from {name}: {why}; {_remedy(node, topic, name)}')
    for given in node.publishers:
        topic = given.topic_name
        for other in node.get_subscriptions_info_by_topic(topic):
            if _other_version(node, other):
                name = _name(other)
                yield warning(f'version of {name} on {topic}', f'{name} takes another version of '
                              f'{other.topic_type} on {topic}: {_SAME_VERSION}')
            elif why := _why(given.qos_profile, other.qos_profile):
                name = _name(other)
                yield warning(f'QoS of {name} on {topic}', f'QoS mismatch on {topic}, {name} gets '
                              f'nothing: {why}; {_remedy(node, topic, name)}')


_SAME_VERSION = 'install the same version of its package on both sides'
_hashes: dict[str, str] = {}  # of the fields of each type as this process has it, by its name


def _other_version(node: 'AnyManagedNode', other: TopicEndpointInfo) -> bool:
    """Return whether an endpoint's message of the same name has other fields (REP 2016).

    DDS still delivers it, and what is read makes no sense, or there is nothing to read.
    """
    ours = _hashes.get(other.topic_type) or _own_hash(node, other.topic_type)
    theirs = str(other.topic_type_hash)
    return ours != theirs and 'INVALID' not in (ours, theirs)


def _own_hash(node: 'AnyManagedNode', kind: str) -> str:
    """Return the hash of a type by one of the node's own endpoints in the graph."""
    topics = [(node.get_subscriptions_info_by_topic, s.topic_name) for s in node.subscriptions
              if name_of(s.msg_type) == kind]
    topics += [(node.get_publishers_info_by_topic, p.topic_name) for p in node.publishers
               if name_of(p.msg_type) == kind]
    for look, topic in topics:
        for found in look(topic):
            if _name(found) == node.get_fully_qualified_name():
                _hashes[kind] = str(found.topic_type_hash)
                return _hashes[kind]
    return 'INVALID'


def _why(publisher: QoSProfile, subscription: QoSProfile) -> str:
    """Return which policies do not match; empty if messages flow."""
    compatible, reason = qos_check_compatible(_specified(publisher), _specified(subscription))
    if compatible != QoSCompatibility.ERROR:
        return ''
    return str(reason).replace('ERROR: ', '').strip('; ').replace(';', ', ').lower()


def _specified(profile: QoSProfile) -> QoSProfile:
    """Return a profile without its infinite durations: discovery reports unset ones as infinite,
    and the check would take that as a request.
    """
    return QoSProfile(
        depth=1, reliability=profile.reliability, durability=profile.durability,
        liveliness=profile.liveliness, deadline=_finite(profile.deadline),
        liveliness_lease_duration=_finite(profile.liveliness_lease_duration))


def _finite(duration: Duration) -> Duration:
    return Duration() if duration >= Infinite else duration


def _remedy(node: 'AnyManagedNode', topic: str, other: str) -> str:
    return node.qos_remedy(topic) or f'change the QoS of {other}'


def _name(endpoint: TopicEndpointInfo) -> str:
    """Return a node's full name; a DDS program that is no ROS node has none."""
    if endpoint.node_name.startswith('_'):
        return 'a program that is no ROS node'
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'
