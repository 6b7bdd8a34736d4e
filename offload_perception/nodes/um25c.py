"""Publish the power of the computer's supply from a UM25C meter, or from its emulator."""

from typing import Any

from offload_perception.config import MeterConfig
from offload_perception.msg import PowerSample
from offload_perception.nodes import qos
from offload_perception.nodes.convert import power_message
from offload_perception.nodes.managed import ERROR, OK, WARN, ManagedNode, main_of
from offload_perception.power.emulator_process import spawn_emulator
from offload_perception.power.energy import EnergyCounter
from offload_perception.power.meter import open_serial_meter
from offload_perception.power.reader import MeterReader
from offload_perception.power.samples import Event, Sample, State


class Um25cNode(ManagedNode):
    """Publishes every reading; without a port it starts an emulator and marks the samples."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('um25c', MeterConfig, **kwargs)
        self._emulator = self._reader = self._power_pub = None

    def configure(self) -> None:
        """Find the meter: a port that cannot be opened now refuses."""
        c = self.config
        if c.port:
            self._port = c.port
            open_serial_meter(c.port).close()
        else:
            self._emulator = spawn_emulator(device=c.emulated_device)
            self._port = self._emulator.port
            self.get_logger().warning(
                f'no meter port is set: EMULATED UM25C, power modelled as a {c.emulated_device} '
                'from the load of this computer')
        self._source = f'UM25C {c.port}' if c.port else f'emulated UM25C ({c.emulated_device})'
        self._power_pub = self.create_lifecycle_publisher(PowerSample, 'power', qos.TELEMETRY)

    def activate(self) -> None:
        """Start to read."""
        c = self.config
        self._energy = EnergyCounter(max_gap_s=c.max_gap)
        self._reader = MeterReader(lambda: open_serial_meter(self._port), self._on_sample,
                                   self._on_event, rate_hz=c.rate)
        self._reader.start()

    def deactivate(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.stop()

    def release(self) -> None:
        """End the emulator and give the topic back."""
        self._reader = None
        if self._emulator is not None:
            self._emulator.close()
            self._emulator = None
        if self._power_pub is not None:
            self.destroy_lifecycle_publisher(self._power_pub)
            self._power_pub = None

    def _on_sample(self, sample: Sample) -> None:
        reading = sample.reading
        energy_j = self._energy.add(sample.t_s, reading.voltage_v, reading.current_a)
        self._power_pub.publish(power_message(
            reading, stamp=self.get_clock().now().to_msg(), source=self._source,
            emulated=self._emulator is not None, repeated=sample.repeated,
            integrated_j=energy_j))

    def _on_event(self, event: Event) -> None:
        log = self.get_logger()
        (log.info if event.kind in ('connected', 'stopped') else log.warning)(
            f'{self._source}: {event.message}')

    def health(self):
        """Report the link to the meter and what became of every poll."""
        if not self.active:
            return OK, 'not active', {}
        status, counters = self._reader.status, self._reader.counters
        values = {'source': self._source, 'samples': counters.samples,
                  'repeats': counters.repeats, 'reconnects': counters.reconnects,
                  'gaps': counters.gaps, 'garbage bytes': counters.garbage_bytes,
                  'energy [J]': f'{self._energy.energy_j:.1f}',
                  **{f'errors: {kind}': n for kind, n in counters.errors.items()}}
        if status.state is State.MEASURING:
            level, text = OK, 'measuring'
        else:
            level, text = (ERROR if status.state is State.LOST else WARN), status.message
        return level, text, values


main = main_of(Um25cNode)
