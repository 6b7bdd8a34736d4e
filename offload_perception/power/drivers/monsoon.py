"""The Monsoon High Voltage Power Monitor as a second source: 5 kHz, for single frames.

Uses the maker's Python package (`pip install monsoon`, imported as `Monsoon`), only to measure: no
output voltage is ever set and no calibration written. Traps of that package, version 0.1.88, and
what is done about them:

- A missing device is only printed, and fails later: it is checked after opening.
- Pass-through of USB is 'Auto' by default, which cuts a load on the USB port when sampling
  starts: it is set to 'On' before.
- `startSampling` does not return, and swallows Ctrl-C: only the periodic calls are used, in a
  thread of their own.
- Those wait for ever when the device sends no calibration samples: `MeterReader` says so after a
  deadline, and such a thread delays nothing.
- Times are the wall clock's: they are replaced by monotonic ones, evenly spaced. Pure Python often
  cannot keep up with 5 kHz; the device then drops samples, which is reported.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Protocol

import numpy as np

from offload_perception.errors import MeterError
from offload_perception.power.drivers.block_clock import BlockClock
from offload_perception.power.drivers.power_meter import (
    LinkCounts,
    MeterSilent,
    PowerMeter,
    ReadingRefused,
)
from offload_perception.power.drivers.samples import Curve, Sample
from offload_perception.power.energy.frame_energy import TRAPEZOID

SAMPLE_PERIOD_S = 0.0002  # 5 kHz, fixed by the device
BLOCK_SAMPLES = 500  # 0.1 s: ten messages a second
CHANNELS = ('main', 'usb')
MAX_VOLTAGE_V, MAX_CURRENT_A = 14.0, 15.0  # its output goes to 13.5 V, its limit to 15 A
ZERO_A = 0.02
"""Without a load the reading may be slightly negative."""
_UDEV_RULE = ('SUBSYSTEM=="usb", ATTR{idVendor}=="2ab9", ATTR{idProduct}=="0001", '
              'MODE="0660", GROUP="plugdev"')


@dataclass(frozen=True)
class PowerBlock:
    """Consecutive samples: float64 arrays of one length, times in monotonic seconds.

    `dropped` is how many samples the device has lost so far because they were not fetched in time.
    """

    times_s: np.ndarray
    voltage_v: np.ndarray
    current_a: np.ndarray
    dropped: int

    @property
    def power_w(self) -> np.ndarray:
        """Power of each sample."""
        power_w: np.ndarray = self.voltage_v * self.current_a
        return power_w

    @property
    def plausible(self) -> bool:
        """Whether all samples are within what the device can measure."""
        return bool(
            np.all((self.voltage_v >= 0.0) & (self.voltage_v <= MAX_VOLTAGE_V))
            and np.all((self.current_a >= -ZERO_A) & (self.current_a <= MAX_CURRENT_A)))


class _Device(Protocol):
    """What is used of the package's device."""

    def closeDevice(self) -> None: ...


class _Engine(Protocol):
    """What is used of the package's sample engine; a channel's number is its column's place."""

    dropped: int

    def ConsoleOutput(self, wanted: bool, /) -> None: ...
    def enableChannel(self, channel: int, /) -> None: ...
    def periodicStartSampling(self) -> bool | None: ...
    def periodicCollectSamples(self, samples: int, /) -> Sequence[Sequence[float]]: ...
    def periodicStopSampling(self) -> None: ...


