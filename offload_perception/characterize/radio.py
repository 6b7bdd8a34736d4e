"""What sending costs: datagrams go out at several rates while a power meter watches.

The model is that of J. Huang et al., "A close examination of performance and power
characteristics of 4G LTE networks", MobiSys 2012: above idle the radio draws a power while it
sends, more in proportion to the rate (energy per byte), and a power for a while after the last
byte (its tail). The cost of the computer's own work of sending is in the figures.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from math import hypot
from time import monotonic, sleep
from urllib.parse import urlsplit

import numpy as np

from offload_perception.characterize.metering import MAX_POWER_W, MIN_SAMPLES
from offload_perception.errors import ConfigError, MeterError
from offload_perception.profiles.device_profile import Radio

PORT = 9000
DATAGRAM = 1400
"""Bytes of each: they fit into one packet of any usual link."""
MAX_RADIO_W = 20.0
"""No radio that a drone's computer feeds draws more."""
MBIT = 125_000
"""Bytes."""
_PACE_S = 0.002
_SEND_TIMEOUT_S = 5.0
_RESOLUTION_W = 0.001  # of the readings: what never varies still has this error
_SURE = 4.0  # standard errors; the tail is the best of many lengths, which chance alone favours
_NEGATIVE = 3.0  # standard errors below 0 that are no chance any more
_LENGTHS = 100  # of tails that are tried, and as many more around the best


@dataclass(frozen=True)
class Schedule:
    """Silence, then for each repeat and rate [bytes/s]: sending, silence."""

    rates: tuple[float, ...]
    sending_s: float = 10.0
    silence_s: float = 20.0
    repeats: int = 4

    def __post_init__(self) -> None:
        if not 2 <= len(set(self.rates)) <= 5 or not all(
                0.01 * MBIT <= rate <= 1000 * MBIT for rate in self.rates):
            raise ConfigError('the radio is measured at 2 to 5 different rates, each in 0.01 .. '
                              '1000 Mbit/s')

    @property
    def seconds(self) -> float:
        """Return how long it all takes."""
        return self.silence_s + self.repeats * len(self.rates) * (self.sending_s + self.silence_s)


@dataclass(frozen=True)
class Phase:
    """A stretch of sending at a rate [bytes/s], or of silence: 0."""

    start_s: float
    end_s: float
    rate: float


@dataclass(frozen=True)
class RadioFit:
    """Figures and their standard errors; a `Radio` each, since these have the same units.

    :ivar rates: those that the link took [bytes/s].
    :ivar least_tail_s: a shorter tail would not have shown with this meter [s].
    """

    radio: Radio
    errors: Radio
    rates: tuple[float, ...]
    least_tail_s: float

    def describe(self) -> str:
        """Return the figures in words, for the source of the radio."""
        r, e = self.radio, self.errors
        tail = (f'tail {r.tail_w:.3f} +- {e.tail_w:.3f} W for {r.tail_s:.2f} +- {e.tail_s:.2f} s'
                if r.tail_s else 'tail not measured: the meter is too slow for one shorter than '
                f'{self.least_tail_s:.2f} s, and a longer one did not show')
        return (f'{", ".join(f"{rate / MBIT:.3g}" for rate in self.rates)} Mbit/s: '
                f'{r.sending_w:.3f} +- {e.sending_w:.3f} W and {r.j_per_byte * 1e6:.3f} +- '
                f'{e.j_per_byte * 1e6:.3f} uJ/byte above idle, {tail} (standard errors)')


def measure_radio(send: Callable[[], None],
                  powers: Callable[[float, float], Sequence[tuple[float, float]]],
                  schedule: Schedule, *, clock: Callable[[], float] = monotonic,
                  wait: Callable[[float], None] = sleep) -> RadioFit:
    """Send datagrams by `send` as scheduled, and fit the radio to the powers.

    :param powers: gives the readings between two moments of `clock`: when, and how many W.
    :raises MeterError: see `fit_radio`.
    """
    def phase(rate: float, seconds: float) -> Phase:
        start_s = now_s = clock()
        sent = 0
        while now_s < start_s + seconds:
            if rate and sent + DATAGRAM <= rate * (now_s - start_s):
                send()
                sent += DATAGRAM
            else:
                wait(_PACE_S if rate else start_s + seconds - now_s)
            now_s = clock()
        return Phase(start_s, now_s, sent / (now_s - start_s))

    phases = [phase(0.0, schedule.silence_s)]
    for rate in schedule.rates * schedule.repeats:
        phases += phase(rate, schedule.sending_s), phase(0.0, schedule.silence_s)
    return fit_radio(phases, powers(phases[0].start_s, phases[-1].end_s))


