"""Publish the power of the computer's supply from a Monsoon HVPM: 5 kHz, fit for single frames."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from std_msgs.msg import Header

from offload_perception.bringup.config import MonsoonConfig
from offload_perception.errors import MeterError
from offload_perception.health import Finding, meter, warning
from offload_perception.health.trend import Recent
from offload_perception.msg import PowerSample
from offload_perception.nodes import qos
from offload_perception.nodes.frame_energy import FrameEnergyReporter
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.meter_events import log_event
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers.monsoon import MonsoonReader, PowerBlock, open_monsoon
from offload_perception.power.drivers.samples import Event
from offload_perception.power.energy.attribution import IntegralAttribution
from offload_perception.power.energy.counter import EnergyCounter

NAN = float('nan')


class MonsoonNode(ManagedNode):
    """Publishes the mean of every block of samples; only ever measures, never sets a voltage."""

    doing = 'measuring'

    def __init__(self, *, open_meter=open_monsoon, **kwargs: Any) -> None:
        super().__init__('monsoon', MonsoonConfig, **kwargs)
        self._open_meter = open_meter
        self._reader = self._frames = self._power_pub = None

    def load(self) -> None:
        """Find the meter."""
        self._open().close()

    def configure(self) -> None:
        """Create the topics."""
        self._source = f'Monsoon HVPM {self.config.serial_number or ""}'.strip()
        self._power_pub = self.create_lifecycle_publisher(PowerSample, 'power', qos.TELEMETRY)
        self._frames = FrameEnergyReporter(
            self, source=self._source, emulated=False, attribution=IntegralAttribution())

    def _open(self):
        return self._open_meter(self.config.serial_number or None, self.config.channel)

    def activate(self) -> None:
        """Start to sample."""
        if self._reader is not None and not self._reader.stop():
            raise MeterError(f'{self._source}: its last reader was stopped and still waits for '
                             'the meter; unplug that, then try again')
        self._energy, self._dropped = EnergyCounter(max_gap_s=1.0), 0
        self._recent = Recent()
        self._reader = MonsoonReader(self._open, self._on_block, self._on_event)
        self._reader.start()

    def deactivate(self) -> None:
        """Stop sampling."""
        if self._reader is not None:
            self._reader.stop()

    def release(self) -> None:
        """Give the topics back."""
        if self._reader is not None and self._reader.stop():
            self._reader = None
        if self._frames is not None:
            self._frames.close()
            self._frames = None
            self.destroy_lifecycle_publisher(self._power_pub)

    def _on_block(self, block: PowerBlock) -> None:
        if len(block.times_s) == 0:
            return
        voltage_v, power_w = float(block.voltage_v.mean()), float(block.power_w.mean())
        current_a = power_w / voltage_v if voltage_v else 0.0
        self._dropped = block.dropped
        energy_j = self._energy.add(float(np.mean(block.times_s)), voltage_v, current_a)
        self._frames.add_power(block.times_s, block.power_w)
        self._power_pub.publish(PowerSample(
            header=Header(stamp=self.get_clock().now().to_msg()), source=self._source,
            voltage=voltage_v, current=current_a, power=power_w, energy=NAN, charge=NAN,
            integrated_energy=energy_j, temperature=NAN, d_plus=NAN, d_minus=NAN,
            resistance=NAN))

    def _on_event(self, event: Event) -> None:
        log_event(self, self._source, event)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the link to the meter and with its samples."""
        yield from meter.link(self._reader.status)
        n = self._recent.grown(
            {'dropped': self._dropped, 'refused': self._reader.refused}, now_s)
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
        if self._frames is None or self._reader is None:
            return {}
        return {'source': self._source, 'samples': self._reader.samples,
                'dropped by the device': self._dropped, 'failures': self._reader.failures,
                'energy [J]': f'{self._energy.energy_j:.1f}'}


main = main_of(MonsoonNode)
