"""Joules and coulombs from timed power samples, and their check against the meter's counter."""

from __future__ import annotations

from dataclasses import dataclass

from offload_perception.errors import ConfigError
from offload_perception.power.drivers.um25c import JOULES_PER_MWH, Reading

AGREEMENT = 0.02
"""Relative difference of integral and counter, at most, beside one count."""


class EnergyCounter:
    """Adds up samples by the trapezoidal rule.

    What was drawn during a gap longer than `max_gap_s` is unknown: it adds nothing, and its time
    is counted in `gap_s`. A sample that is not later than the one before is ignored and counted.
    """

    def __init__(self, max_gap_s: float) -> None:
        if max_gap_s <= 0.0:
            raise ConfigError(f'max_gap_s {max_gap_s}: give the longest believable time in s')
        self._max_gap_s = max_gap_s
        self._last: tuple[float, float, float] | None = None
        self.energy_j = self.charge_c = self.covered_s = self.gap_s = 0.0
        self.ignored = 0

    def add(self, t_s: float, voltage_v: float, current_a: float) -> float:
        """Add a sample; return the energy so far in joules."""
        power_w = voltage_v * current_a
        if self._last is None:
            self._last = t_s, power_w, current_a
            return self.energy_j
        last_s, last_w, last_a = self._last
        if (passed_s := t_s - last_s) <= 0.0:
            self.ignored += 1
            return self.energy_j
        self._last = t_s, power_w, current_a
        if passed_s > self._max_gap_s:
            self.gap_s += passed_s
            return self.energy_j
        self.energy_j += passed_s * (last_w + power_w) / 2
        self.charge_c += passed_s * (last_a + current_a) / 2
        self.covered_s += passed_s
        return self.energy_j


@dataclass(frozen=True)
class CounterCheck:
    """Integrated energy held against the meter's own counter, which shows whole mWh."""

    integrated_j: float
    counted_j: float

    @property
    def difference_j(self) -> float:
        """Integrated minus counted."""
        return self.integrated_j - self.counted_j

    def agrees(self, relative: float = AGREEMENT) -> bool:
        """Whether they differ by no more than one count and a share of the energy."""
        return abs(self.difference_j) <= JOULES_PER_MWH + relative * self.counted_j


def check_against_counters(
    integrated_j: float, first: Reading, last: Reading,
) -> CounterCheck | None:
    """Compare with what the selected data group gained between two readings.

    None if that says nothing: another group was selected, or it was cleared in between.
    """
    if first.selected is None or last.selected is None or first.data_group != last.data_group:
        return None
    gained = last.selected.energy_mwh - first.selected.energy_mwh
    return CounterCheck(integrated_j, gained * JOULES_PER_MWH) if gained >= 0 else None