def fit_radio(phases: Sequence[Phase], powers: Sequence[tuple[float, float]]) -> RadioFit:
    """Return the radio whose power fits the readings (s, W) best, by least squares.

    The unknowns are idle power, its drift, power while sending, energy per byte and power of the
    tail; the length of the tail is searched. The meter's calibration is not in the errors.

    :raises MeterError: if the readings are too few or impossible, or no radio explains them.
    """
    kept = _keep(phases, powers)
    rates = sorted({float(f'{p.rate / MBIT:.2g}') * MBIT for p in phases if p.rate})
    if len(rates) < 2 or rates[-1] < 1.5 * rates[0]:
        raise MeterError('the link took the same rate all along: use lower rates (--radio-rates)')
    base = np.column_stack([np.ones_like(kept.at_s), kept.at_s - kept.at_s.mean(),
                            kept.rate > 0.0, kept.rate])
    lengths_s = np.geomspace(4 * kept.interval_s,  # the shortest with two readings of its own
                             0.9 * min(p.end_s - p.start_s for p in phases if not p.rate),
                             _LENGTHS)
    length_s, length_error_s = _tail_length(base, kept, lengths_s)
    fit = _solve(np.column_stack([base, kept.tail(length_s)]), kept)
    if not fit.coefficients[4] > _SURE * fit.covariance[4, 4] ** 0.5:
        fit, length_s, length_error_s = _solve(base, kept), 0.0, 0.0
    elif length_s >= lengths_s[-1]:
        raise MeterError(f'after sending the power does not fall to idle within {length_s:.0f} s: '
                         'something else runs, or the tail of this radio is too long')
    _check(fit, rates[-1])
    sending_w, j_per_byte, tail_w = (float(max(x, 0.0)) for x in (*fit.coefficients, 0.0)[2:5])
    errors = (*np.sqrt(np.diag(fit.covariance)), 0.0)
    return RadioFit(Radio(sending_w, j_per_byte, '', tail_w, length_s),
                    Radio(float(errors[2]), float(errors[3]), '', float(errors[4]),
                          length_error_s), tuple(rates), float(lengths_s[0]))


@dataclass(frozen=True)
class _Kept:
    """Readings that hold one phase only, float64 (n,): when, how much, the rate at that time.

    `silent_s` is how long sending had ended when the interval of a reading began; infinite where
    there is no tail. `starts` are the indices where a phase of sending begins, and 0.
    """

    interval_s: float
    at_s: np.ndarray
    watts: np.ndarray
    rate: np.ndarray
    silent_s: np.ndarray
    starts: np.ndarray

    def tail(self, length_s: float) -> np.ndarray:
        """Return the share of each reading that a tail of this length has, float64 (n,)."""
        return np.clip((length_s - self.silent_s) / self.interval_s, 0.0, 1.0)


def _keep(phases: Sequence[Phase], powers: Sequence[tuple[float, float]]) -> _Kept:
    """Leave out the readings that may reach back into another phase.

    A reading is the mean over an interval, and may be as old again (see `metering.SETTLE_S`).
    """
    readings = np.array(sorted(powers), float).reshape(-1, 2)
    if not np.all(np.abs(readings[:, 1]) <= MAX_POWER_W):
        raise MeterError('the meter gives impossible powers: check its polarity and calibration')
    inside = (readings[:, 0] >= phases[0].start_s) & (readings[:, 0] <= phases[-1].end_s)
    at_s, watts = readings[inside].T
    interval_s = max(float(np.median(np.diff(at_s))), 1e-3) if len(at_s) > 1 else np.inf
    found = [np.flatnonzero((at_s >= p.start_s + 2 * interval_s) & (at_s <= p.end_s))
             for p in phases]
    fewest = min(map(len, found))
    if fewest < MIN_SAMPLES:
        raise MeterError(f'{fewest} readings of use in a phase of the measurement of the radio: '
                         'the meter is too slow for it, or it was away')
    used = np.concatenate(found)
    counts = [len(at) for at in found]
    # A tail begins where sending ends; before the first sending there is none.
    ends_s = [-np.inf if p.rate or p is phases[0] else p.start_s for p in phases]
    return _Kept(interval_s, at_s[used], watts[used],
                 np.repeat([p.rate for p in phases], counts),
                 at_s[used] - interval_s - np.repeat(ends_s, counts),
                 np.cumsum([0, *counts])[:-1][[p is phases[0] or p.rate > 0 for p in phases]])


@dataclass(frozen=True)
class _Solution:
    """Coefficients float64 (k,) and their covariance (k, k)."""

    coefficients: np.ndarray
    covariance: np.ndarray


