"""A battery or supply that Linux shows under /sys/class/power_supply.

By the kernel's Documentation/ABI/testing/sysfs-class-power, `voltage_now` is in microvolts and
`current_now` in microamperes, negative of a battery that discharges; but drivers differ in the
sign, and some give only positive values (commit 05f94eb9, "power: supply: document current
direction"), so `status` decides. `power_now`, in microwatts, is what ACPI batteries give instead
of a current (drivers/acpi/battery.c).

What a battery gives is what the computer draws only while it discharges: else both are NaN.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

from offload_perception.errors import MeterError
from offload_perception.incoming import text
from offload_perception.power.drivers import sysfs
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.samples import Sample

FOLDER = 'class/power_supply'
_QUANTITIES = ('current_now', 'power_now')
_MOST_UV, _MOST_UA, _MOST_UW = 10**9, 10**9, 10**11
_NOT_DRAWN = ('Charging', 'Not charging', 'Full')


class PowerSupply(PowerMeter):
    """Reads one supply; gauges of batteries renew their values about once a second."""

    rate_hz, max_rate_hz, refresh_s = 2.0, 100.0, 1.0
    remedy = 'look at the files that the log names'

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.description = f'power supply {text(folder.name)}'
        self._folder, self._clock = folder, clock
        self._battery = self._text('type') == 'Battery'

    def read(self) -> Sample:
        """Read voltage, current and power; power is their product if there is no own value.

        :raises PollError: if a file cannot be read, or its value cannot be.
        """
        voltage_v = self._micro('voltage_now', _MOST_UV)
        current_a = self._micro('current_now', _MOST_UA)
        power_w = self._micro('power_now', _MOST_UW)
        if self._battery:
            status = self._text('status')
            current_a, power_w = _drawn(current_a, status), _drawn(power_w, status)
        return Sample(self._clock(), voltage_v, current_a,
                      voltage_v * current_a if power_w != power_w else power_w)

    def _text(self, name: str) -> str:
        file = self._folder / name
        return sysfs.read_text(file) if file.is_file() else ''

    def _micro(self, name: str, most: int) -> float:
        """Return a value in the unit of its millionths, NaN if there is none."""
        file = self._folder / name
        return sysfs.read_integer(file, -most, most) / 1e6 if file.is_file() else nan


def _drawn(value: float, status: str) -> float:
    """Return what the computer draws, of a battery's current or power; NaN = not known."""
    if status == 'Discharging':
        return abs(value)
    if status in _NOT_DRAWN or value > 0.0:  # of unknown status, by the documented sign
        return nan
    return -value


def supplies(root: Path = sysfs.SYSFS) -> Iterator[Path]:
    """Yield the folder of every supply that gives a current or a power."""
    for folder in sysfs.folders(root / FOLDER):
        if any((folder / name).is_file() for name in _QUANTITIES):
            yield folder


def open_power_supply(name: str, root: Path = sysfs.SYSFS) -> PowerSupply:
    """Open the supply of that name, such as BAT0.

    :raises MeterError: if there is none that gives its current or power.
    """
    there = {folder.name: folder for folder in supplies(root)}
    if name not in there:
        raise MeterError(f'no supply of that name in {root}/{FOLDER} gives its current or power')
    return PowerSupply(there[name])
