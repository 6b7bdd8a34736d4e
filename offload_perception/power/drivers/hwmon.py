"""A rail of a power sensor that Linux shows under /sys/class/hwmon.

Such are the INA219, INA226 and INA3221 on an I2C bus; the rails of a Jetson, such as VDD_IN, are
channels of its INA3221. By the kernel's Documentation/hwmon/sysfs-interface.rst, `in*_input` is in
millivolts, `curr*_input` in milliamperes and `power*_input` in microwatts; labels are optional. A
number links voltage, current and power of one channel in the drivers of these chips (ina2xx.rst,
ina3221.rst), with exceptions of the INA3221: in4 .. in7 are drops over its shunts, and curr4 is
the sum of its channels. Currents depend on the shunt: its resistance, in microohms, is in
`shunt_resistor` (INA219, INA226) or `shunt*_resistor` (INA3221), and is not checked here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

from offload_perception.errors import MeterError
from offload_perception.power.drivers import sysfs
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.samples import Sample
from offload_perception.power.energy.frame_energy import TRAPEZOID

FOLDER = 'class/hwmon'
_CHANNEL = re.compile(r'(?:curr|power)(\d{1,3})_(?:input|average)')
_NUMBER = re.compile(r'(?:in|curr|power)?(\d{1,3})')
_SHUNTS_FROM = {'ina3221': 4}  # from this number on, in*_input is no voltage of a rail
_MOST_MV, _MOST_MA, _MOST_UW = 10**6, 10**6, 10**11


@dataclass(frozen=True)
class Rail:
    """A channel of a chip: the folder of the chip, the chip's name, number and label."""

    folder: Path
    chip: str
    number: int
    label: str

    @property
    def source(self) -> str:
        """How a user names it, after `hwmon:`."""
        return f'{self.chip}/{self.label or self.number}'

    def file(self, quantity: str) -> Path | None:
        """Return the file of `in`, `curr` or `power`, None if there is no such."""
        if quantity == 'in' and self.number >= _SHUNTS_FROM.get(self.chip, self.number + 1):
            return None
        for item in ('input', 'average'):  # some drivers know only an average power
            if (file := self.folder / f'{quantity}{self.number}_{item}').is_file():
                return file
        return None


class HwmonMeter(PowerMeter):
    """Reads one rail; what the chip does not measure is NaN."""

    rate_hz = 50.0
    attribution = TRAPEZOID
    remedy = 'look at the files that the log names'

    def __init__(self, rail: Rail, clock: Callable[[], float] = time.monotonic) -> None:
        self.description = f'hwmon {rail.source}'
        self._clock = clock
        self._voltage, self._current, self._power = map(rail.file, ('in', 'curr', 'power'))

    def read(self) -> Sample:
        """Read voltage, current and power; power is their product if the chip gives none.

        :raises PollError: if a file cannot be read, or its value cannot be.
        """
        voltage_v = _read(self._voltage, -_MOST_MV, _MOST_MV) / 1e3
        current_a = _read(self._current, -_MOST_MA, _MOST_MA) / 1e3
        power_w = _read(self._power, -_MOST_UW, _MOST_UW) / 1e6
        return Sample(self._clock(), voltage_v, current_a,
                      voltage_v * current_a if self._power is None else power_w)


def _read(file: Path | None, low: int, high: int) -> float:
    return nan if file is None else sysfs.read_integer(file, low, high)


def rails(root: Path = sysfs.SYSFS) -> Iterator[Rail]:
    """Yield every channel that has a current or a power."""
    for folder in sysfs.folders(root / FOLDER, 'hwmon*'):
        numbers = {int(m[1]) for file in folder.glob('*_*')
                   if (m := _CHANNEL.fullmatch(file.name))}
        for number in sorted(numbers):
            labels = (sysfs.read_name(folder / f'{quantity}{number}_label')
                      for quantity in ('in', 'curr', 'power'))
            yield Rail(folder, sysfs.read_name(folder / 'name') or folder.name, number,
                       next(filter(None, labels), ''))


def open_hwmon(argument: str, root: Path = sysfs.SYSFS) -> HwmonMeter:
    """Open the rail `CHIP/RAIL`, or `CHIP` if that has one rail.

    CHIP is the chip's name or its folder, such as hwmon3; RAIL is a label, or a number as in
    `in1`. Two chips of one name are told apart by their folders.

    :raises MeterError: if there is no such rail, or more than one.
    """
    chip, _, wanted = argument.partition('/')
    there = list(rails(root))
    found = [r for r in there if chip in (r.chip, r.folder.name) and _is(r, wanted)]
    if len(found) == 1:
        return HwmonMeter(found[0])
    if found:
        names = ', '.join(f'hwmon:{r.folder.name}/{r.number}' for r in found)
        raise MeterError(f'that fits {len(found)} rails; name one of {names}')
    raise MeterError("Linux' hwmon has no such rail" if there else
                     f'there is no power sensor under {root}/{FOLDER}: load the driver of yours, '
                     'for example ina2xx or ina3221')


def _is(rail: Rail, wanted: str) -> bool:
    number = _NUMBER.fullmatch(wanted)
    return wanted in ('', rail.label) or (number is not None and int(number[1]) == rail.number)
