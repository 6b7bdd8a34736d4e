"""The energy counter of a processor (RAPL) in Linux' powercap folder, as power.

By the kernel's Documentation/power/powercap/powercap.rst, a zone has a `name`, such as package-0,
`energy_uj`, its counter in microjoules, and `max_energy_range_uj`, the range after which the
counter starts at 0 again; a subzone, such as core, counts a part of its zone. RAPL gives no power:
it is the growth of the counter over the time between two reads. Processors of AMD have zones of
the same names. The counter covers the processor, and with psys more; never the whole computer.
Linux lets only root read it since version 5.10 (CVE-2020-8694).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

from offload_perception.errors import MeterError
from offload_perception.power.drivers import sysfs
from offload_perception.power.drivers.power_meter import Cancelled, PowerMeter, ReadingRefused
from offload_perception.power.drivers.samples import Sample
from offload_perception.power.energy.frame_energy import TRAPEZOID

FOLDER = 'class/powercap'
SHORTEST_S = 0.01
"""Between two reads: the counter is renewed about every millisecond, which is a tenth of this."""
MAX_POWER_W = 10_000.0
_MOST_UJ = 2**63 - 1


class RaplMeter(PowerMeter):
    """Mean power since the read before, as of the middle of that time; no volts, no amperes."""

    rate_hz, max_rate_hz = 50.0, 1 / SHORTEST_S
    attribution = TRAPEZOID
    remedy = 'look at the files that the log names'

    def __init__(self, zone: str, folder: Path,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Take the counter's first value.

        :raises MeterError: if it cannot be read; it says what to do.
        """
        self.description = f'RAPL {zone}'
        self._folder, self._clock, self._cancelled = folder, clock, threading.Event()
        self._range_uj = sysfs.read_integer(folder / 'max_energy_range_uj', 1, _MOST_UJ)
        self._last_s, self._last_uj = self._clock(), self._count()

    def read(self) -> Sample:
        """Return the mean power since the last read, at least 10 ms.

        :raises PollError: if the counter cannot be read, or its growth cannot be.
        """
        if self._cancelled.wait(max(0.0, self._last_s + SHORTEST_S - self._clock())):
            raise Cancelled(f'{self.description}: the meter is being closed')
        now_s, now_uj = self._clock(), self._count()
        passed_s, grown_uj = now_s - self._last_s, (now_uj - self._last_uj) % self._range_uj
        middle_s = (now_s + self._last_s) / 2
        self._last_s, self._last_uj = now_s, now_uj
        power_w = grown_uj / 1e6 / max(passed_s, SHORTEST_S)
        if power_w > MAX_POWER_W:  # a counter that went back looks as if it had wrapped
            raise ReadingRefused('the counter ran backwards')
        return Sample(middle_s, nan, nan, power_w)

    def cancel(self) -> None:
        """End a wait for the next read."""
        self._cancelled.set()

    def _count(self) -> int:
        return sysfs.read_integer(self._folder / 'energy_uj', 0, _MOST_UJ)


def zones(root: Path = sysfs.SYSFS) -> Iterator[tuple[str, Path]]:
    """Yield name and folder of each zone; a subzone has the name of its zone before its own.

    The zones `intel-rapl-mmio` are the same counters once more, and are left out.
    """
    found = {f.name: f for f in sysfs.folders(root / FOLDER, 'intel-rapl:*')}
    for folder in found.values():
        parent = found.get(folder.name.rpartition(':')[0])
        names = [sysfs.read_name(f / 'name') for f in (parent, folder) if f is not None]
        if all(names):
            yield '/'.join(names), folder


def open_rapl(name: str, root: Path = sysfs.SYSFS) -> RaplMeter:
    """Open a zone, such as package-0, or package-0/core.

    :raises MeterError: if there is none of that name, or its counter cannot be read.
    """
    there = dict(zones(root))
    if name not in there:
        raise MeterError('the processor has no such zone' if there else
                         f'there is no counter under {root}/{FOLDER}: this processor or virtual '
                         'machine has none, or the driver intel_rapl_msr is not loaded')
    return RaplMeter(name, there[name])
