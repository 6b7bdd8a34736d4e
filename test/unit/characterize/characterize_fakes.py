"""Rows, timings and a meter that need no measuring."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from offload_perception.characterize.job import Job, Timing
from offload_perception.characterize.metering import MeanPower, Meter, PowerLog
from offload_perception.characterize.record import Row

TIMING = Timing(base_bytes=40 << 20, peak_bytes=60 << 20, load_s=0.5, first_s=0.3, start_s=10.0,
                end_s=12.0, runs=100, mean_s=0.02, spread_s=0.001, median_s=0.02, least_s=0.019,
                device='litert on cpu')


class FakeLog:
    """Draws 2 W idle (the first question) and 5 W later."""

    def __init__(self) -> None:
        self._powers = iter([MeanPower(2.0, 0.1, 40)])

    def mean(self, start_s: float, end_s: float) -> MeanPower:
        return next(self._powers, MeanPower(5.0, 0.2, 4))


class FakeMeter:
    """Stands in for `open_meter`."""

    def __init__(self, emulated: bool = True) -> None:
        self.opened, self._emulated = 0, emulated

    @contextmanager
    def __call__(self, name: Any, device: Any) -> Iterator[Any]:
        self.opened += 1
        yield Meter(cast(PowerLog, FakeLog()), 'fake meter', self._emulated)


class FakeRuns:
    """Stands in for `run_job`; fails at the n-th prefix on request."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        self.fail_at: int | None = None
        self.error = Exception()

    def __call__(self, job: Job, on_start: Callable[..., Any] | None = None) -> Timing:
        if job.cut == 0:
            return Timing(base_bytes=TIMING.base_bytes)
        if job.cut == self.fail_at:
            raise self.error
        self.cuts.append(job.cut)
        return replace(TIMING, mean_s=0.01 * job.cut)


def row(cut: int, kind: str = 'conv', **figures: Any) -> Row:
    given = {'backend': 'int8', 'cut': cut, 'name': f'layer{cut}', 'kind': kind, 'fits': True,
             'predicted_bytes': 100, 'base_bytes': 50, 'mean_s': 0.1 * cut, 'spread_s': 0.01,
             'runs': 100, 'power_w': 5.0, 'power_half_w': 0.2, 'idle_w': 2.0, 'idle_half_w': 0.1}
    return Row(**{**given, **figures})