def _solve(design: np.ndarray, kept: _Kept) -> _Solution:
    """Solve least squares for a design, float64 (n, k).

    What else a computer does lasts longer than a reading, so that errors of neighbours are alike.
    Each sending with the silence after it therefore counts as one observation: the
    cluster-robust covariance (Liang and Zeger, Biometrika 73, 1986), scaled for few clusters.
    """
    inverse = np.linalg.pinv(design)
    coefficients = inverse @ kept.watts
    scores = np.add.reduceat(inverse * (kept.watts - design @ coefficients), kept.starts, axis=1)
    count, unknowns = len(kept.starts), design.shape[1]
    return _Solution(coefficients, scores @ scores.T * count / max(count - unknowns, 1)
                     + inverse @ inverse.T * _RESOLUTION_W ** 2)


def _tail_length(base: np.ndarray, kept: _Kept, lengths_s: np.ndarray) -> tuple[float, float]:
    """Return the length of tail that explains most beside `base`, and its standard error [s].

    The error is half the range in which the sum of squares grows by no more than the variance
    (a profile of the likelihood), beside that of readings which are up to an interval late.
    """
    q, _ = np.linalg.qr(base)
    rest = kept.watts - q @ (q.T @ kept.watts)

    def gain(length_s: float) -> float:
        column = kept.tail(length_s)
        column -= q @ (q.T @ column)
        return float(max(column @ rest, 0.0) ** 2 / max(column @ column, 1e-12))

    best = int(np.argmax([gain(length_s) for length_s in lengths_s]))
    near_s = np.linspace(lengths_s[max(best - 1, 0)], lengths_s[best:best + 2][-1], _LENGTHS)
    all_s = np.concatenate([lengths_s, near_s])
    gains = np.array([gain(length_s) for length_s in all_s])
    variance = (rest @ rest - gains.max()) / max(len(rest) - 6, 1)
    likely_s = all_s[gains >= gains.max() - variance]
    return (float(all_s[gains.argmax()]),
            hypot(float(np.ptp(likely_s)) / 2, kept.interval_s / 3 ** 0.5))


def _check(fit: _Solution, rate: float) -> None:
    """Refuse what no radio does; figures below 0 by chance are taken as 0."""
    at_rate = np.zeros(len(fit.coefficients))
    at_rate[2:4] = 1.0, rate
    watts, error_w = at_rate @ fit.coefficients, (at_rate @ fit.covariance @ at_rate) ** 0.5
    found = f'{watts:.3f} +- {error_w:.3f} W above idle at {rate / MBIT:.3g} Mbit/s'
    if not watts > 2 * error_w:
        raise MeterError(f'sending draws {found}, no more than chance: does the way to this host '
                         'lead over the radio? Else use higher rates (--radio-rates)')
    errors = np.sqrt(np.diag(fit.covariance))
    if np.any(fit.coefficients[2:4] < -_NEGATIVE * errors[2:4]):
        raise MeterError(f'sending draws {found}, of which {fit.coefficients[2]:.3f} W at any '
                         f'rate and {fit.coefficients[3] * 1e6:.3f} uJ/byte: negative, so '
                         'something else ran; measure again')
    if max(watts, *fit.coefficients[2:3], *fit.coefficients[4:]) > MAX_RADIO_W:
        raise MeterError(f'sending draws {found}, a radio at most {MAX_RADIO_W:g} W: something '
                         'else ran; measure again')


@contextmanager
def datagrams(target: str) -> Iterator[Callable[[], None]]:
    """Give a function that sends a datagram to `HOST[:PORT]`; nothing has to answer.

    :raises ConfigError: if there is no such host, it is this computer, or sending fails.
    """
    try:
        url = urlsplit(f'//{target}')
        family, kind, _, _, address = socket.getaddrinfo(
            url.hostname or '', url.port or PORT, type=socket.SOCK_DGRAM)[0]
    except (OSError, ValueError) as e:
        raise ConfigError(f"no host '{target}' to send to ({e}): give HOST or HOST:PORT") from e
    if (ip := ip_address(address[0])).is_loopback or ip.is_unspecified:
        raise ConfigError(f"'{target}' is this computer: name one that the radio leads to")
    payload = os.urandom(DATAGRAM)  # no link compresses it

    def send() -> None:
        try:
            udp.sendto(payload, address)  # not connected: nobody there is no error
        except OSError as e:
            raise ConfigError(f'cannot send to {target}: {e}') from e

    with socket.socket(family, kind) as udp:
        udp.settimeout(_SEND_TIMEOUT_S)
        yield send
