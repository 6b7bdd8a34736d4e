"""Publish the power of the computer's supply from a UM25C meter, or from its emulator."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from sensor_msgs.msg import BatteryState
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from offload_perception.bringup.config import MeterConfig
from offload_perception.errors import MeterError
from offload_perception.health import Finding, meter
from offload_perception.health.guard import guarded
from offload_perception.msg import PowerSample
from offload_perception.nodes import qos
from offload_perception.nodes.convert import power_message, supply_message
from offload_perception.nodes.frame_energy import FrameEnergyReporter
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.meter_events import log_event
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers import commands
from offload_perception.power.drivers.meter import PollError, WrongDevice, open_serial_meter
from offload_perception.power.drivers.reader import MeterReader
from offload_perception.power.drivers.samples import Event, Sample
from offload_perception.power.drivers.um25c import Model
from offload_perception.power.emulation.emulator_process import spawn_emulator
from offload_perception.power.energy.attribution import RegressionAttribution
from offload_perception.power.energy.counter import EnergyCounter
from offload_perception.power.energy.stage_regression import MIN_SAMPLES

# Parameters that set something in the meter, and the command for it. -1 leaves it as it is.
_SETTINGS: dict[str, Callable[[Model, Any], bytes]] = {
    'backlight': lambda model, value: commands.set_backlight(value),
    'screen_timeout': lambda model, value: commands.set_screen_timeout(value),
    'data_group': commands.select_data_group,
    'record_threshold': lambda model, value: commands.set_record_threshold(value),
}
# Services of the node, and the command that each sends.
_SERVICES: dict[str, Callable[[Model], bytes]] = {
    'next_screen': lambda model: commands.NEXT_SCREEN,
    'previous_screen': commands.previous_screen,
    'rotate_screen': lambda model: commands.ROTATE_SCREEN,
    'next_data_group': commands.next_data_group,
    'clear_data_group': lambda model: commands.CLEAR_DATA_GROUP,
}


class Um25cNode(ManagedNode):
    """Publishes every reading; without a port it starts an emulator and marks the samples."""

    doing = 'measuring'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('um25c', MeterConfig, **kwargs)
        self._emulator = self._reader = self._frames = None
        self._entities: list[tuple[Any, Any]] = []
        self._model: Model | None = None

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Find the meter; refuse if its port cannot be opened."""
        c = self.config
        if c.port:
            self._port = c.port
            self._look_at(c.port)
        else:
            self._emulator = spawn_emulator(device=c.emulated_device)
            self._port = self._emulator.port
            self.get_logger().warning(
                f'no meter port is set: EMULATED UM25C, power modelled as a {c.emulated_device} '
                'from the load of this computer')
        self._source = f'UM25C {c.port}' if c.port else f'emulated UM25C ({c.emulated_device})'

    def _look_at(self, port: str) -> None:
        """Refuse a port without a meter; one that is silent now may still come to life."""
        meter = open_serial_meter(port)
        try:
            meter.read()
        except WrongDevice:
            raise
        except PollError as e:
            self.get_logger().warning(f'{port}: {e}; trying again in flight')
        finally:
            meter.close()

    def configure(self) -> None:
        """Create the topics."""
        self._power_pub = self.create_lifecycle_publisher(PowerSample, 'power', qos.TELEMETRY)
        # Under the node's own name, so that no flight stack takes it for the flight battery.
        self._supply_pub = self.create_lifecycle_publisher(
            BatteryState, '~/supply', qos.TELEMETRY) if self.config.battery_state else None
        self._frames = FrameEnergyReporter(
            self, source=self._source, emulated=self._emulator is not None,
            attribution=RegressionAttribution())
        self._entities += [(self.destroy_lifecycle_publisher, p)
                           for p in (self._power_pub, self._supply_pub) if p]
        if self._emulator is not None:
            self._entities.append((self.destroy_subscription, self.create_subscription(
                Float64, 'emulated_power', self.border.checked(
                    Float64, 'emulated_power', self._on_emulated_power), qos.LATCHED)))
        self._entities += [
            (self.destroy_service, self.create_service(
                Trigger, f'~/{name}', lambda _, answer, make=make: self._serve(make, answer)))
            for name, make in _SERVICES.items()]

    def activate(self) -> None:
        """Start to read, and set what the parameters ask for."""
        if self._reader is not None and not self._reader.stop():
            raise MeterError(f'{self._source}: its last reader was stopped and still waits for '
                             'the meter; unplug that, then try again')
        c = self.config
        self._energy, self._watch = EnergyCounter(max_gap_s=c.max_gap), meter.ReadingsWatch()
        self._reader = MeterReader(lambda: open_serial_meter(self._port), self._on_sample,
                                   self._on_event, rate_hz=c.rate)
        self._wanted = {name: getattr(c, name) for name in _SETTINGS}
        self._reader.start()

    def deactivate(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.stop()

    def release(self) -> None:
        """End the emulator and give the topics back."""
        self._model = None
        if self._reader is not None and self._reader.stop():
            self._reader = None
        if self._frames is not None:
            self._frames.close()
            self._frames = None
        while self._entities:
            destroy, entity = self._entities.pop()
            destroy(entity)
        if self._emulator is not None:
            self._emulator.close()
            self._emulator = None

    def _on_emulated_power(self, message: Float64) -> None:
        """Set the emulator to the power of the emulated computer; NaN = follow the CPU."""
        if math.isnan(message.data):
            self._emulator.set_stage()
        else:
            self._emulator.set_stage('emulated', message.data)

    # -- commands ---------------------------------------------------------------------------

    def verify(self, changes: dict[str, Any]) -> None:
        """Refuse a setting that this model of the meter cannot take."""
        for name in _SETTINGS.keys() & changes.keys():
            self._command_of(name, changes[name])

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Send the settings that were changed."""
        for name in _SETTINGS.keys() & changes.keys():
            if command := self._command_of(name, changes[name]):
                self._reader.command(command)

    def _command_of(self, name: str, value: float) -> bytes | None:
        """Return the command of a setting, None if it stays unchanged."""
        if value < 0:
            return None
        if self._model is None:
            raise MeterError('the meter has not answered yet; try again when it measures')
        return _SETTINGS[name](self._model, value)

    def _serve(self, make: Callable[[Model], bytes], answer: Trigger.Response):
        try:
            if self._model is None or not self.active:
                raise MeterError('the meter is not measuring')
            self._reader.command(make(self._model))
            answer.success, answer.message = True, 'sent'
        except Exception as e:  # report it to the caller
            answer.success, answer.message = False, str(e)
        return answer

    # -- samples, in the reader's thread ----------------------------------------------------

    def _on_sample(self, sample: Sample) -> None:
        reading = sample.reading
        self._watch.sample(sample)
        if self._model is None:
            self._model = reading.model
            self._send_wanted()
        energy_j = self._energy.add(sample.t_s, reading.voltage_v, reading.current_a)
        self._frames.add_power(sample.t_s, reading.power_w)
        stamp = self.get_clock().now().to_msg()
        self._power_pub.publish(power_message(
            reading, stamp=stamp, source=self._source, emulated=self._emulator is not None,
            repeated=sample.repeated, integrated_j=energy_j))
        if self._supply_pub and not sample.repeated:
            self._supply_pub.publish(supply_message(reading, stamp=stamp, source=self._source))

    def _send_wanted(self) -> None:
        """Send what the parameters asked for before the model was known."""
        for name, value in self._wanted.items():
            try:
                if command := self._command_of(name, value):
                    self._reader.command(command)
            except MeterError as e:
                self.get_logger().error(f'parameter {name}: {e}')

    def _on_event(self, event: Event) -> None:
        self._watch.event(event)
        log_event(self, self._source, event)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the link to the meter, its readings and the supply."""
        yield from guarded('link', lambda: meter.link(self._reader.status))
        yield from guarded('readings', lambda: self._watch.findings(self._reader.counters, now_s))

    def values(self) -> dict[str, Any]:
        """Return the outcomes of all polls."""
        if self._frames is None or self._reader is None:
            return {}
        counters = self._reader.counters
        values = {'source': self._source, 'samples': counters.samples,
                  'repeats': counters.repeats, 'reconnects': counters.reconnects,
                  'gaps': counters.gaps, 'garbage bytes': counters.garbage_bytes,
                  'tail warnings': counters.tail_warnings,
                  'energy [J]': f'{self._energy.energy_j:.1f}',
                  **{f'errors: {kind}': n for kind, n in counters.errors.items()}}
        if fit := self._frames.attribution.fit:
            values |= {f'{stage} above idle [W]': f'{e.value:.2f} +- {e.half_width:.2f}'
                       for stage in fit.stages for e in (fit.extra_w(stage),)}
        else:
            values['energy of frames'] = (
                f'known {MIN_SAMPLES} refreshes of the meter after the first frame')
        return values


main = main_of(Um25cNode)
