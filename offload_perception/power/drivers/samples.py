"""What a meter reader hands over: samples, events, counters and its status."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from enum import Enum

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
class Sample:
    """One reading and when it was asked for (monotonic seconds).

    `repeated`: the meter had not renewed its values since the sample before.
    """

    t_s: float
    reading: Reading
    repeated: bool


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
    `errors` are the kinds of `meter.PollError`; for a refused reading 'refused: <why>'.
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
    """Turns readings into samples: marks the repeated ones, notices gaps and a missing load."""

    def __init__(self) -> None:
        self._fresh: Sample | None = None
        self._last_s: float | None = None
        self._idle = 0

    def take(self, t_s: float, reading: Reading) -> Sample:
        """Mark the reading.

        Equal values within the meter's own refresh time are a repetition; equal values after it
        are a steady load.
        """
        fresh = self._fresh
        repeated = (fresh is not None and reading == fresh.reading
                    and t_s - fresh.t_s < 0.9 * REFRESH_S)
        sample = Sample(t_s, reading, repeated)
        if not repeated:
            self._fresh = sample
        self._idle = self._idle + 1 if reading.current_a == 0.0 else 0
        return sample

    def gap_s(self, t_s: float) -> float:
        """Return the time without a reading before `t_s` when it is a gap, else 0."""
        since_s = 0.0 if self._last_s is None else t_s - self._last_s
        self._last_s = t_s
        return since_s if since_s > GAP_S else 0.0

    @property
    def readings_without_load(self) -> int:
        """How many readings in a row showed no current at all."""
        return self._idle
