"""Listen to one drone and print what goes on, a line a second; not a part of the graph."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from offload_perception.msg import Classification, FrameLatency, PowerSample, ServerStatus
from offload_perception.nodes import qos
from offload_perception.telemetry.records import frame_record, label_record, power_record
from offload_perception.telemetry.summary import Summary


class MonitorNode(Node):
    """Feeds a Summary from a drone's topics; the namespace is the drone's."""

    def __init__(self, *, server: str = '/server', **kwargs: Any) -> None:
        super().__init__('monitor', **kwargs)
        self.summary = Summary()
        self.health: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.server_seen = False
        listen = self.create_subscription
        listen(FrameLatency, 'frame_latency', self._on_latency, qos.TELEMETRY)
        listen(PowerSample, 'power', self._on_power, qos.TELEMETRY)
        listen(Classification, 'classification', self._on_result, qos.RESULTS)
        listen(Classification, 'ground_truth', self._on_truth, qos.TELEMETRY)
        listen(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        listen(ServerStatus, f'{server.rstrip("/")}/status', self._on_server, qos.LATCHED)

    def health_of(self, name: str) -> tuple[bytes, str, dict[str, str]] | None:
        """Return the last diagnostics of the node `name` in this namespace."""
        return self.health.get(f'{self.get_namespace().rstrip("/")}/{name}')

    @property
    def images_published(self) -> int | None:
        """Return how many images the camera says it has published."""
        health = self.health_of('camera')
        return int(health[2]['frames published']) if health else None

    def _on_latency(self, m: FrameLatency) -> None:
        self.summary.add_frame(frame_record(m))

    def _on_power(self, m: PowerSample) -> None:
        self.summary.add_power(power_record(m))

    def _on_result(self, m: Classification) -> None:
        if label := label_record(m):
            self.summary.add_result(label)

    def _on_truth(self, m: Classification) -> None:
        if label := label_record(m):
            self.summary.add_truth(label)

    def _on_diagnostics(self, m: DiagnosticArray) -> None:
        for s in m.status:
            self.health[s.name] = s.level, s.message, {v.key: v.value for v in s.values}

    def _on_server(self, m: ServerStatus) -> None:
        self.server_seen = True
