"""Publish the power of the computer's supply from a UM25C meter, or from its emulator."""

import math
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from offload_perception.bringup.config import Um25cConfig
from offload_perception.errors import MeterError
from offload_perception.nodes import qos
from offload_perception.nodes.metering import MeterNode, MeterParts, MeterSession
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers import commands
from offload_perception.power.drivers.meter import UmMeter, open_serial_meter
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.samples import Sample
from offload_perception.power.drivers.um25c import Model
from offload_perception.power.emulation.emulator_process import EmulatorProcess, spawn_emulator

# Parameters that set something in the meter, and the command for it. -1 leaves it as it is.
_SETTINGS: dict[str, Callable[[Model, Any], bytes]] = {
    'backlight': lambda model, value: commands.set_backlight(value),
    'screen_timeout': lambda model, value: commands.set_screen_timeout(value),
    'data_group': commands.select_data_group,
    'record_threshold': lambda model, value: commands.set_record_threshold(value),
}
_UNKNOWN_MODEL = 'the meter has not answered yet; try again when it measures'


class Um25cSession(MeterSession):
    """One activation: also passes commands on to the meter.

    :ivar model: which meter it is, None until it has answered.
    """

    def __init__(self, node: 'Um25cNode', parts: MeterParts, model: Model | None) -> None:
        self._orders: SimpleQueue[bytes] = SimpleQueue()
        super().__init__(node, parts, lambda: node.opened(node.open_meter(self._orders)))
        self.model = model
        self._wanted = {name: getattr(node.config, name) for name in _SETTINGS}

    def set(self, name: str, value: float) -> None:
        """Send the command that sets a parameter of the meter; -1 sends none."""
        if command := self.command_of(name, value):
            self._orders.put(command)

    def command_of(self, name: str, value: float) -> bytes | None:
        """Return the command of a setting, None if it stays unchanged."""
        return None if value < 0 else _SETTINGS[name](self._known_model(), value)

    def serve(self, make: Callable[[Model], bytes]) -> None:
        """Send a command that takes no value.

        :raises MeterError: if this model does not have it, or the meter has not answered yet.
        """
        self._orders.put(make(self._known_model()))

    def _known_model(self) -> Model:
        if self.model is None:
            raise MeterError(_UNKNOWN_MODEL)
        return self.model

    def on_sample(self, sample: Sample) -> None:
        """Publish a sample; the first one says which model the meter is."""
        if self.model is None and sample.reading is not None:
            self.model = sample.reading.model
        if self._wanted:
            self._send_wanted()
        super().on_sample(sample)

    def _send_wanted(self) -> None:
        """Send what the parameters asked for before the model was known."""
        wanted, self._wanted = self._wanted, {}
        for name, value in wanted.items():
            try:
                self.set(name, value)
            except MeterError as e:
                self._node.get_logger().error(f'parameter {name}: {e}')


class Um25cNode(MeterNode[Um25cConfig, Um25cSession]):
    """Finds the meter; without a port it starts an emulator and marks the samples."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('um25c', Um25cConfig, **kwargs)
        self._emulator: EmulatorProcess | None = None

    @property
    def rate_hz(self) -> float:
        """Return parameter `rate`."""
        return self.config.rate

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Start the emulator if there is no port, then look for the meter."""
        c = self.config
        self._emulator, self._port = None, c.port
        if not c.port:
            self._emulator = spawn_emulator(device=c.emulated_device)
            self.resources.callback(self._emulator.close)
            self._port = self._emulator.port
            self.get_logger().warning(
                f'no meter port is set: EMULATED UM25C, power modelled as a {c.emulated_device} '
                'from the load of this computer')
        super().load()

    def open_meter(self, orders: SimpleQueue[bytes] | None = None) -> PowerMeter:
        """Return the meter, open; it sends what is put into `orders`."""
        c = self.config
        source = f'UM25C {c.port}' if c.port else f'emulated UM25C ({c.emulated_device})'
        return UmMeter(open_serial_meter(self._port), source, emulated=not c.port, orders=orders)

    def configure(self) -> None:
        """Create the topics and services."""
        super().configure()
        if self._emulator is not None:
            self.add_subscription(Float64, 'emulated_power', self._on_emulated_power, qos.LATCHED)
        for name, make in commands.SERVICES.items():
            service = self.create_service(Trigger, f'~/{name}', partial(self._serve, make))
            self.resources.callback(self.destroy_service, service)

    def session_of(self, parts: MeterParts) -> Um25cSession:
        """Return the session of an activation; the model stays known."""
        return Um25cSession(self, parts, self.latest.model if self.latest else None)

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
