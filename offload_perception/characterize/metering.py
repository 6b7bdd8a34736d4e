"""Mean power over a stretch of time, from whichever meter there is."""

from __future__ import annotations

import math
import statistics
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic

import psutil

from offload_perception.errors import MeterError
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.power_sources import open_power_source
from offload_perception.power.drivers.samples import REFRESH_S, Event, Sample
from offload_perception.power.emulation.device_model import preset
from offload_perception.power.emulation.emulator_process import EmulatorProcess, spawn_emulator
from offload_perception.threads import FOREVER, Worker

EMULATED, MONSOON = 'emulated', 'monsoon'
SETTLE_S = 2 * REFRESH_S
"""A reading is a mean over the refresh before it, and may be as old again: from then on it
holds nothing of what was before."""
MIN_SAMPLES = 3
MAX_POWER_W = 2000.0
"""A computer that runs one inference after the other draws no more."""
_FIRST_SAMPLE_S = 10.0
_FOLLOW_S = 0.2
_T_95 = (12.71, 4.31, 3.19, 2.78, 2.58, 2.45, 2.37, 2.31, 2.27, 2.23)


@dataclass(frozen=True)
class MeanPower:
    """Mean of `samples` readings in W; `half_width_w` is that of its 95 % interval.

    The interval is the scatter of the readings, taken as independent; a meter's calibration is
    not in it.
    """

    value_w: float
    half_width_w: float
    samples: int


class PowerLog:
    """Powers over time, filled by a reader's thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._changed = clock, threading.Condition()
        self._powers: deque[tuple[float, float]] = deque(maxlen=100_000)
        self._problem, self._lost = '', False

    def add(self, t_s: float, power_w: float) -> None:
        """Take a power and when it was read."""
        with self._changed:
            self._powers.append((t_s, power_w))
            self._changed.notify_all()

    def observe_event(self, event: Event) -> None:
        """Remember what went wrong last."""
        if event.kind != 'connected':
            with self._changed:
                self._problem, self._lost = event.message, event.kind == 'lost'
                self._changed.notify_all()

    def wait_first(self, timeout_s: float = _FIRST_SAMPLE_S) -> None:
        """Wait for the first power.

        :raises MeterError: if the port cannot be opened or nothing comes, with the remedy.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._powers or self._lost, timeout_s)
            if not self._powers:
                raise MeterError(self._problem or f'the meter gave no reading in {timeout_s:g} s: '
                                                  'is it powered, and is this its port?')

    def between(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Return the readings between two moments: when, and how many W."""
        with self._changed:
            return [(t_s, w) for t_s, w in self._powers if start_s <= t_s <= end_s]

    def mean(self, start_s: float, end_s: float) -> MeanPower:
        """Return the mean power between two moments, without what reaches in from before.

        :raises MeterError: if too few readings came, or they cannot be true.
        """
        powers_w = [w for _, w in self.between(start_s + SETTLE_S, end_s)]
        with self._changed:
            problem = self._problem
        if len(powers_w) < MIN_SAMPLES:
            raise MeterError(
                f'{len(powers_w)} readings in {end_s - start_s:.1f} s: '
                f'{problem or "measure for longer (--seconds)"}')
        if not any(powers_w):
            raise MeterError('no power at all: is the supply on the input side of the meter, and '
                             'the load on its output side?')
        return _mean(powers_w)


def _mean(powers_w: list[float]) -> MeanPower:
    value_w = statistics.fmean(powers_w)
    if not 0.0 <= value_w <= MAX_POWER_W:
        raise MeterError(f'the meter reads {value_w:.2f} W, which is impossible: check its '
                         'polarity and its calibration')
    count = len(powers_w)
    half_w = t_95(count - 1) * statistics.stdev(powers_w) / math.sqrt(count)
    return MeanPower(value_w, half_w, count)


def t_95(freedom: int) -> float:
    """Return the two-sided 95 % point of Student's distribution, to 1 %."""
    return _T_95[freedom - 1] if freedom <= len(_T_95) else 1.96 + 2.7 / freedom


@dataclass(frozen=True)
class Meter:
    """A running meter: its log, its kind, and the process that an emulated one follows."""

    log: PowerLog
    description: str
    emulated: bool
    follow: Callable[[int], None] = lambda pid: None


@contextmanager
def open_meter(name: str, device: str) -> Iterator[Meter]:
    """Give the meter called `emulated` (drawing the power of `device`), or that of a source.

    A source is one of `power_sources`; `monsoon` alone and the path of a port are short for one.

    :raises MeterError: if it cannot be had, with the remedy.
    """
    log = PowerLog()
    if name == EMULATED:
        with spawn_emulator(device=device) as emulator, \
                _running(f'um25c:{emulator.port}', log), \
                _Follower(emulator, device) as follower:
            yield Meter(log, f'emulated UM25C with the power of a {device}', True,
                        follower.follow)
    else:
        source = {MONSOON: f'{MONSOON}:0'}.get(name, name)
        if name.startswith('/'):
            source = f'um25c:{name}'
        with _running(source, log):
            yield Meter(log, name, False)


@contextmanager
def _running(source: str, log: PowerLog) -> Iterator[None]:
    """Have a meter of `power_sources` fill the log."""
    def add(sample: Sample) -> None:
        if not sample.repeated:
            log.add(sample.t_s, sample.power_w)

    reader = MeterReader(lambda: open_power_source(source), add, log.observe_event)
    reader.start()
    try:
        log.wait_first()
        yield
    finally:
        reader.stop()


class _Follower:
    """Lets the emulated device draw power by the CPU time of one process, and of no other.

    So other load of the computer does not count, as there would be none on a drone.
    """

    def __init__(self, emulator: EmulatorProcess, device: str) -> None:
        self._emulator, self._device = emulator, preset(device)
        self._process: psutil.Process | None = None
        self._worker = Worker('follower', self._step, patience=FOREVER)
        self._cores = psutil.cpu_count() or 1

    def follow(self, pid: int) -> None:
        """Follow this process until it ends, then idle."""
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)

    def __enter__(self) -> _Follower:
        self._emulator.set_stage('idle', 0.0)
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def _step(self) -> bool:
        if self._worker.stopping.wait(_FOLLOW_S):
            return False
        with suppress(MeterError):  # the emulator was ended; the reader reports it
            self._emulator.set_stage('prefix', self._extra_w(self._load() / self._cores))
        return True

    def _load(self) -> float:
        """Cores in use since the last call."""
        try:
            return self._process.cpu_percent() / 100 if self._process else 0.0
        except psutil.Error:
            self._process = None
            return 0.0

    def _extra_w(self, load: float) -> float:
        return (self._device.full_load_w - self._device.idle_w) * min(load, 1.0)
