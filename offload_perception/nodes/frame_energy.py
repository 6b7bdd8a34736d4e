"""Publish the energy of each frame from a meter node: FrameLatency in, FrameEnergy out."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from offload_perception.health import Finding
from offload_perception.health.energy_watch import EnergyWatch
from offload_perception.msg import FrameEnergy, FrameLatency
from offload_perception.nodes import qos
from offload_perception.nodes.managed import AnyManagedNode
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.samples import Sample
from offload_perception.power.energy import frame_energy as energies
from offload_perception.power.energy.attribution import IntegralAttribution, RegressionAttribution
from offload_perception.power.energy.frame_time import TimedFrame, timed_frame


class FrameEnergyReporter:
    """Feeds an attribution, and publishes what it gives; the meter's thread calls `add_sample`.

    Frames are laid in time by the end in their FrameLatency, which is on the monotonic clock of
    the drone's computer: the meter's node has to run there too. A frame that did not end in the
    last seconds of this computer's clock is left out and counted.
    """

    def __init__(self, node: AnyManagedNode, meter: PowerMeter,
                 attribution: RegressionAttribution | IntegralAttribution) -> None:
        self._meter, self.attribution = meter, attribution
        self._lock, self._watch = threading.Lock(), EnergyWatch(attribution)
        self._publisher = node.add_publisher(FrameEnergy, 'frame_energy', qos.TELEMETRY)
        node.add_subscription(FrameLatency, 'frame_latency', self._on_latency, qos.TELEMETRY)

    def add_sample(self, sample: Sample) -> None:
        """Take a sample of known power, and publish the frames that it completes."""
        with self._lock:
            for frame, energy in _added(self.attribution, sample):
                m: FrameLatency = frame.key
                self._publisher.publish(FrameEnergy(
                    header=m.header, sequence=m.sequence, split=m.split,
                    window=frame.end_s - frame.start_s, energy=energy.energy_j,
                    idle_energy=energy.idle_j, uncertainty=energy.uncertainty_j,
                    method=energy.method, stages=tuple(energy.stages_j),
                    stage_energy=tuple(energy.stages_j.values()), source=self._meter.description,
                    emulated=sample.emulated, residual_w=energy.residual_w))

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what keeps frames from an energy, or an energy from its meaning."""
        with self._lock:
            yield from self._watch.findings(now_s)

    def values(self) -> dict[str, Any]:
        """Return what became of the frames, and the power of each stage."""
        with self._lock:
            return self._watch.values()

    def _on_latency(self, m: FrameLatency) -> None:
        with self._lock:
            if self._watch.same_clock(m.end, time.monotonic()):
                self.attribution.add_frame(timed_frame(m))


def _added(attribution: RegressionAttribution | IntegralAttribution, sample: Sample,
           ) -> Iterator[tuple[TimedFrame, energies.FrameEnergy]]:
    """Give a sample to an attribution; one that integrates takes all that it is the mean of."""
    if isinstance(attribution, RegressionAttribution):
        return attribution.add_power(sample.t_s, sample.power_w)
    if (curve := sample.curve) is not None:
        return attribution.add_power(curve.times_s, curve.powers_w, curve.error_s)
    return attribution.add_power(np.array([sample.t_s]), np.array([sample.power_w]))