class MonsoonMeter(PowerMeter):
    """An open power monitor. Used by one thread; each call may block, see the module's text."""

    rate_hz = max_rate_hz = 1 / (SAMPLE_PERIOD_S * BLOCK_SAMPLES)
    waits, prompt = True, False
    attribution = TRAPEZOID
    remedy = 'is the supply connected the right way round, and on this channel?'

    def __init__(
        self, device: _Device, engine: _Engine, channels: ModuleType | SimpleNamespace,
        channel: str, clock: Callable[[], float] = time.monotonic,
        description: str = 'Monsoon HVPM',
    ) -> None:
        self.description = description
        self._device, self._engine, self._clock = device, engine, clock
        self._sampling, self._dropped, self._taken = False, 0, BlockClock()
        usb = channel == 'usb'
        self._current_at = channels.USBCurrent if usb else channels.MainCurrent
        self._voltage_at = channels.USBVoltage if usb else channels.MainVoltage
        engine.ConsoleOutput(False)
        for wanted in (self._current_at, self._voltage_at):
            engine.enableChannel(wanted)

    def start(self) -> None:
        """Begin sampling. Blocks until the device has sent its calibration samples."""
        with _translated():
            if self._engine.periodicStartSampling() is False:
                raise MeterError('the Monsoon did not calibrate: unplug it and plug it in again')
        self._sampling = True

    def read(self) -> Sample:
        """Wait for a block of samples; return its means, and its power as a curve."""
        if not self._sampling:
            self.start()
        block = self.collect()
        if len(block.times_s) == 0:
            raise MeterSilent('the Monsoon gave no samples')
        if not block.plausible:
            raise ReadingRefused('out of range', self.remedy)
        voltage_v, power_w = float(block.voltage_v.mean()), float(block.power_w.mean())
        times_s = self._taken.taken_s(block.times_s)
        return Sample(float(times_s.mean()), voltage_v,
                      power_w / voltage_v if voltage_v else 0.0, power_w,
                      curve=Curve(times_s, block.power_w, self._taken.error_s))

    def collect(self, samples: int = BLOCK_SAMPLES) -> PowerBlock:
        """Wait for about `samples` samples; their times end now.

        They are 200 us apart, or more if the package was too slow and samples were dropped.
        """
        began_s = self._clock()
        with _translated():
            columns = self._engine.periodicCollectSamples(samples)
        now_s = self._clock()
        current_ma = np.asarray(columns[self._current_at], float)
        voltage_v = np.asarray(columns[self._voltage_at], float)
        count = min(len(current_ma), len(voltage_v))
        period_s = max(SAMPLE_PERIOD_S, (now_s - began_s) / max(1, count))
        times_s = now_s - period_s * np.arange(count - 1, -1, -1)
        return PowerBlock(
            times_s, voltage_v[:count], current_ma[:count] / 1000, int(self._engine.dropped))

    def take_counts(self) -> LinkCounts:
        """Return how many samples the device has dropped since the last call."""
        before, self._dropped = self._dropped, int(self._engine.dropped)
        return LinkCounts(dropped=max(0, self._dropped - before))

    def close(self) -> None:
        """End sampling and close the device, whatever state it is in."""
        with suppress(Exception):  # the package raises whatever its USB library does
            self._engine.periodicStopSampling()
        with suppress(Exception):
            self._device.closeDevice()


def open_monsoon(serial_number: int | None = None, channel: str = 'main') -> MonsoonMeter:
    """Open the first power monitor, or the one with this serial number.

    `channel` is the output of the load: 'main' or 'usb'. Raises `MeterError` with the remedy.
    """
    if channel not in CHANNELS:
        raise MeterError(f'Monsoon channel {channel!r}: choose one of {", ".join(CHANNELS)}')
    hvpm, engines, protocols, operations = _package()
    device, protocol = hvpm.Monsoon(), protocols.USB_protocol()
    with _translated():
        device.setup_usb(serial_number, protocol)
        if protocol.DEVICE is None:
            wanted = '' if serial_number is None else f' with serial number {serial_number}'
            raise MeterError(
                f'no Monsoon{wanted} on USB: is it switched on and plugged in? It needs this udev '
                f'rule: {_UDEV_RULE}')
        device.setUSBPassthroughMode(operations.USB_Passthrough.On)
        device.fillStatusPacket()
    name = 'Monsoon HVPM' if serial_number is None else f'Monsoon HVPM {serial_number}'
    return MonsoonMeter(device, engines.SampleEngine(device), engines.channels, channel,
                        description=name)


def open_monsoon_source(text: str) -> MonsoonMeter:
    """Open the monitor that `SERIAL` or `SERIAL/CHANNEL` means; 0 is the first one.

    :raises MeterError: if it is none, or cannot be opened.
    """
    serial, _, channel = text.partition('/')
    if not (serial.isascii() and serial.isdigit() and len(serial) < 11):
        raise MeterError(f"'{serial}' is no serial number of a Monsoon: it is a number, for "
                         'example monsoon:12345 or monsoon:12345/usb')
    return open_monsoon(int(serial) or None, channel or CHANNELS[0])


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the package and its USB library raise into `MeterError`."""
    try:
        yield
    except MeterError:
        raise
    except Exception as e:  # the package lets through errors of every kind
        if getattr(e, 'errno', None) == errno.EACCES:
            raise MeterError(
                f'no permission to use the Monsoon: add this udev rule: {_UDEV_RULE}') from e
        raise MeterError(
            f'the Monsoon failed ({e}): check its cable and power; libusb-1.0 must be installed'
        ) from e


def _package() -> tuple[ModuleType, ModuleType, ModuleType, ModuleType]:
    """Import the maker's package, which is optional."""
    try:
        from Monsoon import HVPM, Operations, pmapi, sampleEngine
    except ImportError as e:
        raise MeterError(f'the Monsoon needs its package: `pip install monsoon` ({e})') from e
    return HVPM, sampleEngine, pmapi, Operations
