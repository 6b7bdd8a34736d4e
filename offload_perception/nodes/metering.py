"""What the nodes of power meters share: a reader's samples become power, energy and health."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any, TypeVar, cast

from rclpy.lifecycle import LifecyclePublisher
from rclpy.node import Node
from sensor_msgs.msg import BatteryState

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
from offload_perception.power.drivers.meter_calibration import (
    CalibratedMeter,
    Calibration,
    load_calibration,
)
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.power_meter import (
    PollError,
    PowerMeter,
    WrongDevice,
    pace_hz,
)
from offload_perception.power.drivers.samples import Event, Sample
from offload_perception.power.energy.attribution import (
    IntegralAttribution,
    RegressionAttribution,
)
from offload_perception.power.energy.counter import EnergyCounter
from offload_perception.power.energy.frame_energy import TRAPEZOID

_EXPECTED = ('connected', 'stopped')
ConfigT = TypeVar('ConfigT', bound=MeterConfig)
SessionT = TypeVar('SessionT', bound='MeterSession')


def log_event(node: Node, meter: str, event: Event) -> None:
    """Log an event of a reader; only unexpected ones are warnings."""
    text = f'{meter}: {event.message}'
    if event.kind in _EXPECTED:  # two calls: rclpy raises if one call changes its severity
        node.get_logger().info(text)
    else:
        node.get_logger().warning(text)


@dataclass(frozen=True)
class MeterParts:
    """What an activation works with, made when the node was configured.

    :ivar meter: for what it says of itself; it is closed.
    """

    meter: PowerMeter
    rate_hz: float
    power: LifecyclePublisher
    supply: LifecyclePublisher | None
    frames: FrameEnergyReporter


class MeterSession(Session):
    """One activation: reads the meter, and publishes every sample."""

    def __init__(self, node: 'MeterNode[Any, Any]', parts: MeterParts,
                 open_meter: Callable[[], PowerMeter]) -> None:
        self._node, self._parts = node, parts
        self._energy = EnergyCounter(max_gap_s=node.config.max_gap)
        self._watch = meter_watch.ReadingsWatch(parts.meter.remedy)
        self._counter = CounterWatch(node.config.max_gap)
        self.reader = MeterReader(open_meter, self.on_sample, self._on_event, parts.rate_hz)

    def start(self) -> None:
        """Start to read."""
        self._node.resources.callback(self.reader.stop)
        self.reader.start()

    # -- in the reader's thread -------------------------------------------------------------

    def on_sample(self, sample: Sample) -> None:
        """Publish a sample, and what it completes."""
        parts, stamp = self._parts, self._node.get_clock().now().to_msg()
        self._watch.observe_sample(sample)
        if sample.reading is not None:
            self._counter.observe(sample.t_s, sample.reading)
        if not isnan(sample.power_w):
            self._energy.add(sample.t_s, 1.0, sample.power_w)  # some meters give watts alone
            parts.frames.add_sample(sample)
        parts.power.publish(power_message(
            sample, stamp=stamp, source=parts.meter.description,
            calibration=parts.meter.calibration, integrated_j=self._energy.energy_j))
        if parts.supply and not sample.repeated:
            parts.supply.publish(supply_message(
                sample, stamp=stamp, source=parts.meter.description))

    def _on_event(self, event: Event) -> None:
        self._watch.observe_event(event)
        log_event(self._node, self._parts.meter.description, event)

    # -- health -----------------------------------------------------------------------------

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong with the meter, the supply and the energies of frames."""
        yield from guarded('link', lambda: meter_watch.link_findings(self.reader.status))
        yield from guarded('readings', lambda: self._watch.findings(self.reader.counters, now_s))
        yield from guarded('counter', self._counter.findings)
        yield from guarded('energy', lambda: self._parts.frames.findings(now_s))

    def values(self) -> dict[str, Any]:
        """Return the outcomes of all polls, and of the frames."""
        counters, meter = self.reader.counters, self._parts.meter
        return {'source': meter.description, 'calibration': meter.calibration or 'none',
                'samples': counters.samples, 'repeats': counters.repeats,
                'dropped by the meter': counters.dropped, 'reconnects': counters.reconnects,
                'gaps': counters.gaps, 'garbage bytes': counters.garbage_bytes,
                'tail warnings': counters.tail_warnings,
                'energy [J]': f'{self._energy.energy_j:.1f}',
                **{f'errors: {kind}': n for kind, n in counters.errors.items()},
                **self._parts.frames.values()}


class MeterNode(ManagedNode[ConfigT, SessionT]):
    """Looks for its meter when it is configured, and reads it while it is active."""

    doing = 'measuring'
    _calibration: Calibration | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reader: MeterReader | None = None  # of the last activation

    # -- for subclasses ---------------------------------------------------------------------

    def open_meter(self) -> PowerMeter:
        """Return the meter, open.

        :raises MeterError: if it cannot be opened, with the remedy.
        """
        raise NotImplementedError

    @property
    def rate_hz(self) -> float:
        """Return how often the meter is to be read; 0 = as it suits the meter."""
        return 0.0

    @property
    def attribution(self) -> str:
        """Return how the energy of frames follows from the samples; 'auto' = as it suits them."""
        return 'auto'

    def session_of(self, parts: MeterParts) -> SessionT:
        """Return the session of an activation."""
        return cast(SessionT, MeterSession(
            self, parts, lambda: self.opened(self.open_meter())))

    # -- lifecycle --------------------------------------------------------------------------

    def load(self) -> None:
        """Read the calibration, and look for the meter; refuse if it cannot be opened."""
        path = self.config.calibration
        self._calibration = load_calibration(path) if path else None
        self._meter = self.opened(self.open_meter())
        try:
            self._look_at(self._meter)
        finally:
            self._meter.close()

    def opened(self, meter: PowerMeter) -> PowerMeter:
        """Return an open meter, calibrated if the node has a calibration for it."""
        if self._calibration is None:
            return meter
        try:
            return CalibratedMeter(meter, self._calibration)
        except MeterError:
            meter.close()
            raise

    def _look_at(self, meter: PowerMeter) -> None:
        """Refuse what is no such meter; one that is silent now may still come to life."""
        pace_hz(meter, self.rate_hz)
        if not meter.prompt:
            return
        try:
            meter.read()
        except WrongDevice:
            raise
        except PollError as e:
            self.get_logger().warning(f'{meter.description}: {e}; trying again in flight')

    def configure(self) -> None:
        """Create the topics."""
        wanted = self.attribution if self.attribution != 'auto' else self._meter.attribution
        attribution = IntegralAttribution() if wanted == TRAPEZOID else RegressionAttribution(
            refresh_s=self._meter.refresh_s)
        self._parts = MeterParts(
            meter=self._meter, rate_hz=self.rate_hz,
            power=self.add_publisher(PowerSample, 'power', qos.TELEMETRY),
            # Under the node's own name, so that no flight stack takes it for the flight battery.
            supply=self.add_publisher(BatteryState, '~/supply', qos.TELEMETRY)
            if self.config.battery_state else None,
            frames=FrameEnergyReporter(self, self._meter, attribution))

    def activate(self) -> SessionT:
        """Start to read, unless the last reader still waits for the meter."""
        if self._reader is not None and not self._reader.stop():
            raise MeterError(f'{self._meter.description}: its last reader was stopped and still '
                             'waits for the meter; unplug that, then try again')
        session = self.session_of(self._parts)
        self._reader = session.reader
        return session
