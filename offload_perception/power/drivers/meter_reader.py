"""Polls a meter from a thread of its own until stopped, and accounts for every poll."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from offload_perception.cadence import Cadence
from offload_perception.errors import MeterError
from offload_perception.power.drivers.meter import LinkLost, PollError, SerialMeter
from offload_perception.power.drivers.samples import (
    Counters,
    Event,
    MeterStatus,
    Sample,
    SampleStream,
    State,
)
from offload_perception.power.drivers.supervisor import BACK_OFF_S, Supervisor
from offload_perception.power.drivers.um25c import Reading

MAX_RATE_HZ = 7.0
"""130 bytes at 9600 baud take 135 ms."""
DEFAULT_RATE_HZ = 3.0
"""A little faster than the meter renews its values, so that none is missed."""
_FAILURES_BEFORE_REOPEN = 5  # polls in a row
_READINGS_BEFORE_NO_LOAD = 10  # of 0 A in a row, since the start
_NO_LOAD = ('no current at all: is the supply on the input side of the meter, and the load on its '
            'output side?')


class MeterReader:
    """Reads at an even rate, reconnects, and hands over samples and events.

    `open_meter` returns an open `SerialMeter` or raises `MeterError`. Both callbacks run in the
    reader's thread: keep them short. A `rate_hz` above the capacity of the wire is refused.
    """

    def __init__(
        self, open_meter: Callable[[], SerialMeter], on_sample: Callable[[Sample], None],
        on_event: Callable[[Event], None], rate_hz: float = DEFAULT_RATE_HZ, *,
        clock: Callable[[], float] = time.monotonic, back_off_s: tuple[float, float] = BACK_OFF_S,
    ) -> None:
        if not 0.0 < rate_hz <= MAX_RATE_HZ:
            raise MeterError(
                f'rate_hz {rate_hz}: the wire carries at most {MAX_RATE_HZ} replies a second and '
                f'the meter has new values twice a second: use {DEFAULT_RATE_HZ}')
        self._open_meter, self._on_sample = open_meter, on_sample
        self._period_s, self._clock = 1.0 / rate_hz, clock
        self._supervisor = Supervisor(self._session, on_event, clock, back_off_s)
        self._stopping = self._supervisor.stopping
        self._commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._meter: SerialMeter | None = None
        self._stream, self._counters, self._failures = SampleStream(), Counters(), 0

    def start(self) -> None:
        """Start the thread."""
        self._supervisor.start()

    def stop(self) -> bool:
        """End the thread and close the port; returns within 0.3 s whatever the meter does.

        False when the system still holds the thread, as it does while Bluetooth connects.
        """
        self._stopping.set()
        if (meter := self._meter) is not None:
            meter.cancel()
        return self._supervisor.stop()

    def command(self, command: bytes) -> None:
        """Queue one of `commands`; it goes out between two readings."""
        self._commands.put(command)

    @property
    def status(self) -> MeterStatus:
        """The state now."""
        return self._supervisor.status

    @property
    def counters(self) -> Counters:
        """A copy of the counters."""
        with self._lock:
            return self._counters.copy()

    def _session(self) -> bool:
        """Open, poll until the link is lost, close; whether any sample came."""
        samples_before = self._counters.samples
        try:
            self._meter = meter = self._open_meter()
        except MeterError as e:
            self._count(failed_opens=1)
            self._supervisor.enter(State.LOST, 'lost', str(e))
            return False
        self._count(connects=1)
        try:
            self._poll_until_lost(meter)
        finally:
            self._close(meter)
        return self._counters.samples > samples_before

    def _poll_until_lost(self, meter: SerialMeter) -> None:
        cadence = Cadence(self._period_s, self._clock())
        self._failures = 0
        try:
            while not self._stopping.wait(cadence.wait_s(self._clock())):
                self._send_commands(meter)
                self._poll(meter)
        except LinkLost as e:
            self._supervisor.enter(State.LOST, 'lost', str(e))
        finally:
            self._count(missed_ticks=cadence.missed)

    def _close(self, meter: SerialMeter) -> None:
        self._meter = None
        with suppress(OSError):
            meter.close()

    def _send_commands(self, meter: SerialMeter) -> None:
        while not self._commands.empty() and not self._stopping.is_set():
            meter.send(self._commands.get())
            self._count(commands=1)

    def _poll(self, meter: SerialMeter) -> None:
        """One request; its outcome is counted once."""
        self._count(polls=1)
        try:
            reading = meter.read()
        except PollError as e:
            self._count_error(e.kind)
            self._failed(e)
        else:
            self._deliver(meter.asked_s, reading)
        finally:
            self._count(**asdict(meter.take_counts()))

    def _deliver(self, t_s: float, reading: Reading) -> None:
        if self._stopping.is_set():  # stopped: the callback must not be called
            return
        self._failures = 0
        sample = self._stream.take(t_s, reading)
        self._count(repeats=1) if sample.repeated else self._count(samples=1)
        if gap_s := self._stream.gap_s(t_s):
            self._count(gaps=1)
            self._supervisor.emit('gap', f'no reading for {gap_s:.1f} s')
        if self.status.state != State.MEASURING:
            self._supervisor.enter(
                State.MEASURING, 'connected', f'{reading.model.name} is answering')
        if self._stream.readings_without_load == _READINGS_BEFORE_NO_LOAD:
            self._supervisor.emit('no_load', _NO_LOAD)
        self._on_sample(sample)

    def _failed(self, error: PollError) -> None:
        """Continue after a failed poll, unless the port has to be reopened."""
        if isinstance(error, LinkLost):
            raise error
        self._failures += 1
        if self._failures == 1 and not self._stopping.is_set():
            self._supervisor.emit('failed', str(error))
        if self._failures < _FAILURES_BEFORE_REOPEN or self._stopping.is_set():
            return
        self._supervisor.enter(State.FAULTY, 'failed', str(error))
        raise LinkLost(f'{self._failures} failures in a row, opening the port again: {error}')

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, count in more.items():
                setattr(self._counters, name, getattr(self._counters, name) + count)

    def _count_error(self, kind: str) -> None:
        with self._lock:
            errors = self._counters.errors
            errors[kind] = errors.get(kind, 0) + 1
