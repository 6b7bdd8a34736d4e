"""Publish the power of the computer's supply from a UM25C meter, or from its emulator."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from sensor_msgs.msg import BatteryState
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from offload_perception.bringup.config import MeterConfig
from offload_perception.errors import MeterError
from offload_perception.health import Finding, meter_watch
from offload_perception.health.energy_watch import CounterWatch
from offload_perception.health.guard import guarded
from offload_perception.msg import PowerSample
from offload_perception.nodes import qos
from offload_perception.nodes.convert import power_message, supply_message
from offload_perception.nodes.frame_energy import FrameEnergyReporter
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.meter_events import check_ended, log_event
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers import commands
from offload_perception.power.drivers.meter import PollError, WrongDevice, open_serial_meter
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.samples import Event, Sample
from offload_perception.power.drivers.um25c import Model
from offload_perception.power.emulation.emulator_process import EmulatorProcess, spawn_emulator
from offload_perception.power.energy.attribution import RegressionAttribution
from offload_perception.power.energy.counter import EnergyCounter

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
_UNKNOWN_MODEL = 'the meter has not answered yet; try again when it measures'


@dataclass(frozen=True)
class MeterParts:
    """What an activation works with, made when the node was configured."""

    source: str
    port: str
    emulated: bool
    power: LifecyclePublisher
    supply: LifecyclePublisher | None
    frames: FrameEnergyReporter[RegressionAttribution]


class MeterSession(Session):
    """One activation: reads the meter, publishes every reading, passes commands on.

    :ivar model: which meter it is, None until it has answered.
    """

    def __init__(self, node: 'Um25cNode', parts: MeterParts, model: Model | None) -> None:
        c = node.config
        self._node, self._parts, self.model = node, parts, model
        self._energy, self._watch = EnergyCounter(max_gap_s=c.max_gap), meter_watch.ReadingsWatch()
        self._counter = CounterWatch()
        self._wanted = {name: getattr(c, name) for name in _SETTINGS}
        self.reader = MeterReader(lambda: open_serial_meter(parts.port), self._on_sample,
                                  self._on_event, rate_hz=c.rate)

    def start(self) -> None:
        """Start to read, and set what the parameters ask for."""
        self._node.resources.callback(self.reader.stop)
        self.reader.start()

    # -- commands ---------------------------------------------------------------------------

    def set(self, name: str, value: float) -> None:
        """Send the command that sets a parameter of the meter; -1 sends none."""
        if command := self.command_of(name, value):
            self.reader.command(command)

    def command_of(self, name: str, value: float) -> bytes | None:
        """Return the command of a setting, None if it stays unchanged."""
        return None if value < 0 else _SETTINGS[name](self._known_model(), value)

    def serve(self, make: Callable[[Model], bytes]) -> None:
        """Send a command that takes no value.

        :raises MeterError: if this model does not have it, or the meter has not answered yet.
        """
        self.reader.command(make(self._known_model()))

    def _known_model(self) -> Model:
        if self.model is None:
            raise MeterError(_UNKNOWN_MODEL)
        return self.model

    # -- samples, in the reader's thread ----------------------------------------------------

    def _on_sample(self, sample: Sample) -> None:
        reading, parts = sample.reading, self._parts
        self._watch.observe_sample(sample)
        if self.model is None:
            self.model = reading.model
        if self._wanted:
            self._send_wanted()
        energy_j = self._energy.add(sample.t_s, reading.voltage_v, reading.current_a)
        self._counter.observe(reading, self._energy)
        parts.frames.add_power(sample.t_s, reading.power_w)
        stamp = self._node.get_clock().now().to_msg()
        parts.power.publish(power_message(
            reading, stamp=stamp, source=parts.source, emulated=parts.emulated,
            repeated=sample.repeated, integrated_j=energy_j))
        if parts.supply and not sample.repeated:
            parts.supply.publish(supply_message(reading, stamp=stamp, source=parts.source))

    def _send_wanted(self) -> None:
        """Send what the parameters asked for before the model was known."""
        wanted, self._wanted = self._wanted, {}
        for name, value in wanted.items():
            try:
                self.set(name, value)
            except MeterError as e:
                self._node.get_logger().error(f'parameter {name}: {e}')

    def _on_event(self, event: Event) -> None:
        self._watch.observe_event(event)
        log_event(self._node, self._parts.source, event)

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the link to the meter, its readings and the supply."""
        yield from guarded('link', lambda: meter_watch.link_findings(self.reader.status))
        yield from guarded('readings', lambda: self._watch.findings(self.reader.counters, now_s))
        yield from guarded('counter', self._counter.findings)
        yield from guarded('energy', lambda: self._parts.frames.findings(now_s))

    def values(self) -> dict[str, Any]:
        """Return the outcomes of all polls."""
        counters = self.reader.counters
        return {'source': self._parts.source, 'samples': counters.samples,
                'repeats': counters.repeats, 'reconnects': counters.reconnects,
                'gaps': counters.gaps, 'garbage bytes': counters.garbage_bytes,
                'tail warnings': counters.tail_warnings,
                'energy [J]': f'{self._energy.energy_j:.1f}',
                **{f'errors: {kind}': n for kind, n in counters.errors.items()},
                **self._parts.frames.values()}


