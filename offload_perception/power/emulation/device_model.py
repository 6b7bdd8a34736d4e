"""What an emulated computer draws: a power figure from its load or from the stage that runs.

The presets are expectations from public figures, not measurements of anyone's board: idle and
400 % CPU for the Raspberry Pi 3B+ and 4B by pidramble.com, the Coral USB accelerator's 500 mA from
its data sheet. Boards differ by 10 to 30 % with firmware, HDMI and network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from offload_perception.errors import ConfigError


@dataclass(frozen=True)
class DeviceModel:
    """A computer on a supply and a cable: volts, ohms and watts."""

    idle_w: float
    full_load_w: float
    supply_v: float = 5.1
    cable_ohm: float = 0.12

    def __post_init__(self) -> None:
        if not 0.0 <= self.idle_w <= self.full_load_w <= self.deliverable_w:
            raise ConfigError(
                f'idle {self.idle_w} W and full load {self.full_load_w} W: need 0 <= idle <= full '
                f'<= {self.deliverable_w:.1f} W, which is all that {self.supply_v} V over '
                f'{self.cable_ohm} ohm can deliver')

    @property
    def deliverable_w(self) -> float:
        """The most power that the supply can bring over its cable, capped by the meter's 5 A."""
        most_a = min(5.0, self.supply_v / (2 * self.cable_ohm)) if self.cable_ohm else 5.0
        return (self.supply_v - most_a * self.cable_ohm) * most_a

    def power_w(self, load: float, stage_w: float | None) -> float:
        """Power at a CPU load of 0..1, or with a stage that adds `stage_w` to the idle power."""
        extra_w = (self.full_load_w - self.idle_w) * load if stage_w is None else stage_w
        return min(max(self.idle_w + extra_w, 0.0), self.deliverable_w)

    def volts_amperes(self, power_w: float) -> tuple[float, float]:
        """Voltage and current at the meter when the device draws `power_w` after the cable."""
        if not self.cable_ohm:
            return self.supply_v, power_w / self.supply_v
        root = math.sqrt(max(0.0, self.supply_v ** 2 - 4 * self.cable_ohm * power_w))
        voltage_v = (self.supply_v + root) / 2
        return voltage_v, power_w / voltage_v


PRESETS = {
    'raspberry_pi_3b': DeviceModel(1.4, 3.7),
    'raspberry_pi_3b_plus': DeviceModel(1.9, 5.1),
    'raspberry_pi_3b_plus_coral': DeviceModel(1.9, 7.6),
    'raspberry_pi_4b': DeviceModel(2.7, 6.4),
    'raspberry_pi_5': DeviceModel(2.7, 9.9, cable_ohm=0.06),
}


def preset(name: str) -> DeviceModel:
    """Look up a preset; `ConfigError` lists the known ones."""
    if name not in PRESETS:
        raise ConfigError(f'unknown device {name!r}: known are {", ".join(PRESETS)}')
    return PRESETS[name]
