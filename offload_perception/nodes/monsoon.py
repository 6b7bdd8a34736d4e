"""Publish the power of the computer's supply from a Monsoon HVPM: 5 kHz, fit for single frames."""

from typing import Any

from offload_perception.bringup.config import MonsoonConfig
from offload_perception.nodes.metering import MeterNode, MeterSession
from offload_perception.nodes.running import main_of
from offload_perception.power.drivers.monsoon import open_monsoon
from offload_perception.power.drivers.power_meter import PowerMeter


class MonsoonNode(MeterNode[MonsoonConfig, MeterSession]):
    """Publishes the mean of every block of samples; only ever measures, never sets a voltage."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('monsoon', MonsoonConfig, **kwargs)

    def open_meter(self) -> PowerMeter:
        """Return the power monitor, open."""
        return open_monsoon(self.config.serial_number or None, self.config.channel)


main = main_of(MonsoonNode)