class Um25cNode(ManagedNode[MeterConfig, MeterSession]):
    """Finds the meter; without a port it starts an emulator and marks the samples."""

    doing = 'measuring'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('um25c', MeterConfig, **kwargs)
        self._emulator: EmulatorProcess | None = None
        self._reader: MeterReader | None = None  # of the last activation

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Find the meter; refuse if its port cannot be opened."""
        c = self.config
        self._emulator = None
        if c.port:
            self._port = c.port
            self._check_port(c.port)
        else:
            self._emulator = spawn_emulator(device=c.emulated_device)
            self.resources.callback(self._emulator.close)
            self._port = self._emulator.port
            self.get_logger().warning(
                f'no meter port is set: EMULATED UM25C, power modelled as a {c.emulated_device} '
                'from the load of this computer')
        self._source = f'UM25C {c.port}' if c.port else f'emulated UM25C ({c.emulated_device})'

    def _check_port(self, port: str) -> None:
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
        """Create the topics and services."""
        emulated = self._emulator is not None
        self._parts = MeterParts(
            source=self._source, port=self._port, emulated=emulated,
            power=self.add_publisher(PowerSample, 'power', qos.TELEMETRY),
            # Under the node's own name, so that no flight stack takes it for the flight battery.
            supply=self.add_publisher(BatteryState, '~/supply', qos.TELEMETRY)
            if self.config.battery_state else None,
            frames=FrameEnergyReporter(self, source=self._source, emulated=emulated,
                                       attribution=RegressionAttribution()))
        if emulated:
            self.add_subscription(Float64, 'emulated_power', self._on_emulated_power, qos.LATCHED)
        for name, make in _SERVICES.items():
            service = self.create_service(Trigger, f'~/{name}', partial(self._serve, make))
            self.resources.callback(self.destroy_service, service)

    def activate(self) -> MeterSession:
        """Start to read."""
        check_ended(self._reader, self._source)
        session = MeterSession(self, self._parts, self.latest.model if self.latest else None)
        self._reader = session.reader
        return session

    def _on_emulated_power(self, message: Float64) -> None:
        """Set the emulator to the power of the emulated computer; NaN = follow the CPU."""
        assert self._emulator is not None
        if math.isnan(message.data):
            self._emulator.set_stage()
        else:
            self._emulator.set_stage('emulated', message.data)

    # -- commands ---------------------------------------------------------------------------

    def verify(self, changes: dict[str, Any]) -> None:
        """Refuse a setting that this model of the meter cannot take."""
        for name in _SETTINGS.keys() & changes.keys():
            if self.latest is not None:
                self.latest.command_of(name, changes[name])
            elif changes[name] >= 0:
                raise MeterError(_UNKNOWN_MODEL)

    def reconfigure(self, changes: dict[str, Any]) -> None:
        """Send the settings that were changed."""
        if self.session is not None:
            for name in _SETTINGS.keys() & changes.keys():
                self.session.set(name, changes[name])

    def _serve(self, make: Callable[[Model], bytes], _: Trigger.Request,
               answer: Trigger.Response) -> Trigger.Response:
        try:
            if self.session is None or self.session.model is None:
                raise MeterError('the meter is not measuring')
            self.session.serve(make)
            answer.success, answer.message = True, 'sent'
        except Exception as e:  # report it to the caller
            answer.success, answer.message = False, str(e)
        return answer


main = main_of(Um25cNode)
