"""An emulated UM meter: state, refresh and counters; no port and no clock of its own.

It measures like the real one: the values in a reply are means over the last refresh period and
change twice a second, products are truncated, counters add up whole mAh and mWh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from offload_perception.power.drivers import commands
from offload_perception.power.drivers.plausibility import OPEN_CIRCUIT_OHM
from offload_perception.power.drivers.um25c import (
    CONSTANT_TAIL,
    COULOMBS_PER_MAH,
    GROUP_COUNT,
    JOULES_PER_MWH,
    UM24C,
    Accumulator,
    Model,
    Reading,
    encode,
    seal,
)
from offload_perception.power.emulation.device_model import DeviceModel

REFRESH_S = 0.5  # as the real meter
_LONGEST_RECORD_S = 359_999  # 99:59:59, then it wraps
_SCREENS = 6  # that the commands turn through


@dataclass
class _Total:
    """Charge and energy as the real quantities; the meter shows whole units of them."""

    charge_c: float = 0.0
    energy_j: float = 0.0

    def add(self, charge_c: float, energy_j: float) -> None:
        self.charge_c += charge_c
        self.energy_j += energy_j

    def shown(self) -> Accumulator:
        return Accumulator(
            int(self.charge_c / COULOMBS_PER_MAH), int(self.energy_j / JOULES_PER_MWH))


@dataclass
class _Settings:
    """What the buttons and the commands change."""

    data_group: int = 0
    threshold_a: float = 0.10
    timeout_min: int = 1
    backlight: int = 4
    screen: int = 0


@dataclass
class EmulatedMeter:
    """A meter with a device as its load. All times are seconds of one monotonic clock."""

    model: Model
    device: DeviceModel
    now_s: float
    load: float = 0.0
    stage: str = ''
    stage_w: float | None = None
    ambient_c: float = 25.0
    _settings: _Settings = field(default_factory=_Settings)
    _period: _Total = field(default_factory=_Total)
    _total: _Total = field(default_factory=_Total)
    _groups: list[_Total] = field(default_factory=lambda: [_Total() for _ in range(GROUP_COUNT)])
    _recorded: _Total = field(default_factory=_Total)
    _recorded_s: float = 0.0
    _voltage_v: float = 0.0
    _current_a: float = 0.0

    def __post_init__(self) -> None:
        self._period_start_s = self.now_s
        self._voltage_v, self._current_a = self.device.volts_amperes(self._power_w())

    @property
    def energy_j(self) -> float:
        """The energy drawn since the start: the truth that the samples are to be held against."""
        return self._total.energy_j

    @property
    def next_refresh_s(self) -> float:
        """When the values are due to be renewed."""
        return self._period_start_s + REFRESH_S

    def advance(self, now_s: float) -> None:
        """Let time pass: count, and renew the values at each refresh that is due."""
        while now_s >= self.next_refresh_s:
            self._count_until(self.next_refresh_s)
            self._refresh()
        self._count_until(now_s)

    def run_stage(self, name: str, extra_w: float | None, now_s: float) -> None:
        """From now on draw idle power plus `extra_w`; None: back to following the CPU load."""
        self.advance(now_s)
        self.stage, self.stage_w = name, extra_w

    def set_load(self, load: float, now_s: float) -> None:
        """Set the measured CPU load, 0..1."""
        self.advance(now_s)
        self.load = min(max(load, 0.0), 1.0)

    def frame(self) -> bytes:
        """Return the 130 bytes that answer a request now."""
        return seal(encode(self.reading()))

    def execute(self, command: bytes) -> None:
        """Carry out a command byte that is not answered; unknown ones are ignored."""
        s, code = self._settings, command[0]
        if command == commands.NEXT_SCREEN:
            s.screen = (s.screen + 1) % _SCREENS
        elif command == b'\xf3' and self.model == UM24C:
            s.data_group = (s.data_group + 1) % GROUP_COUNT
        elif command == b'\xf3':
            s.screen = (s.screen - 1) % _SCREENS
        elif command == commands.CLEAR_DATA_GROUP:
            self._groups[s.data_group] = _Total()
        elif 0xA0 <= code <= 0xA9 and self.model != UM24C:
            s.data_group = code - 0xA0
        elif 0xB0 <= code <= 0xCE:
            s.threshold_a = (code - 0xB0) / 100
        elif 0xD0 <= code <= 0xD5:
            s.backlight = code - 0xD0
        elif 0xE0 <= code <= 0xE9:
            s.timeout_min = code - 0xE0

    def reading(self) -> Reading:
        """Return what the display shows."""
        s, model = self._settings, self.model
        voltage_v = _truncated(self._voltage_v, model.counts_per_volt)
        current_a = _truncated(self._current_a, model.counts_per_ampere)
        celsius = round(self.ambient_c + 2 * self._current_a)
        return Reading(
            model=model, voltage_v=voltage_v, current_a=current_a,
            power_w=_truncated(voltage_v * current_a, 1000), temperature_c=celsius,
            temperature_f=round(1.8 * celsius + 32), data_group=s.data_group,
            groups=tuple(group.shown() for group in self._groups), d_plus_v=0.01, d_minus_v=0.0,
            charging_mode=7, recorded=self._recorded.shown(), record_threshold_a=s.threshold_a,
            recorded_time_s=int(self._recorded_s) % (_LONGEST_RECORD_S + 1),
            recording=current_a > s.threshold_a, screen_timeout_min=s.timeout_min,
            backlight=s.backlight, resistance_ohm=_resistance_ohm(voltage_v, current_a),
            screen=s.screen, tail=CONSTANT_TAIL)

    def _power_w(self) -> float:
        return self.device.power_w(self.load, self.stage_w)

    def _count_until(self, now_s: float) -> None:
        passed_s, self.now_s = max(0.0, now_s - self.now_s), max(now_s, self.now_s)
        voltage_v, current_a = self.device.volts_amperes(self._power_w())
        charge_c = current_a * passed_s
        energy_j = voltage_v * charge_c
        recording = current_a > self._settings.threshold_a
        self._recorded_s += passed_s * recording
        group = self._groups[self._settings.data_group]
        for total in (self._period, self._total, group, *[self._recorded] * recording):
            total.add(charge_c, energy_j)

    def _refresh(self) -> None:
        """Show the means over the period that ends here."""
        period, self._period = self._period, _Total()
        self._current_a = period.charge_c / REFRESH_S
        self._voltage_v = (period.energy_j / period.charge_c if period.charge_c
                           else self.device.supply_v)
        self._period_start_s = self.next_refresh_s


def _truncated(value: float, counts_per_unit: int) -> float:
    """Cut to the resolution of the display, as the meter does; 1e-9 undoes binary rounding."""
    return math.floor(value * counts_per_unit + 1e-9) / counts_per_unit


def _resistance_ohm(voltage_v: float, current_a: float) -> float:
    if current_a * OPEN_CIRCUIT_OHM <= voltage_v:
        return OPEN_CIRCUIT_OHM
    return _truncated(voltage_v / current_a, 10)
