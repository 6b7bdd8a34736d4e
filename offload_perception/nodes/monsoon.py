"""Publish the power of the computer's supply from a Monsoon HVPM: 5 kHz, fit for single frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecyclePublisher
from std_msgs.msg import Header

from offload_perception.bringup.config import MonsoonConfig
from offload_perception.health import Finding, meter_watch, warning
from offload_perception.health.trend import Recent
from offload_perception.msg import PowerSample
from offload_perception.nodes import qos
from offload_perception.nodes.frame_energy import FrameEnergyReporter
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.meter_events import check_ended, log_event
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers.monsoon import MonsoonReader, PowerBlock, open_monsoon
from offload_perception.power.drivers.samples import Event
from offload_perception.power.energy.attribution import IntegralAttribution
from offload_perception.power.energy.counter import EnergyCounter

NAN = float('nan')


@dataclass(frozen=True)
class MonsoonParts:
    """What an activation works with, made when the node was configured."""

    source: str
    open: Callable[[], Any]
    power: LifecyclePublisher
    frames: FrameEnergyReporter[IntegralAttribution]


class MonsoonSession(Session):
    """One activation: reads blocks of samples, and publishes the mean of each."""

    def __init__(self, node: 'MonsoonNode', parts: MonsoonParts) -> None:
        self._node, self._parts = node, parts
        self._energy, self._dropped = EnergyCounter(max_gap_s=1.0), 0
        self._recent = Recent()
        self.reader = MonsoonReader(parts.open, self._on_block, self._on_event)

    def start(self) -> None:
        """Start to sample."""
        self._node.resources.callback(self.reader.stop)
        self.reader.start()

    def _on_block(self, block: PowerBlock) -> None:
        if len(block.times_s) == 0:
            return
        voltage_v, power_w = float(block.voltage_v.mean()), float(block.power_w.mean())
        current_a = power_w / voltage_v if voltage_v else 0.0
        self._dropped = block.dropped
        energy_j = self._energy.add(float(np.mean(block.times_s)), voltage_v, current_a)
        self._parts.frames.add_power(block.times_s, block.power_w)
        self._parts.power.publish(PowerSample(
            header=Header(stamp=self._node.get_clock().now().to_msg()), source=self._parts.source,
            voltage=voltage_v, current=current_a, power=power_w, energy=NAN, charge=NAN,
            integrated_energy=energy_j, temperature=NAN, d_plus=NAN, d_minus=NAN,
            resistance=NAN))

    def _on_event(self, event: Event) -> None:
        log_event(self._node, self._parts.source, event)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the link to the meter and with its samples."""
        yield from meter_watch.link_findings(self.reader.status)
        yield from self._parts.frames.findings(now_s)
        n = self._recent.increase(
            {'dropped': self._dropped, 'refused': self.reader.refused}, now_s)
        if n['dropped']:
            yield warning('samples', f'{n["dropped"]} samples were lost in '
                          f'{self._recent.window_s:.0f} s: this computer is too slow for 5 kHz; '
                          'use another one for the meter')
        if n['refused']:
            yield warning('readings', f'{n["refused"]} blocks of samples were out of range in '
                          f'{self._recent.window_s:.0f} s: is the supply connected the right '
                          'way round, and on this channel?')

    def values(self) -> dict[str, Any]:
        """Return what became of the samples."""
        return {'source': self._parts.source, 'samples': self.reader.samples,
                'dropped by the device': self._dropped, 'failures': self.reader.failures,
                'energy [J]': f'{self._energy.energy_j:.1f}', **self._parts.frames.values()}


class MonsoonNode(ManagedNode[MonsoonConfig, MonsoonSession]):
    """Publishes the mean of every block of samples; only ever measures, never sets a voltage."""

    doing = 'measuring'

    def __init__(self, *, open_meter: Callable[..., Any] = open_monsoon, **kwargs: Any) -> None:
        super().__init__('monsoon', MonsoonConfig, **kwargs)
        self._open_meter = open_meter
        self._reader: MonsoonReader | None = None  # of the last activation

    def load(self) -> None:
        """Find the meter."""
        self._open().close()

    def configure(self) -> None:
        """Create the topics."""
        source = f'Monsoon HVPM {self.config.serial_number or ""}'.strip()
        self._parts = MonsoonParts(
            source=source, open=self._open,
            power=self.add_publisher(PowerSample, 'power', qos.TELEMETRY),
            frames=FrameEnergyReporter(self, source=source, emulated=False,
                                       attribution=IntegralAttribution()))

    def _open(self) -> Any:
        return self._open_meter(self.config.serial_number or None, self.config.channel)

    def activate(self) -> MonsoonSession:
        """Start to sample."""
        check_ended(self._reader, self._parts.source)
        session = MonsoonSession(self, self._parts)
        self._reader = session.reader
        return session


main = main_of(MonsoonNode)
