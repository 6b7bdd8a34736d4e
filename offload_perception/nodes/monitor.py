"""Subscribe to one drone, for a viewer; not a part of the graph."""

from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from offload_perception.live.state import LiveState
from offload_perception.live.warnings import Health
from offload_perception.msg import (
    Classification,
    FrameEnergy,
    FrameLatency,
    MissionPolicy,
    OffloadDecision,
    PowerSample,
    ServerStatus,
)
from offload_perception.nodes import qos
from offload_perception.nodes.border import Border
from offload_perception.nodes.message_types import name_of
from offload_perception.nodes.servers import namespaces


def listen(node: Node, border: Border, state: LiveState) -> list[Any]:
    """Feed `state` from the topics in the node's namespace; return the subscriptions."""
    def on_diagnostics(m: DiagnosticArray) -> None:
        for s in m.status:
            state.add_health(s.name, int.from_bytes(s.level), s.message,
                             {v.key: v.value for v in s.values})

    topics: list[tuple[type, str, Callable[[Any], None], Any]] = [
        (FrameLatency, 'frame_latency', state.add_frame, qos.TELEMETRY),
        (FrameEnergy, 'frame_energy', state.add_energy, qos.TELEMETRY),
        (PowerSample, 'power', state.add_power, qos.TELEMETRY),
        (OffloadDecision, 'offload_decision', state.add_decision, qos.LATCHED),
        (MissionPolicy, 'mission_policy', state.add_policy, qos.LATCHED),
        (Classification, 'classification', state.add_result, qos.RESULTS),
        (Classification, 'ground_truth', state.add_truth, qos.TELEMETRY),
        (DiagnosticArray, '/diagnostics', on_diagnostics, 10),
        *((ServerStatus, f'{name}/status', partial(state.add_server, name), qos.LATCHED)
          for name in state.servers)]
    return [node.create_subscription(kind, topic, border.checked(kind, topic, take), profile)
            for kind, topic, take, profile in topics]


class MonitorNode(Node):
    """Listens to the drone in its namespace, from its construction on."""

    def __init__(self, *, server: str = '/server', **kwargs: Any) -> None:
        super().__init__('monitor', **kwargs)
        self.state = LiveState(self.get_namespace(), namespaces(server))
        self.summary = self.state.summary
        listen(self, Border(self), self.state)

    @property
    def server_seen(self) -> bool:
        """Return whether a server has announced itself."""
        return any(self.state.servers.values())

    def health_of(self, name: str) -> Health | None:
        """Return the last diagnostics of the node `name` in this namespace."""
        return self.state.node(name)

    def absent(self) -> str:
        """Return that no drone is in this namespace, and if others are; empty if one is."""
        drones = [topic.rpartition('/')[0] or '/'
                  for topic, kinds in self.get_topic_names_and_types()
                  if name_of(FrameLatency) in kinds and self.count_publishers(topic)]
        if self.get_namespace() in drones:
            return ''
        where = f'there are {", ".join(sorted(drones))}' if drones else (
            'nor anywhere else; look at ROS_DOMAIN_ID and the network')
        return f'no drone in {self.get_namespace()}: {where}'

    def snapshot(self) -> dict[str, Any]:
        """Return what a viewer shows, with a caveat if no drone is in this namespace."""
        shown = self.state.snapshot()
        if absent := self.absent():
            shown['caveats'].insert(0, absent)
        return shown

    @property
    def images_published(self) -> int | None:
        """Return how many images the camera says it has published."""
        health = self.health_of('camera')
        return int(health.values['frames published']) if health else None
