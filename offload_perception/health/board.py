"""Heat, clock and supply, as reported by the kernel and a Raspberry Pi's firmware."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from shutil import which

USUAL_LIMIT_C = 80.0
"""Used for a thermal zone without a limit: a Raspberry Pi throttles from this temperature on
(raspberrypi/documentation, frequency-management.adoc)."""
VCGENCMD_PERIOD_S = 10.0  # each call is a process; reading the file costs nothing
# `vcgencmd get_throttled`: the same bits 16 higher mean that it happened since the start.
THROTTLED_BITS = {0: 'under-voltage', 1: 'frequency capped', 2: 'throttled',
                  3: 'soft temperature limit'}
HAS_BEEN = 16
_FIRMWARE = 'devices/platform/soc/soc:firmware/get_throttled'
_SLOWING = ('cpufreq', 'thermal-cpufreq', 'cpu', 'processor')  # cooling by a slower clock


@dataclass(frozen=True)
class Zone:
    """A thermal zone: its temperature, and the limit above which the CPU is throttled [C]."""

    name: str
    temperature_c: float
    limit_c: float


@dataclass(frozen=True)
class BoardState:
    """A computer's heat, clock and supply at one moment.

    `zone` is the one nearest to its limit. `slowed_by` names what throttles the clock because of
    heat. Clocks are in Hz, NaN if unknown. `flags` are those of `vcgencmd get_throttled`, 0
    without such firmware.
    """

    zone: Zone | None = None
    slowed_by: tuple[str, ...] = ()
    clock_hz: float = nan
    top_clock_hz: float = nan
    flags: int = 0


class Board:
    """Reads the state of the computer it runs on; what is missing or unreadable is left out.

    :param sysfs: folder of the kernel's files; tests pass their own.
    """

    def __init__(self, sysfs: str | Path = '/sys',
                 vcgencmd: Callable[[], str] | None = None) -> None:
        self._sysfs = Path(sysfs)
        self._vcgencmd = vcgencmd or (_run_vcgencmd if which('vcgencmd') else None)
        self._asked_s = -inf
        self._flags: int | None = None

    def read(self, now_s: float) -> BoardState:
        """Return the state; `now_s` is monotonic."""
        clocks = self._sysfs / 'devices/system/cpu/cpu0/cpufreq'
        return BoardState(
            zone=min(self.zones(), key=lambda z: z.limit_c - z.temperature_c, default=None),
            slowed_by=tuple(self._slowing()),
            clock_hz=1e3 * _number(clocks / 'scaling_cur_freq'),
            top_clock_hz=1e3 * _number(clocks / 'cpuinfo_max_freq'),
            flags=self.flags(now_s) or 0)

    def zones(self) -> Iterator[Zone]:
        """Yield the thermal zones that can be read."""
        for folder in sorted(self._sysfs.glob('class/thermal/thermal_zone*')):
            temperature_c = _number(folder / 'temp') / 1000
            if temperature_c > 0.0:  # a zone that is off reports 0 or absolute zero
                yield Zone(_text(folder / 'type') or folder.name, temperature_c, _limit_c(folder))

    def flags(self, now_s: float) -> int | None:
        """Return the flags of a Raspberry Pi's firmware, None on other computers."""
        if text := _text(self._sysfs / _FIRMWARE):
            return int(text, 16)
        if self._vcgencmd is None:
            return 1 if self._undervolted() else None
        if now_s - self._asked_s >= VCGENCMD_PERIOD_S:
            self._asked_s = now_s
            with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
                self._flags = int(self._vcgencmd().split('=')[1], 16)
        return self._flags

    def _undervolted(self) -> bool:
        """Return whether the kernel's monitor of a Raspberry Pi's supply reports under-voltage."""
        return any(_text(alarm) == '1' and _text(alarm.parent / 'name') == 'rpi_volt'
                   for alarm in self._sysfs.glob('class/hwmon/hwmon*/in0_lcrit_alarm'))

    def _slowing(self) -> Iterator[str]:
        for folder in sorted(self._sysfs.glob('class/thermal/cooling_device*')):
            kind = _text(folder / 'type')
            if kind.lower().startswith(_SLOWING) and _number(folder / 'cur_state') > 0:
                yield kind


def decode_flags(flags: int) -> tuple[list[str], list[str]]:
    """Return the meaning of a Raspberry Pi's flags: active now, and active since the start."""
    return ([text for bit, text in THROTTLED_BITS.items() if flags >> bit & 1],
            [text for bit, text in THROTTLED_BITS.items() if flags >> bit + HAS_BEEN & 1])


def _limit_c(zone: Path) -> float:
    """Return the lowest trip point of a zone at which the computer is slowed down [C]."""
    trips = (_number(trip.with_name(trip.name.replace('_type', '_temp'))) / 1000
             for trip in zone.glob('trip_point_*_type') if _text(trip) in ('passive', 'hot'))
    return min((t for t in trips if t > 0.0), default=USUAL_LIMIT_C)


def _run_vcgencmd() -> str:
    return subprocess.run(['vcgencmd', 'get_throttled'], capture_output=True, text=True,
                          timeout=5.0, check=True).stdout


def _number(file: Path) -> float:
    try:
        return float(_text(file))
    except ValueError:
        return nan


def _text(file: Path) -> str:
    try:
        return file.read_text(errors='replace').strip()
    except OSError:  # many files of /sys exist and cannot be read now
        return ''
