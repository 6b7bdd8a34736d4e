"""How busy a server is, and the wait that a drone has to expect."""

from dataclasses import dataclass
from math import exp, expm1, inf, nan
from threading import Lock

_TIME_CONSTANT_S = 3.0
_WEIGHT = 0.2  # of a new tail time in its running mean


@dataclass(frozen=True)
class Load:
    """A server's load at one moment; `expected_wait_s` is that of a tensor that arrives now.

    `tail_times_s` and `expected_waits_s` are by cut; NaN = not measured.
    """

    arrival_rate: float
    utilisation: float
    expected_wait_s: float
    queue_length: int
    tail_times_s: tuple[float, ...]
    expected_waits_s: tuple[float, ...] = ()


class LoadMeter:
    """Measures arrival rate, utilisation and tail times; forgets exponentially.

    The expected wait is the mean of an M/G/1 queue (Pollaczek-Khinchine),
    W = lambda E[S^2] / (2 (1 - rho)), or the queued work if that is more.
    """

    def __init__(self, *, cuts: int, now_s: float) -> None:
        self._lock = Lock()
        self._since_s = self._start_s = now_s
        self._arrivals = self._busy_s = self._busy_s2 = 0.0
        self._tail_s = [nan] * cuts

    def count_arrival(self, now_s: float) -> None:
        """Count a tensor that will be computed."""
        with self._lock:
            self._forget(now_s)
            self._arrivals += 1.0

    def observe_tail(self, cut: int, service_s: float, now_s: float, *, tail_s: float) -> None:
        """Count a tensor that was computed by `now_s`.

        :param service_s: its part of the server's time [s].
        :param tail_s: the network's time, which others may have shared [s].
        """
        with self._lock:
            self._forget(now_s)
            self._busy_s += service_s
            self._busy_s2 += service_s * service_s
            old = self._tail_s[cut]
            self._tail_s[cut] = tail_s if old != old else old + _WEIGHT * (tail_s - old)

    def tail_s(self, cut: int) -> float:
        """Return the usual time of the network after a cut [s]; NaN = not measured."""
        with self._lock:
            return self._tail_s[cut]

    def snapshot(self, now_s: float, *, queue_length: int, backlog_s: float,
                 backlogs_s: tuple[float, ...] = ()) -> Load:
        """Return the load at `now_s`.

        :param backlog_s: how long the tensors that have come will keep one that comes now [s].
        :param backlogs_s: the same by cut; NaN = not measured.
        """
        with self._lock:
            self._forget(now_s)
            # The weight of all the time since the start, so that the first seconds are unbiased.
            window_s = max(-_TIME_CONSTANT_S * expm1((self._start_s - now_s) / _TIME_CONSTANT_S),
                           1e-3)
            rho = min(self._busy_s / window_s, 1.0)
            second_moment_rate = self._busy_s2 / window_s  # lambda E[S^2]
            steady_s = second_moment_rate / (2 * (1 - rho)) if rho < 1 else inf
            usual_s = min(steady_s, _TIME_CONSTANT_S)
            return Load(self._arrivals / window_s, rho, max(backlog_s, usual_s), queue_length,
                        tuple(self._tail_s),
                        tuple(max(s, usual_s) if s == s else nan for s in backlogs_s))

    def _forget(self, now_s: float) -> None:
        keep = exp(-max(now_s - self._since_s, 0.0) / _TIME_CONSTANT_S)
        self._since_s = now_s
        self._arrivals *= keep
        self._busy_s *= keep
        self._busy_s2 *= keep
