"""How busy a server is, and the wait that a drone has to expect."""

from dataclasses import dataclass
from math import exp, expm1, inf, nan
from threading import Lock

_TIME_CONSTANT_S = 3.0
_WEIGHT = 0.2  # of a new tail time in its running mean


@dataclass(frozen=True)
class Load:
    """A server's load at one moment; `expected_wait_s` is that of a tensor that arrives now."""

    arrival_rate: float
    utilisation: float
    expected_wait_s: float
    queue_length: int
    tail_times_s: tuple[float, ...]


class LoadMeter:
    """Measures arrival rate, utilisation and service times; forgets exponentially.

    The expected wait is the mean of an M/G/1 queue (Pollaczek-Khinchine),
    W = lambda E[S^2] / (2 (1 - rho)), or the queued work if that is more.
    """

    def __init__(self, *, cuts: int, now_s: float) -> None:
        self._lock = Lock()
        self._since_s = self._start_s = now_s
        self._arrivals = self._computed = self._busy_s = self._busy_s2 = 0.0
        self._tail_s, self._service_s = [nan] * cuts, [nan] * cuts

    def count_arrival(self, now_s: float) -> None:
        """Count a tensor that will be computed."""
        with self._lock:
            self._forget(now_s)
            self._arrivals += 1.0

    def observe_tail(self, cut: int, started_s: float, done_s: float, *, tail_s: float) -> None:
        """Count a tensor that was computed; `tail_s` is the network's share of the time."""
        service_s = done_s - started_s
        with self._lock:
            self._forget(done_s)
            self._computed += 1.0
            self._busy_s += service_s
            self._busy_s2 += service_s * service_s
            for means, time_s in ((self._tail_s, tail_s), (self._service_s, service_s)):
                old = means[cut]
                means[cut] = time_s if old != old else old + _WEIGHT * (time_s - old)

    def service_s(self, cut: int) -> float:
        """Return the time that a tensor of this cut takes [s].

        That of other cuts if none was measured, and 0 without recent ones.
        """
        with self._lock:
            own = self._service_s[cut]
            return own if own == own else self._mean_s()

    def _mean_s(self) -> float:
        return self._busy_s / self._computed if self._computed > 1e-9 else 0.0

    def snapshot(self, now_s: float, *, queue_length: int = 0) -> Load:
        """Return the load at `now_s`, with `queue_length` tensors waiting."""
        with self._lock:
            self._forget(now_s)
            # The weight of all the time since the start, so that the first seconds are unbiased.
            window_s = max(-_TIME_CONSTANT_S * expm1((self._start_s - now_s) / _TIME_CONSTANT_S),
                           1e-3)
            rho = min(self._busy_s / window_s, 1.0)
            second_moment_rate = self._busy_s2 / window_s  # lambda E[S^2]
            steady_s = second_moment_rate / (2 * (1 - rho)) if rho < 1 else inf
            wait_s = max(queue_length * self._mean_s(), min(steady_s, _TIME_CONSTANT_S))
            return Load(self._arrivals / window_s, rho, wait_s, queue_length,
                        tuple(self._tail_s))

    def _forget(self, now_s: float) -> None:
        keep = exp(-max(now_s - self._since_s, 0.0) / _TIME_CONSTANT_S)
        self._since_s = now_s
        self._arrivals *= keep
        self._computed *= keep
        self._busy_s *= keep
        self._busy_s2 *= keep
