"""Polls a meter from a thread of its own until stopped, and accounts for every poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from offload_perception.cadence import Cadence
from offload_perception.errors import MeterError
from offload_perception.power.drivers.power_meter import (
    LinkLost,
    PollError,
    PowerMeter,
    pace_hz,
)
from offload_perception.power.drivers.samples import (
    GAP_S,
    Counters,
    Event,
    MeterStatus,
    Sample,
    State,
    merged,
)
from offload_perception.power.drivers.supervisor import BACK_OFF_S, Supervisor

DEADLINE_S = 5.0
"""For one read: a meter that takes longer hangs."""
_FAILURES_BEFORE_REOPEN = 5  # polls in a row
_SAMPLES_BEFORE_NO_LOAD = 10  # of 0 A in a row
_PERIODS_OF_A_GAP = 3
BLOCK_S = 0.1
"""Readings that are closer together make one sample, which costs far more than a reading."""


class MeterReader:
    """Reads at an even rate, reconnects, and hands over samples and events.

    Readings of a meter that is read more than ten times a second are merged into samples of 0.1 s.
    `open_meter` returns an open meter or raises `MeterError`. Both callbacks run in the reader's
    thread: keep them short. `rate_hz` 0 takes the rate that suits the meter.
    """

    def __init__(
        self, open_meter: Callable[[], PowerMeter], on_sample: Callable[[Sample], None],
        on_event: Callable[[Event], None], rate_hz: float = 0.0, *,
        clock: Callable[[], float] = time.monotonic, back_off_s: tuple[float, float] = BACK_OFF_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._open_meter, self._on_sample = open_meter, on_sample
        self._rate_hz, self._clock, self._deadline_s = rate_hz, clock, deadline_s
        self._supervisor = Supervisor(self._session, on_event, clock, back_off_s)
        self._stopping = self._supervisor.stopping
        self._lock = threading.Lock()
        self._meter: PowerMeter | None = None
        self._counters, self._failures, self._without_load = Counters(), 0, 0
        self._last_s: float | None = None
        self._block: list[Sample] = []
        self._reading_since_s: float | None = None

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

    @property
    def status(self) -> MeterStatus:
        """The state now; faulty while a read takes longer than the deadline."""
        since_s = self._reading_since_s
        if since_s is None or self._stopping.is_set() or (
                silent_s := self._clock() - since_s) <= self._deadline_s:
            return self._supervisor.status
        return MeterStatus(
            State.FAULTY, f'no samples for {silent_s:.0f} s: switch the meter off and on; if it '
            'stays so, restart this program', since_s)

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
        except MeterError as e:
            self._supervisor.enter(State.LOST, 'lost', str(e))
        finally:
            self._close(meter)
        return self._counters.samples > samples_before

    def _poll_until_lost(self, meter: PowerMeter) -> None:
        period_s = 1.0 / pace_hz(meter, self._rate_hz)
        self._block = []
        cadence = Cadence(period_s, self._clock())
        self._failures = 0
        try:
            while not self._stopping.wait(
                    0.0 if meter.waits else cadence.wait_s(self._clock())):
                self._poll(meter, period_s)
        finally:
            self._count(missed_ticks=cadence.missed)

    def _close(self, meter: PowerMeter) -> None:
        self._meter = None
        with suppress(OSError):
            meter.close()

    def _poll(self, meter: PowerMeter, period_s: float) -> None:
        """One request; its outcome is counted once."""
        self._count(polls=1)
        self._reading_since_s = self._clock()
        try:
            sample = meter.read()
        except MeterError as e:
            self._count_error(e.kind if isinstance(e, PollError) else LinkLost.kind)
            self._failed(e)
        else:
            self._deliver(meter, sample, period_s)
        finally:
            self._reading_since_s = None
            self._count(**asdict(meter.take_counts()))

    def _deliver(self, meter: PowerMeter, sample: Sample, period_s: float) -> None:
        if self._stopping.is_set():  # stopped: the callback must not be called
            return
        self._failures = 0
        self._count(repeats=1) if sample.repeated else self._count(samples=1)
        self._look_for_a_gap(sample.t_s, max(GAP_S, _PERIODS_OF_A_GAP * period_s))
        if self.status.state != State.MEASURING:
            self._supervisor.enter(State.MEASURING, 'connected', 'it is measuring')
        self._without_load = self._without_load + 1 if sample.current_a == 0.0 else 0
        if meter.no_load and self._without_load == _SAMPLES_BEFORE_NO_LOAD:
            self._supervisor.emit('no_load', meter.no_load)
        self._block.append(sample)
        if meter.waits or len(self._block) >= round(BLOCK_S / period_s):
            block, self._block = self._block, []
            self._on_sample(merged(block) if len(block) > 1 else sample)

    def _look_for_a_gap(self, t_s: float, longest_s: float) -> None:
        """Report a longer time than `longest_s` without a sample."""
        since_s = 0.0 if self._last_s is None else t_s - self._last_s
        self._last_s = t_s
        if since_s > longest_s:
            self._count(gaps=1)
            self._block = []  # no sample reaches over a gap
            self._supervisor.emit('gap', f'no reading for {since_s:.1f} s')

    def _failed(self, error: MeterError) -> None:
        """Continue after a failed poll, unless the meter has to be opened again."""
        if isinstance(error, LinkLost) or not isinstance(error, PollError):
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
