"""What every power meter is to the rest: opened, read and closed; and how a read can fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from offload_perception.errors import MeterError
from offload_perception.power.drivers.samples import REFRESH_S, Sample
from offload_perception.power.energy.frame_energy import REGRESSION

MAX_RATE_HZ = 1000.0


class PollError(MeterError):
    """A request brought no reading; `kind` is the name under which it is counted."""

    kind = 'failed'


class MeterSilent(PollError):
    """No answer came in time."""

    kind = 'silent'


class ShortReply(PollError):
    """A reply began and did not end in time."""

    kind = 'short'


class WrongDevice(PollError):
    """Something answers, but it is no such meter."""

    kind = 'foreign'


class LinkLost(PollError):
    """The meter vanished or failed while in use."""

    kind = 'lost'


class Cancelled(PollError):
    """The request was given up because the meter is being closed."""

    kind = 'cancelled'


class ReadingRefused(PollError):
    """A complete reply with impossible values; `reason` is short, and of few kinds."""

    def __init__(self, reason: str, remedy: str = 'the next one is likely to be sound') -> None:
        super().__init__(f'reading refused: {reason}; {remedy}')
        self.reason = reason
        self.kind = f'refused: {reason}'


@dataclass(frozen=True)
class LinkCounts:
    """Counts of link events other than readings."""

    garbage_bytes: int = 0
    short_frames: int = 0
    tail_warnings: int = 0
    counter_resets: int = 0
    commands: int = 0
    dropped: int = 0


class PowerMeter(ABC):
    """An open power meter. Used by one thread, except for `cancel`.

    :ivar description: meter and place, for people: 'UM25C /dev/rfcomm0'.
    :ivar rate_hz: how often it is usefully read; `max_rate_hz` is the most that it can take.
    :ivar waits: whether `read` itself waits for the next values; else the reader keeps the pace.
    :ivar prompt: whether `read` ends within about a second whatever the meter does.
    :ivar attribution: how the energy of frames follows from its readings: `TRAPEZOID` if there
        are many in a frame, else `REGRESSION`.
    :ivar refresh_s: for the regression: its values are means over this time, and renewed as often.
    :ivar remedy: what helps if many reads fail.
    :ivar no_load: what may be wrong if it shows no current for long; empty = nothing.
    :ivar calibration: name of the calibration that its values have been through; empty = none.
    """

    description: str
    rate_hz: float
    max_rate_hz: float = MAX_RATE_HZ
    waits = False
    prompt = True
    attribution = REGRESSION
    refresh_s = REFRESH_S
    remedy = 'see the log'
    no_load = calibration = ''

    @abstractmethod
    def read(self) -> Sample:
        """Return the values of now.

        :raises PollError: if there are none this time; `LinkLost` if it has to be opened again.
        """

    def take_counts(self) -> LinkCounts:
        """Return what was counted since the last call."""
        return LinkCounts()

    def cancel(self) -> None:  # noqa: B027  # most reads do not wait
        """End a current `read` in another thread soon."""

    def close(self) -> None:  # noqa: B027  # most meters hold nothing open
        """Give back what the meter holds; may be called twice."""


def pace_hz(meter: PowerMeter, wanted_hz: float) -> float:
    """Return how often to read a meter; `wanted_hz` 0 takes what suits it.

    :raises MeterError: if it cannot be read that often.
    """
    if not 0.0 <= wanted_hz <= meter.max_rate_hz:
        raise MeterError(f'rate {wanted_hz:g} Hz: {meter.description} can be read up to '
                         f'{meter.max_rate_hz:g} times a second; use {meter.rate_hz:g}')
    return wanted_hz or meter.rate_hz
