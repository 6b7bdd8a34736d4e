"""Publish power and energy from any meter that `power_sources` knows."""

from pathlib import Path
from typing import Any

from offload_perception.bringup.config import PowerConfig
from offload_perception.errors import ConfigError
from offload_perception.nodes import qos
from offload_perception.nodes.metering import MeterNode, MeterSession
from offload_perception.nodes.running import main_of
from offload_perception.nodes.topic_meters import TopicMeter, open_topic
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.power_sources import found, open_power_source, parse
from offload_perception.power.drivers.sysfs import SYSFS


class PowerNode(MeterNode[PowerConfig, MeterSession]):
    """Reads the meter that parameter `source` names.

    :param sysfs: folder of the kernel's files; tests pass their own.
    """

    def __init__(self, *, sysfs: Path = SYSFS, **kwargs: Any) -> None:
        super().__init__('power', PowerConfig, **kwargs)
        self._sysfs = sysfs
        self._topic: TopicMeter | None = None

    @property
    def rate_hz(self) -> float:
        """Return parameter `rate`."""
        return self.config.rate

    @property
    def attribution(self) -> str:
        """Return parameter `attribution`."""
        return self.config.attribution

    def load(self) -> None:
        """Look for the meter."""
        if not self.config.source:
            raise ConfigError('parameter source is empty; name the meter, for example one found '
                              f'on this computer: {found(self._sysfs)}')
        kind, argument = parse(self.config.source)
        self._topic = open_topic(kind.name, argument) if kind.open is None else None
        if self._topic is not None and self.config.calibration:
            raise ConfigError(f'source {self.config.source} is a topic, which is calibrated where '
                              'its meter is read; leave parameter calibration empty')
        super().load()

    def open_meter(self) -> PowerMeter:
        """Return the meter, open."""
        if self._topic is not None:
            return self._topic.opened()
        return open_power_source(self.config.source, self._sysfs)

    def configure(self) -> None:
        """Create the topics, and subscribe to that of the meter, if it is one."""
        super().configure()
        if (meter := self._topic) is None:
            return
        own, topic = (self.resolve_topic_name(name) for name in ('power', meter.topic))
        if own == topic:
            raise ConfigError(f'source {self.config.source} is the topic that this node publishes '
                              'itself; name another one')
        self.add_subscription(meter.kind, meter.topic, meter.take, qos.SENSOR)


main = main_of(PowerNode)
