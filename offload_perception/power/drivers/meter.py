"""The UM25C and its siblings on a serial port: one request, one judged reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from queue import SimpleQueue

import serial

from offload_perception.power.drivers import commands
from offload_perception.power.drivers.framer import Framer
from offload_perception.power.drivers.plausibility import Guard, without_impossible
from offload_perception.power.drivers.port import open_port
from offload_perception.power.drivers.power_meter import (
    Cancelled,
    LinkCounts,
    LinkLost,
    MeterSilent,
    PollError,
    PowerMeter,
    ReadingRefused,
    ShortReply,
    WrongDevice,
)
from offload_perception.power.drivers.samples import Sample, SampleStream
from offload_perception.power.drivers.um25c import Model, Reading, decode, tail_is_right

SETTLE_S = 0.3
"""The Bluetooth module drops what comes sooner after the port was opened (rdserialtool)."""
COMMAND_PAUSE_S = 0.5
"""A byte sent sooner after a state command can be lost (rdserialtool; others use 0.2 s)."""
TIMEOUT_S = 1.0
"""For a reply, which takes 135 ms on the wire at 9600 baud."""
DEFAULT_RATE_HZ = 3.0
"""A little faster than the meter renews its values, so that none is missed."""
MAX_RATE_HZ = 7.0
"""130 bytes at 9600 baud take 135 ms."""


def open_serial_meter(
    port: str, timeout_s: float = TIMEOUT_S, *, strict_tail: bool = False,
) -> SerialMeter:
    """Open the meter on a serial port such as /dev/rfcomm0.

    Returns without asking the meter anything: a port that opens does not prove that a meter is
    there, the first `read` does. Raises `MeterError` with cause and remedy.
    """
    return SerialMeter(open_port(port), timeout_s=timeout_s, strict_tail=strict_tail)


class SerialMeter:
    """An open meter. Used by one thread, except for `cancel`."""

    def __init__(
        self, port: serial.Serial, *, timeout_s: float = TIMEOUT_S, strict_tail: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port, self._timeout_s, self._clock = port, timeout_s, clock
        self._framer, self._guard = Framer(), Guard(strict_tail=strict_tail)
        self._taken, self._discarded = LinkCounts(), 0
        self._cancelled = threading.Event()
        self._ready_s = clock() + SETTLE_S
        self.model: Model | None = None
        self.asked_s = 0.0
        """When the last request went out: the time of the values in its reply."""

    def read(self) -> Reading:
        """Ask for one reading and wait for it, at most `timeout_s`; None in it = not known.

        Raises a `PollError`: `LinkLost` when the port has to be opened again, else ask again.
        """
        self._write(commands.READ)
        frame = self._await_frame(self.asked_s + self._timeout_s)
        reading = decode(frame)
        self.model = reading.model
        if refusal := self._guard.check(reading, tail_is_right(frame)):
            raise ReadingRefused(refusal.value)
        return without_impossible(reading)

    def send(self, command: bytes) -> None:
        """Send a command that is not answered; whatever comes next waits `COMMAND_PAUSE_S`."""
        if commands.changes_counters(command):
            self._guard.forget()
        self._write(command)
        self._ready_s = self._clock() + COMMAND_PAUSE_S

    def take_counts(self) -> LinkCounts:
        """Return what was counted since the last call."""
        now = LinkCounts(
            self._framer.garbage_bytes + self._discarded, self._framer.short_frames,
            self._guard.tail_warnings, self._guard.counter_resets)
        before, self._taken = self._taken, now
        return LinkCounts(*(a - b for a, b in zip(astuple(now), astuple(before), strict=True)))

    def cancel(self) -> None:
        """End a current `read` in another thread, and every later one, at once."""
        self._cancelled.set()

    def close(self) -> None:
        """Close the port; may be called twice."""
        self.cancel()
        self._port.close()

    def _write(self, data: bytes) -> None:
        """Send one byte once the meter is ready for it; old input is no answer to it."""
        self._cancelled.wait(max(0.0, self._ready_s - self._clock()))
        self._raise_if_cancelled()
        with self._link():
            self._discarded += self._port.in_waiting
            self._port.reset_input_buffer()
            self.asked_s = self._clock()
            self._port.write(data)

    def _await_frame(self, deadline_s: float) -> bytes:
        received = 0
        while self._clock() < deadline_s:
            self._raise_if_cancelled()
            with self._link():
                data = self._port.read(self._framer.missing_bytes)
            received += len(data)
            if frames := self._framer.feed(data):
                return frames[0]
        raise self._nothing_whole(received)

    def _nothing_whole(self, received: int) -> PollError:
        """Return the error for a request that brought no frame."""
        begun = self._framer.short_frames
        self._framer.flush()
        if not received:
            return MeterSilent(
                f'{self._port.port}: no answer within {self._timeout_s} s: is the meter powered '
                'and connected (its blue light steady)?')
        if self._framer.short_frames > begun:
            return ShortReply(f'{self._port.port}: the reply broke off after {received} bytes')
        return WrongDevice(
            f'{self._port.port}: {received} bytes came, but no reply of a UM24C, UM25C or UM34C: '
            'is another device on this port?')

    def _raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled(f'{self._port.port}: the meter is being closed')

    @contextmanager
    def _link(self) -> Iterator[None]:
        """Turn what pyserial and the system raise on a dead port into `LinkLost`."""
        try:
            yield
        except (OSError, TypeError) as e:  # TypeError: pyserial's fd is None once closed
            raise LinkLost(
                f'{self._port.port}: link lost ({e}); the meter lives on the line it measures, so '
                'the supply may be lost too') from e


class UmMeter(PowerMeter):
    """A UM meter as a `PowerMeter`; what is put into `orders` is sent between two readings.

    :ivar orders: queue of `commands`, which a meter that is opened again takes over.
    """

    rate_hz, max_rate_hz = DEFAULT_RATE_HZ, MAX_RATE_HZ
    remedy = 'bring the meter nearer, or use a cable'
    no_load = ('no current at all: is the supply on the input side of the meter, and the load on '
               'its output side?')

    def __init__(self, meter: SerialMeter, description: str, *, emulated: bool = False,
                 orders: SimpleQueue[bytes] | None = None) -> None:
        self.description, self._meter = description, meter
        self._stream, self._sent = SampleStream(emulated=emulated), 0
        self.orders: SimpleQueue[bytes] = SimpleQueue() if orders is None else orders

    def read(self) -> Sample:
        """Send what was ordered, ask for one reading and wait for it; see `SerialMeter.read`."""
        while not self.orders.empty():
            self._meter.send(self.orders.get())
            self._sent += 1
        reading = self._meter.read()
        return self._stream.take(self._meter.asked_s, reading)

    def take_counts(self) -> LinkCounts:
        """Return what was counted since the last call."""
        sent, self._sent = self._sent, 0
        return replace(self._meter.take_counts(), commands=sent)

    def cancel(self) -> None:
        """End a current `read` at once."""
        self._meter.cancel()

    def close(self) -> None:
        """Close the port."""
        self._meter.close()


def open_um_meter(port: str) -> UmMeter:
    """Open the UM meter on a serial port, as `open_serial_meter` does.

    :raises MeterError: if it cannot be opened, with the remedy.
    """
    return UmMeter(open_serial_meter(port), f'UM25C {port}')
