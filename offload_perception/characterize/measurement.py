"""Measure every prefix on every backend, one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from time import monotonic, sleep

from offload_perception.characterize import host
from offload_perception.characterize.backends import Backend
from offload_perception.characterize.job import DoesNotFitError, Timing, run_job
from offload_perception.characterize.metering import MeanPower, Meter
from offload_perception.characterize.prefix_memory import available_bytes
from offload_perception.characterize.record import Journal, Row
from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact, Layer

MIN_SECONDS = 3.0


@dataclass(frozen=True)
class Effort:
    """How long and how often to run: at least `seconds` and `runs` for each prefix.

    `limit_bytes` is the memory limit; without it, what is available.
    """

    threads: int = 2
    seconds: float = 10.0
    runs: int = 10
    idle_seconds: float = 20.0
    limit_bytes: int | None = None

    def __post_init__(self) -> None:
        if min(self.seconds, self.idle_seconds) < MIN_SECONDS:
            raise ConfigError(f'{min(self.seconds, self.idle_seconds):g} s are too short: a meter '
                              f'gives two readings a second, so measure {MIN_SECONDS:g} s at '
                              'least')
        if self.threads < 1 or self.runs < 1:
            raise ConfigError(f'threads {self.threads} and runs {self.runs}: give 1 or more')
        if self.limit_bytes is not None and self.limit_bytes <= 0:
            raise ConfigError(f'a memory limit of {self.limit_bytes} bytes: give more than 0')


class Session:
    """One stretch of measuring with one meter; rows that the journal has are left out.

    `tell` is called with each finished row.
    """

    def __init__(self, artefact: Artefact, journal: Journal, meter: Meter, effort: Effort,
                 tell: Callable[[Row], None] = lambda row: None) -> None:
        self._artefact, self._journal, self._meter = artefact, journal, meter
        self._effort, self._tell = effort, tell
        self._idle = MeanPower(float('nan'), float('nan'), 0)

    def run(self, backends: Sequence[Backend], date: str) -> None:
        """Measure what is missing.

        :raises OffloadError: if meter or device fail; what was measured is in the journal.
        """
        if not self._missing(backends):
            return
        self._idle = self._measure_idle()
        self._journal.add_session({
            'date': date, 'host': host.describe(), 'state': host.state(),
            'meter': self._meter.description, 'emulated': self._meter.emulated,
            'idle': asdict(self._idle)})
        for backend in backends:
            self._run_backend(backend)

    def _missing(self, backends: Sequence[Backend]) -> bool:
        return any(self._journal.find(backend.name, layer.index) is None
                   for backend in backends for layer in self._artefact.layers)

    def _measure_idle(self) -> MeanPower:
        start_s = monotonic()
        sleep(self._effort.idle_seconds)
        return self._meter.log.mean(start_s, monotonic())

    def _run_backend(self, backend: Backend) -> None:
        missing = [layer for layer in self._artefact.layers
                   if self._journal.find(backend.name, layer.index) is None]
        base_bytes = self._time(backend, 0).base_bytes if missing else 0
        for layer in missing:
            row = self._measure(backend, layer, base_bytes)
            self._journal.add(row)
            self._tell(row)

    def _measure(self, backend: Backend, layer: Layer, base_bytes: int) -> Row:
        """Return the row of a prefix: with its figures, or with why it does not fit."""
        row = Row(backend.name, layer.index, layer.name, layer.kind, False,
                  base_bytes + backend.predict(layer.index), base_bytes)
        limit = self._effort.limit_bytes
        may_use = available_bytes() if limit is None else min(limit, available_bytes())
        if row.predicted_bytes > may_use:
            return replace(row, note=f'needs about {row.predicted_bytes >> 20} MiB, of which '
                                     f'{may_use >> 20} MiB may be used: not run')
        try:
            return self._filled(row, self._time(backend, layer.index))
        except DoesNotFitError as e:
            return replace(row, note=str(e))

    def _time(self, backend: Backend, cut: int) -> Timing:
        effort = self._effort
        with backend.job(cut, threads=effort.threads, seconds=effort.seconds, runs=effort.runs,
                         limit_bytes=effort.limit_bytes) as job:
            return run_job(job, self._meter.follow)

    def _filled(self, row: Row, timing: Timing) -> Row:
        power = self._meter.log.mean(timing.start_s, timing.end_s)
        figures = {name: getattr(timing, name) for name in (
            'base_bytes', 'peak_bytes', 'load_s', 'first_s', 'runs', 'mean_s', 'spread_s',
            'median_s', 'least_s', 'device')}
        below = power.value_w + power.half_width_w < self._idle.value_w - self._idle.half_width_w
        return replace(
            row, fits=True, **figures, **host.state(),
            power_w=power.value_w, power_half_w=power.half_width_w, readings=power.samples,
            idle_w=self._idle.value_w, idle_half_w=self._idle.half_width_w,
            note='draws less than idle: was the computer busy while idle was measured?'
            if below else '')
