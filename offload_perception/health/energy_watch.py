"""Problems of the energies of frames: none can be told, or the stages do not explain the power."""

from collections.abc import Iterator
from typing import Any

from offload_perception.health.finding import Finding, several, warning
from offload_perception.health.trend import Recent
from offload_perception.power.drivers.um25c import JOULES_PER_MWH, Reading
from offload_perception.power.energy.attribution import KEEP_S, Attribution
from offload_perception.power.energy.counter import (
    AGREEMENT,
    CounterCheck,
    EnergyCounter,
    check_against_counters,
)
from offload_perception.power.energy.stage_regression import MIN_SAMPLES

WINDOW_S = 60.0
RESIDUAL = 0.2  # of the mean power
MIN_COUNTED_J = 50 * JOULES_PER_MWH  # of less, a single count is too large a part


class EnergyWatch:
    """Follows what becomes of the frames that an attribution takes."""

    def __init__(self, attribution: Attribution) -> None:
        self._attribution, self._recent = attribution, Recent(WINDOW_S)
        self._foreign = 0

    def same_clock(self, end_s: float, now_s: float) -> bool:
        """Return whether a frame that has just been reported ended on this computer's clock."""
        same = 0.0 <= now_s - end_s <= KEEP_S
        self._foreign += not same
        return same

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what is wrong; `now_s` is monotonic."""
        energies = self._attribution
        n = self._recent.increase(
            {'unmetered': energies.unmetered, 'foreign': self._foreign}, now_s)
        if n['foreign']:
            yield warning('clock', f'{several(n["foreign"], "frame")} in the last '
                          f'{WINDOW_S:.0f} s did not end by the clock of this computer, and have '
                          'no energy: run this node on the computer of the drone')
        if n['unmetered']:
            yield warning('energy of frames', f'{several(n["unmetered"], "frame")} in the last '
                          f'{WINDOW_S:.0f} s have no energy, as the meter gave no power for them')
        fit = energies.fit
        if fit is not None and fit.residual_w > RESIDUAL * fit.mean_w:
            yield warning('residual', f'{fit.residual_w:.2f} W of {fit.mean_w:.2f} W are not '
                          'explained by idling and stages: other programs take power, or the '
                          'meter does not show means; energies of frames are uncertain')

    def values(self) -> dict[str, Any]:
        """Return the counts of frames, and the power of each stage."""
        energies, fit = self._attribution, self._attribution.fit
        values: dict[str, Any] = {
            'frames with an energy': energies.metered,
            'frames before the powers were known': energies.early,
            'frames not metered': energies.unmetered + self._foreign}
        if fit is None:
            return values | {'power of the stages': (
                f'known after {MIN_SAMPLES} readings of the meter in flight')}
        return values | {
            'idle [W]': f'{fit.idle_w.value:.3f} +- {fit.idle_w.half_width:.3f}',
            **{f'{stage} above idle [W]': f'{e.value:.3f} +- {e.half_width:.3f}'
               for stage in fit.stages for e in (fit.extra_w(stage),)},
            'not explained [W]': f'{fit.residual_w:.3f}'}


class CounterWatch:
    """Holds the integral of the readings against the meter's own counter of energy.

    Both are the meter's own figures, without a calibration. It begins anew after a gap, in which
    the counter went on, and when the counter is cleared or another one selected.
    """

    def __init__(self, max_gap_s: float) -> None:
        self._energy = EnergyCounter(max_gap_s)
        self._first: Reading | None = None
        self._first_j = self._gap_s = 0.0
        self.check: CounterCheck | None = None

    def observe(self, t_s: float, reading: Reading) -> None:
        """Take a reading."""
        energy, self.check = self._energy, None
        energy.add(t_s, reading.voltage_v, reading.current_a)
        if self._first is not None and energy.gap_s == self._gap_s:
            self.check = check_against_counters(
                energy.energy_j - self._first_j, self._first, reading)
        if self.check is None:
            self._first, self._first_j, self._gap_s = reading, energy.energy_j, energy.gap_s

    def findings(self) -> Iterator[Finding]:
        """Yield that the two differ by more than their resolution and `AGREEMENT`."""
        check = self.check
        if check is not None and check.counted_j >= MIN_COUNTED_J and not check.agrees():
            yield warning('counter', f'{check.integrated_j:.0f} J were integrated while the meter '
                          f'counted {check.counted_j:.0f} J: they should agree within '
                          f'{100 * AGREEMENT:.0f} %; are readings lost, or spoilt?')
