"""Checks a meter's readings: refuses impossible readings, and drops impossible fields.

A UM25C frame carries no checksum, so these tests are its only defence against damaged bytes. The
limits follow the published specification (24 V, 5 A, counters to 99999) with room for its
tolerances. Volts, amperes and watts are checked against each other and refused together. Of
the other fields only the impossible one is dropped: the encoding of temperatures below 0 deg C is
unknown, and must not cost the power of a flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any

from offload_perception.power.drivers.commands import (
    MAX_BACKLIGHT,
    MAX_SCREEN_TIMEOUT_MIN,
    MAX_THRESHOLD_A,
)
from offload_perception.power.drivers.um25c import GROUP_COUNT, Reading

MAX_VOLTAGE_V = 26.0
MAX_CURRENT_A = 5.2
MAX_DATA_LINE_V = 6.0
MIN_TEMPERATURE_C, MAX_TEMPERATURE_C = -20, 110
OPEN_CIRCUIT_OHM = 9999.9


class Refusal(Enum):
    """Why a reading was refused; the value is the name used in counters and messages."""

    VOLTAGE = 'voltage out of range'
    CURRENT = 'current out of range'
    POWER = 'power is not voltage times current'
    COUNTERS = 'a counter ran backwards'
    TAIL = 'checksum or tail wrong'


def implausible(reading: Reading) -> Refusal | None:
    """Check one reading by itself; None if it is plausible."""
    power_w = reading.voltage_v * reading.current_a
    suspicions = {
        Refusal.VOLTAGE: reading.voltage_v > MAX_VOLTAGE_V,
        Refusal.CURRENT: reading.current_a > MAX_CURRENT_A,
        Refusal.POWER: abs(reading.power_w - power_w) > 0.02 + 0.01 * power_w,
    }
    return next((refusal for refusal, holds in suspicions.items() if holds), None)


def without_impossible(reading: Reading) -> Reading:
    """Return the reading with None for every impossible field; volts to watts stay."""
    unknown: dict[str, Any] = dict.fromkeys(_impossible(reading))
    return replace(reading, **unknown)


def _impossible(r: Reading) -> Iterator[str]:
    """Yield the names of the impossible fields; a field that is unknown already stays so."""
    celsius, fahrenheit = r.temperature_c, r.temperature_f
    if (celsius is not None and not MIN_TEMPERATURE_C <= celsius <= MAX_TEMPERATURE_C) or (
            celsius is not None and fahrenheit is not None
            and abs(fahrenheit - (1.8 * celsius + 32)) > 3):
        yield from ('temperature_c', 'temperature_f')
    limits = {'d_plus_v': MAX_DATA_LINE_V, 'd_minus_v': MAX_DATA_LINE_V,
              'data_group': GROUP_COUNT - 1, 'backlight': MAX_BACKLIGHT,
              'screen_timeout_min': MAX_SCREEN_TIMEOUT_MIN,
              'record_threshold_a': MAX_THRESHOLD_A, 'resistance_ohm': OPEN_CIRCUIT_OHM}
    yield from (name for name, most in limits.items()
                if (value := getattr(r, name)) is not None and value > most)


def ran_backwards(reading: Reading, previous: Reading) -> bool:
    """Whether any charge or energy counter is lower than before."""
    now, before = (*reading.groups, reading.recorded), (*previous.groups, previous.recorded)
    return any(
        a.charge_mah < b.charge_mah or a.energy_mwh < b.energy_mwh
        for a, b in zip(now, before, strict=True))


class Guard:
    """Judges readings in sequence: each by itself, and its counters against the one before.

    Counters do go back when a group is cleared at the meter itself. So one reading with lower
    counters is refused, and a second one that continues from it is accepted and counted as a
    reset.
    """

    def __init__(self, *, strict_tail: bool = False) -> None:
        self._strict_tail = strict_tail
        self._last: Reading | None = None
        self._doubtful: Reading | None = None
        self.counter_resets = 0
        self.tail_warnings = 0

    def check(self, reading: Reading, tail_right: bool) -> Refusal | None:
        """Return why the reading is refused, or None if it is accepted."""
        if not tail_right and (self._strict_tail or reading.model.has_checksum):
            return Refusal.TAIL
        if refusal := implausible(reading):
            return refusal
        if self._backwards(reading):
            return Refusal.COUNTERS
        self.tail_warnings += not tail_right
        self._last, self._doubtful = reading, None
        return None

    def forget(self) -> None:
        """Accept any counters next: after a command that resets them, or a power cut."""
        self._last = self._doubtful = None

    def _backwards(self, reading: Reading) -> bool:
        if self._last is None or not ran_backwards(reading, self._last):
            return False
        if self._doubtful is not None and not ran_backwards(reading, self._doubtful):
            self.counter_resets += 1
            return False
        self._doubtful = reading
        return True


