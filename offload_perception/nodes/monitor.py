"""Subscribe to one drone, or to all of the network, for a viewer; not a part of the graph."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from offload_perception.live.fleet_state import FleetState
from offload_perception.live.state import LiveState
from offload_perception.live.warnings import Health
from offload_perception.msg import (
    Classification,
    FrameEnergy,
    FrameLatency,
    MissionPolicy,
    OffloadDecision,
    PowerSample,
    ServedDrones,
    ServerStatus,
)
from offload_perception.nodes import qos
from offload_perception.nodes.border import Border
from offload_perception.nodes.discovery import publishing
from offload_perception.nodes.servers import namespaces

LOOK_PERIOD_S = 0.5
Take = Callable[[LiveState, Any], None]
Subscribed = tuple[type, Callable[[Any], None], QoSProfile]
"""What a subscription is made of: type, callback, profile."""

# For a drone's line in the table, and for all that is shown of it.
_LINE: tuple[tuple[type, str, Take, QoSProfile], ...] = (
    (FrameLatency, 'frame_latency', LiveState.add_frame, qos.ENDS),
    (PowerSample, 'power', LiveState.add_power, qos.TELEMETRY))
_FULL: tuple[tuple[type, str, Take, QoSProfile], ...] = (
    *_LINE,
    (FrameEnergy, 'frame_energy', LiveState.add_energy, qos.TELEMETRY),
    (OffloadDecision, 'offload_decision', LiveState.add_decision, qos.LATCHED),
    (MissionPolicy, 'mission_policy', LiveState.add_policy, qos.LATCHED),
    (Classification, 'classification', LiveState.add_result, qos.RESULTS),
    (Classification, 'ground_truth', LiveState.add_truth, qos.TELEMETRY))


class Listener:
    """Subscribes to drones and servers, those of the own drone always, and feeds their states."""

    def __init__(self, node: Node, border: Border, fleet: FleetState) -> None:
        self._node, self._border, self._fleet = node, border, fleet
        self._held: dict[str, Subscription] = {}

    def listen(self, full: Collection[str], *, others: bool) -> None:
        """Subscribe to all that is wanted now, and to nothing else.

        :param full: the drones that are shown in full.
        :param others: whether to look for other drones and servers than those that are known.
        """
        if others:
            self._fleet.found(publishing(self._node, FrameLatency, 'frame_latency'),
                              publishing(self._node, ServerStatus, 'status'))
        else:
            self._fleet.forget_others()
        wanted = self._wanted(full)
        for topic in self._held.keys() - wanted.keys():
            self._node.destroy_subscription(self._held.pop(topic))
        for topic, (kind, take, profile) in wanted.items():
            if topic not in self._held:
                self._held[topic] = self._node.create_subscription(
                    kind, topic, self._border.checked(kind, topic, take), profile)

    def close(self) -> None:
        """Subscribe to nothing."""
        while self._held:
            self._node.destroy_subscription(self._held.popitem()[1])

    def _wanted(self, full: Collection[str]) -> dict[str, Subscribed]:
        fleet = self._fleet
        wanted: dict[str, Subscribed] = {
            '/diagnostics': (DiagnosticArray, self._on_diagnostics, QoSProfile(depth=10))}
        for name, state in {**fleet.drones, fleet.own.drone: fleet.own}.items():
            for kind, topic, take, profile in (
                    _FULL if name in full or state is fleet.own else _LINE):
                wanted[f'{name.rstrip("/")}/{topic}'] = kind, partial(take, state), profile
        for name in fleet.servers:
            wanted[f'{name}/status'] = ServerStatus, partial(fleet.add_server, name), qos.LATCHED
            wanted[f'{name}/served'] = ServedDrones, partial(fleet.add_served, name), qos.PERIODIC
        return wanted

    def _on_diagnostics(self, m: DiagnosticArray) -> None:
        for s in m.status:
            self._fleet.add_health(s.name, int.from_bytes(s.level), s.message,
                                   {v.key: v.value for v in s.values})


class MonitorNode(Node):
    """Listens to the drone in its namespace, from its construction on.

    :ivar asked: the drone that is shown in full; empty = as `FleetState.shown` chooses.
    :param fleet: whether to look for other drones and servers too.
    """

    def __init__(self, *, server: str = '/server', fleet: bool = False, **kwargs: Any) -> None:
        super().__init__('monitor', **kwargs)
        self.fleet = FleetState(self.get_namespace(), namespaces(server) if server else ())
        self.state, self.asked = self.fleet.own, ''
        self.summary = self.state.summary
        self._others = fleet
        self._listener = Listener(self, Border(self), self.fleet)
        self.listen()
        if fleet:
            self._look_timer = self.create_timer(LOOK_PERIOD_S, self.listen)

    def expect(self, drones: Collection[str]) -> None:
        """Subscribe to drones that are about to start, so that none of their frames is missed."""
        self.fleet.found(drones, ())
        self.listen()

    def ask(self, drone: str) -> None:
        """Show another drone in full."""
        self.asked = drone

    def listen(self) -> None:
        """Subscribe to what is to be shown now."""
        self._listener.listen((self.fleet.shown(self.asked).drone,), others=self._others)

    @property
    def server_seen(self) -> bool:
        """Return whether a server has announced itself."""
        return any(self.state.servers.values())

    def health_of(self, name: str) -> Health | None:
        """Return the last diagnostics of the node `name` in this namespace."""
        return self.state.node(name)

    def absent(self) -> str:
        """Return that no drone is in this namespace, and if others are; empty if one is."""
        drones = publishing(self, FrameLatency, 'frame_latency')
        if self.get_namespace() in drones:
            return ''
        where = f'there are {", ".join(sorted(drones))}' if drones else (
            'nor anywhere else; look at ROS_DOMAIN_ID and, for another computer, at '
            'ROS_AUTOMATIC_DISCOVERY_RANGE and the network')
        return f'no drone in {self.get_namespace()}: {where}'

    def snapshot(self) -> dict[str, Any]:
        """Return what a viewer shows, with a caveat if no drone is in this namespace."""
        shown = self.fleet.snapshot(self.asked)
        if shown['drone'] == self.get_namespace() and (absent := self.absent()):
            shown['caveats'].insert(0, absent)
        return shown
