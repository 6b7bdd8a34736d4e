"""Publish the energy of each frame from a meter node: FrameLatency in, FrameEnergy out."""

import threading
import time
from collections.abc import Iterable
from math import isnan
from typing import Any, Generic, TypeVar

from offload_perception.msg import FrameEnergy, FrameLatency
from offload_perception.nodes import qos
from offload_perception.nodes.managed import AnyManagedNode
from offload_perception.power.energy import frame_energy as energies
from offload_perception.power.energy.attribution import (
    IntegralAttribution,
    RegressionAttribution,
    TimedFrame,
    timed_frame,
)

AttributionT = TypeVar('AttributionT', RegressionAttribution, IntegralAttribution)
# The radio is on, and the processor waits, while a frame is on the link or at the server.
_AWAY = ('link', 'server_wait', 'decode', 'tail')


class FrameEnergyReporter(Generic[AttributionT]):
    """Feeds an attribution, and publishes what it gives; the meter's thread may call `add_power`.

    A frame ends when its FrameLatency arrives: the meter's node runs on the drone's computer, so
    both use one monotonic clock.
    """

    def __init__(self, node: AnyManagedNode, *, source: str, emulated: bool,
                 attribution: AttributionT) -> None:
        self._source, self.emulated = source, emulated
        self.attribution: AttributionT = attribution
        self._lock = threading.Lock()
        self._publisher = node.add_publisher(FrameEnergy, 'frame_energy', qos.TELEMETRY)
        node.add_subscription(FrameLatency, 'frame_latency', self._on_latency, qos.TELEMETRY)

    def add_power(self, *power: Any) -> None:
        """Take a sample, or a block of samples, as the attribution takes them."""
        with self._lock:
            self._publish(self.attribution.add_power(*power))

    def _on_latency(self, m: FrameLatency) -> None:
        with self._lock:
            self._publish(self.attribution.add_frame(_timed(m, time.monotonic())))

    def _publish(self, done: Iterable[tuple[TimedFrame, energies.FrameEnergy]]) -> None:
        for frame, energy in done:
            m: FrameLatency = frame.key
            self._publisher.publish(FrameEnergy(
                header=m.header, sequence=m.sequence, split=m.split,
                window=frame.end_s - frame.start_s, energy=energy.energy_j,
                idle_energy=energy.idle_j, uncertainty=energy.uncertainty_j,
                method=energy.method, stages=tuple(energy.stages_j),
                stage_energy=tuple(energy.stages_j.values()), source=self._source,
                emulated=self.emulated))


def _timed(m: FrameLatency, end_s: float) -> TimedFrame:
    own = {stage: getattr(m, stage) for stage in ('preprocess', 'head', 'encode')}
    own['link'] = sum(v for v in (getattr(m, stage) for stage in _AWAY) if not isnan(v))
    stages = {stage: seconds for stage, seconds in own.items() if not isnan(seconds)}
    return timed_frame(m, end_s, m.total, stages)
