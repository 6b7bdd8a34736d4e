"""A stand-in for the maker's `Monsoon` package: its API and its traps, without a device.

Modelled on the package's version 0.1.88: what is named here exists there, with that behaviour.
"""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

CHANNELS = SimpleNamespace(
    timeStamp=0, MainCurrent=1, USBCurrent=2, AuxCurrent=3, MainVoltage=4, USBVoltage=5)
USB_PASSTHROUGH = SimpleNamespace(Off=0, On=1, Auto=2)


class StandIn:
    """What the device is to do, and what was asked of it."""

    def __init__(self) -> None:
        self.present = True
        self.connect_error: Exception | None = None
        self.collect_error: Exception | None = None
        self.calibrates = True
        self.never_returns = threading.Event()
        self.stuck, self.release = threading.Event(), threading.Event()
        self.passthrough = USB_PASSTHROUGH.Auto
        self.enabled = {CHANNELS.timeStamp, CHANNELS.MainCurrent, CHANNELS.MainVoltage}
        self.console, self.sampling, self.closed, self.dropped = True, False, 0, 0
        self.current_ma, self.voltage_v = 258.5, 5.0

    def modules(self) -> dict[str, SimpleNamespace]:
        """The package's modules, by the names they are imported under."""
        parts = {
            'HVPM': SimpleNamespace(Monsoon=lambda: _Device(self)),
            'sampleEngine': SimpleNamespace(
                SampleEngine=lambda device: _Engine(self), channels=CHANNELS),
            'pmapi': SimpleNamespace(USB_protocol=lambda: SimpleNamespace(DEVICE=None)),
            'Operations': SimpleNamespace(USB_Passthrough=USB_PASSTHROUGH),
        }
        return {'Monsoon': SimpleNamespace(**parts)} | {
            f'Monsoon.{name}': part for name, part in parts.items()}


class _Device:
    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._protocol: object = None

    def setup_usb(self, serialno: int | None = None,
                  Protocol: SimpleNamespace | None = None) -> None:
        if self._stand_in.connect_error:
            raise self._stand_in.connect_error
        if not self._stand_in.present:
            print('Unable to find device')
            return
        Protocol.DEVICE = self._protocol = object()

    def setUSBPassthroughMode(self, mode: int) -> None:
        self._stand_in.passthrough = mode

    def fillStatusPacket(self) -> None:
        assert self._protocol is not None

    def closeDevice(self) -> None:
        self._stand_in.closed += 1

    def setVout(self, volts: Any) -> None:
        pytest.fail('applies a voltage to the load')

    def setDefaultScaleValues(self) -> None:
        pytest.fail('wipes the calibration')


class _Engine:
    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    @property
    def dropped(self) -> Any:
        return self._stand_in.dropped

    def ConsoleOutput(self, wanted: bool) -> None:
        self._stand_in.console = wanted

    def enableChannel(self, channel: int) -> None:
        self._stand_in.enabled.add(channel)

    def startSampling(self, *_: Any, **__: Any) -> None:
        pytest.fail('does not return')

    def periodicStartSampling(self) -> list[list[Any]] | bool:
        if self._stand_in.passthrough == USB_PASSTHROUGH.Auto:
            pytest.fail('a load on the USB port has just lost its power')
        if not self._stand_in.calibrates:
            return False
        self._stand_in.sampling = True
        return [[] for _ in range(6)]

    def periodicCollectSamples(self, samples: int) -> list[list[float]]:
        s = self._stand_in
        if s.collect_error:
            error, s.collect_error = s.collect_error, None
            raise error
        if s.never_returns.is_set():
            s.stuck.set()
            assert s.release.wait(20.0)
        count, columns = samples + 3, [[] for _ in range(6)]
        s.release.wait(count * 0.0002)  # they are taken at 5 kHz
        for channel in s.enabled:
            value = s.voltage_v if channel in (4, 5) else s.current_ma
            columns[channel] = [value] * count
        return columns

    def periodicStopSampling(self) -> None:
        self._stand_in.sampling = False
