"""What a meter reader hands over: samples, events, counters and its status."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from statistics import fmean

import numpy as np

from offload_perception.power.drivers.block_clock import CLOCK_S
from offload_perception.power.drivers.um25c import Reading

REFRESH_S = 0.5
"""How often a UM meter renews its values (2 Hz display)."""
GAP_S = 3 * REFRESH_S
"""A longer time without a reading is reported as a gap."""


class State(Enum):
    """The state of the reader; the value is the text for diagnostics."""

    CONNECTING = 'connecting'
    MEASURING = 'measuring'
    FAULTY = 'the meter answers badly or not at all'
    LOST = 'link lost: the supply may be lost too'
    STOPPED = 'stopped'


@dataclass(frozen=True)
class MeterStatus:
    """The state, the sentence that goes with it, and since when (monotonic seconds)."""

    state: State
    message: str
    since_s: float


@dataclass(frozen=True)
class Curve:
    """Power of a fast meter between two samples: float64 arrays of one length.

    Times are monotonic seconds and rise, powers are watts. `error_s` is the standard deviation of
    the times' common error.
    """

    times_s: np.ndarray
    powers_w: np.ndarray
    error_s: float = CLOCK_S


@dataclass(frozen=True)
class Sample:
    """What one read of a meter gave; NaN = it does not measure that, or not now.

    `t_s` is when it was so, in monotonic seconds. Current and power are what the load draws.

    :ivar repeated: the meter had not renewed its values since the sample before.
    :ivar emulated: the values are modelled, not measured.
    :ivar reading: all that a UM meter says, None of other meters.
    :ivar curve: of a fast meter, the samples that the values are the means of.
    """

    t_s: float
    voltage_v: float
    current_a: float
    power_w: float
    repeated: bool = False
    emulated: bool = False
    reading: Reading | None = None
    curve: Curve | None = None


def merged(samples: Sequence[Sample]) -> Sample:
    """Return consecutive samples of one meter as one, with their means and their curve.

    What is read may be as old as the time from one read to the next.
    """
    known = [s for s in samples if isfinite(s.power_w)]
    step_s = (samples[-1].t_s - samples[0].t_s) / max(1, len(samples) - 1)
    return Sample(
        fmean(s.t_s for s in samples), fmean(s.voltage_v for s in samples),
        fmean(s.current_a for s in samples), fmean(s.power_w for s in samples),
        repeated=all(s.repeated for s in samples), emulated=any(s.emulated for s in samples),
        curve=Curve(np.array([s.t_s for s in known]), np.array([s.power_w for s in known]),
                    max(CLOCK_S, step_s)))


@dataclass(frozen=True)
class Event:
    """Something worth a log line. Kinds: connected, lost, failed, gap, no_load, stopped."""

    t_s: float
    kind: str
    message: str


@dataclass
class Counters:
    """The outcome of every poll, and other events.

    `polls` equals `samples + repeats + sum(errors)` between polls. The keys of
    `errors` are the kinds of `PollError`; for a refused reading 'refused: <why>'. `dropped` are
    samples that a fast meter lost, since they were not fetched in time.
    """

    polls: int = 0
    samples: int = 0
    repeats: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    garbage_bytes: int = 0
    short_frames: int = 0
    tail_warnings: int = 0
    counter_resets: int = 0
    commands: int = 0
    dropped: int = 0
    connects: int = 0
    failed_opens: int = 0
    gaps: int = 0
    missed_ticks: int = 0

    def copy(self) -> Counters:
        """Return counters that no longer change."""
        return copy.deepcopy(self)

    @property
    def reconnects(self) -> int:
        """How often the port was opened again."""
        return max(0, self.connects - 1)

    @property
    def accounted(self) -> int:
        """Polls whose outcome is known."""
        return self.samples + self.repeats + sum(self.errors.values())


class SampleStream:
    """Turns the readings of a UM meter into samples, and marks the repeated ones."""

    def __init__(self, *, emulated: bool = False) -> None:
        self._emulated = emulated
        self._fresh: Sample | None = None

    def take(self, t_s: float, reading: Reading) -> Sample:
        """Mark the reading.

        Equal values within the meter's own refresh time are a repetition; equal values after it
        are a steady load.
        """
        fresh = self._fresh
        repeated = (fresh is not None and reading == fresh.reading
                    and t_s - fresh.t_s < 0.9 * REFRESH_S)
        sample = Sample(t_s, reading.voltage_v, reading.current_a, reading.power_w,
                        repeated=repeated, emulated=self._emulated, reading=reading)
        if not repeated:
            self._fresh = sample
        return sample
