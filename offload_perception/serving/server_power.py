"""What a server draws, and joules of a frame that it completes, from a meter of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, nan
from threading import Lock

from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.power_meter import PowerMeter
from offload_perception.power.drivers.samples import Event, MeterStatus, Sample
from offload_perception.power.energy.counter import EnergyCounter

MAX_GAP_S = 3.0


@dataclass(frozen=True)
class PeriodPower:
    """Mean power [W] over a period, and that power's energy by completed frame [J]; NaN = none."""

    power_w: float = nan
    frame_j: float = nan


class ServerPower:
    """Reads a meter from `start` to `stop`, and sums up one period after the other.

    The energy of a frame holds all that the meter sees, idle power too.
    """

    def __init__(self, open_meter: Callable[[], PowerMeter], on_event: Callable[[Event], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = MeterReader(open_meter, self._on_sample, on_event)
        self._lock, self._clock = Lock(), clock
        self._energy = EnergyCounter(MAX_GAP_S)
        self._since_s, self._since_frames, self._since_j, self._since_covered_s = (
            clock(), 0, 0.0, 0.0)

    def start(self) -> None:
        """Start to read."""
        self._reader.start()

    def stop(self) -> None:
        """Stop reading."""
        self._reader.stop()

    @property
    def status(self) -> MeterStatus:
        """The state of the meter."""
        return self._reader.status

    def period(self, completed: int) -> PeriodPower:
        """Return power and energy since the last call.

        :param completed: frames that were completed so far.
        """
        now_s = self._clock()
        with self._lock:
            energy_j, covered_s = self._energy.energy_j, self._energy.covered_s
        passed_s, frames = now_s - self._since_s, completed - self._since_frames
        drawn_j, measured_s = energy_j - self._since_j, covered_s - self._since_covered_s
        self._since_s, self._since_frames = now_s, completed
        self._since_j, self._since_covered_s = energy_j, covered_s
        if measured_s <= 0.0:
            return PeriodPower()
        power_w = drawn_j / measured_s
        return PeriodPower(power_w, power_w * passed_s / frames if frames > 0 else nan)

    def _on_sample(self, sample: Sample) -> None:
        if not isnan(sample.power_w):
            with self._lock:
                self._energy.add(sample.t_s, 1.0, sample.power_w)  # some meters give watts alone
