"""Power meters that are topics of other nodes: a PowerSample, or a battery's state."""

import re
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from math import nan
from threading import Condition
from typing import Any

from sensor_msgs.msg import BatteryState

from offload_perception.errors import MeterError
from offload_perception.flight import mavros
from offload_perception.incoming import text
from offload_perception.msg import PowerSample
from offload_perception.power.drivers.power_meter import Cancelled, MeterSilent, PowerMeter
from offload_perception.power.drivers.samples import REFRESH_S, Sample

TIMEOUT_S = 2.0
"""For a message."""
BATTERY_S = 1.0
"""How often batteries renew their values, as a rule."""
_MOST_WAITING = 100  # the reader takes them at once
_TOPIC = re.compile(r'/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*', re.ASCII)
_POSITIVE = 'positive'


class TopicMeter(PowerMeter):
    """Gives a sample for each message; `take` is the callback of the subscription.

    :ivar kind: type of the messages.
    :ivar topic: their topic.
    """

    rate_hz = 1.0
    waits, prompt = True, False
    remedy = 'is its publisher running, and the network good enough?'

    def __init__(self, kind: type, topic: str, convert: Callable[['TopicMeter', Any], Sample],
                 ) -> None:
        self.kind, self.topic, self.description = kind, topic, f'topic {topic}'
        self.refresh_s = BATTERY_S if kind is BatteryState else REFRESH_S
        self._convert = convert
        self._samples: deque[Sample] = deque(maxlen=_MOST_WAITING)
        self._came, self._cancelled = Condition(), False

    def take(self, message: Any) -> None:
        """Take a message."""
        with self._came:
            self._samples.append(self._convert(self, message))
            self._came.notify()

    def opened(self) -> 'TopicMeter':
        """Return this meter, without what came before."""
        with self._came:
            self._samples.clear()
            self._cancelled = False
        return self

    def read(self) -> Sample:
        """Wait for a message, and return its sample.

        :raises PollError: if none comes in time.
        """
        with self._came:
            self._came.wait_for(lambda: self._samples or self._cancelled, TIMEOUT_S)
            if self._cancelled:
                raise Cancelled(f'{self.topic}: the meter is being closed')
            if not self._samples:
                raise MeterSilent(f'{self.topic}: no message within {TIMEOUT_S:g} s: is the node '
                                  'that publishes it running?')
            return self._samples.popleft()

    def cancel(self) -> None:
        """End a current `read` at once."""
        with self._came:
            self._cancelled = True
            self._came.notify()


def _of_power(meter: TopicMeter, m: PowerSample) -> Sample:
    """Return the sample of a PowerSample; the meter is described as that which it came from."""
    meter.description, meter.calibration = f'{m.source} by topic {meter.topic}', m.calibration
    return Sample(time.monotonic(), m.voltage, m.current, m.power, repeated=m.repeated,
                  emulated=m.emulated)


def _of_battery(positive: bool, meter: TopicMeter, m: BatteryState) -> Sample:
    """Return the sample of a battery.

    By sensor_msgs/BatteryState a current is negative while it discharges. The status decides if
    it says discharging; while it charges, what the load draws is not known.

    :param positive: whether a discharge is shown as positive.
    """
    battery, status = mavros.battery(m), m.power_supply_status
    voltage_v = nan if battery.voltage_v is None else battery.voltage_v
    drawn_a = nan if battery.current_a is None else battery.current_a * (-1 if positive else 1)
    if status == BatteryState.POWER_SUPPLY_STATUS_DISCHARGING:
        drawn_a = abs(drawn_a)
    elif status == BatteryState.POWER_SUPPLY_STATUS_CHARGING:
        drawn_a = nan
    return Sample(time.monotonic(), voltage_v, drawn_a, voltage_v * drawn_a)


def open_topic(kind: str, argument: str) -> TopicMeter:
    """Return the meter of a source that is a topic; nothing subscribes to it yet.

    :param kind: name of a kind of `power_sources` that a node opens.
    :raises MeterError: if the argument is no name of a topic.
    """
    topic, _, sign = argument.partition(':')
    signs = ('', _POSITIVE) if kind == 'battery' else ('',)
    if not _TOPIC.fullmatch(topic) or sign not in signs or argument.endswith(':'):
        raise MeterError(f"'{kind}:{text(argument)}' names no topic; write for example "
                         '"topic:/bench/power" or "battery:/mavros/battery"')
    if kind == 'battery':
        return TopicMeter(BatteryState, topic, partial(_of_battery, sign == _POSITIVE))
    return TopicMeter(PowerSample, topic, _of_power)
