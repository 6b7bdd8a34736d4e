"""Estimate of the wait and the tail time of a tensor that is sent to a server now."""

from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.robust import RobustLevel
from offload_perception.planning.wait import WaitEstimator

STALE_S = 5.0  # without a report for that long a server is not used; it sends one a second
GUESSED_MACS_PER_S = 50e9  # of a server that has not measured any tail yet (a guess)
GUESS_SPREAD = 0.5  # relative, of a guessed tail
_DENSE_WEIGHT = 4.0  # of a multiply-add in a dense layer, which is bound by memory (a guess)
_REPORT_LIFE_S = 2.0  # the spread of a reported wait doubles in that time


@dataclass(frozen=True)
class ServerReport:
    """A server's report of its load; the fields are those of ServerStatus."""

    server: str
    expected_wait_s: float
    utilisation: float = nan
    tail_times_s: tuple[float, ...] = ()


def queue_wait_s(utilisation: float, service_s: float, variation: float = 1.0) -> float:
    """Return the mean wait of an M/G/1 queue (Pollaczek-Khinchine) [s].

    :param utilisation: arrival rate times mean service time, 0 .. 1.
    :param variation: squared coefficient of variation of the service time; 0 = constant.
    """
    if utilisation >= 1.0:
        return inf
    return utilisation * service_s * (1.0 + variation) / (2.0 * (1.0 - utilisation))


class ServerEstimator:
    """Wait and tail times of one server, from its reports and from the replies to frames."""

    def __init__(self, shape: NetworkShape) -> None:
        dense = np.array([all(len(spec.shape) == 1 for spec in specs)
                          for specs in shape.specs[1:]])
        work = np.array(shape.macs, float) * np.where(dense, _DENSE_WEIGHT, 1.0)
        left = np.concatenate([np.cumsum(work[::-1])[::-1], [0.0]])
        self._work = np.maximum(left, 1e-3 * left[0])  # a tail without weights takes time too
        self._tails: list[RobustLevel | None] = [None] * shape.last
        self._reported_tails: dict[int, float] = {}
        self._met: set[int] = set()  # cuts of own frames since the last report
        self._wait = WaitEstimator()
        self._decode = RobustLevel.of_times(0.0, 0.0)
        self._updated_s = -inf
        self._blocked_until_s = -inf
        self._model()

    def usable(self, now_s: float) -> bool:
        """Return whether the server reported recently and has not just refused a frame."""
        return -1.0 <= now_s - self._updated_s <= STALE_S and now_s >= self._blocked_until_s

    def report(self, now_s: float, report: ServerReport) -> None:
        """Take a status message."""
        self._updated_s = now_s
        wait_s = report.expected_wait_s
        if not isfinite(wait_s) or wait_s < 0.0:
            wait_s = self._modelled_wait_s(report.utilisation)
        self._wait.report(wait_s)
        for cut, tail_s in enumerate(report.tail_times_s[:len(self._tails)]):
            # A mean that did not change, or changed by the drone's own frames, is no news.
            if tail_s != self._reported_tails.get(cut) and cut not in self._met:
                self._measured(cut, tail_s, known=0.05)
            self._reported_tails[cut] = tail_s
        self._met.clear()
        self._model()

    def observe_beat(self, now_s: float, wait_s: float, period_s: float) -> None:
        """Take the server's periodic report of the current wait of a tensor [s]."""
        self._updated_s = max(now_s, self._updated_s)
        if isfinite(wait_s) and wait_s >= 0.0:
            self._wait.observe_queue(now_s, wait_s, period_s)

    def seen_wait_s(self, now_s: float) -> float:
        """Return the wait in a fresh beat, else NaN [s]."""
        return self._wait.queue_wait(now_s)

    def observe(self, now_s: float, cut: int, *, wait_s: float, decode_s: float,
                tail_s: float, seen_wait_s: float = nan) -> None:
        """Take a reply: the waits that its frame met, and that beats had announced [s]."""
        self._updated_s = max(now_s, self._updated_s)
        self._wait.observe(wait_s)
        if seen_wait_s == seen_wait_s:
            self._wait.observe_error(wait_s - seen_wait_s)
        self._decode.add(decode_s)
        if 0 <= cut < len(self._tails):
            self._met.add(cut)
            self._measured(cut, tail_s, known=0.1)
            self._model()

    def pause(self, now_s: float, pause_s: float = 1.0) -> None:
        """Pause the server: it was too busy, or not subscribed."""
        self._blocked_until_s = now_s + pause_s

    def wait(self, now_s: float) -> tuple[float, float]:
        """Return the expected wait and its standard deviation [s], which age widens."""
        age_s = max(now_s - self._updated_s, 0.0)
        tail_s = float(self._seconds[0])
        grown = min(age_s / _REPORT_LIFE_S, 3.0)
        wait_s, spread_s = self._wait.expected(now_s)
        return wait_s, spread_s * (1.0 + grown) + 0.1 * tail_s * grown

    def tails(self) -> tuple[np.ndarray, np.ndarray]:
        """Return decode and tail time [s] and its variance, float64 (N,).

        Cuts that were never measured follow the measured ones by their work: multiply-adds, those
        of dense layers weighing more.
        """
        return self._seconds + self._decode.level, self._variance

    def _measured(self, cut: int, tail_s: float, *, known: float) -> None:
        if not isfinite(tail_s) or not 0.0 < tail_s < 3600.0:
            return
        level = self._tails[cut]
        if level is None:
            self._tails[cut] = RobustLevel.of_times(tail_s, known * tail_s)
        else:
            level.add(tail_s)

    def _modelled_wait_s(self, utilisation: float) -> float:
        if not isfinite(utilisation):
            return self._wait.level
        return min(queue_wait_s(min(max(utilisation, 0.0), 1.0), float(self._seconds[0])), 60.0)

    def _model(self) -> None:
        """Fill the arrays; between measured cuts by interpolation over work."""
        work, last = self._work, len(self._tails)
        tails = {cut: tail for cut, tail in enumerate(self._tails) if tail is not None}
        if not tails:
            self._seconds = work[:last] / GUESSED_MACS_PER_S
            self._variance = (GUESS_SPREAD * self._seconds) ** 2
            return
        known, levels = list(tails), np.array([tail.level for tail in tails.values()])
        rate = float(np.median(levels / work[known]))
        ratio = np.interp(np.arange(last), known, levels / (rate * work[known]))
        self._seconds = ratio * rate * work[:last]
        spread = GUESS_SPREAD * self._seconds
        spread[known] = [tail.spread for tail in tails.values()]
        self._variance = spread * spread
