"""How long a tensor will wait at a server, from its reports and from the waits of frames."""

from math import inf, nan, sqrt

from offload_perception.planning.robust import RobustLevel

_ENOUGH = 3  # own waits that outweigh the server's report
_FORGOTTEN = 10  # reports without an own wait
_FRESH_PERIODS = 3.0  # how long an observed queue is a better estimate than any mean
_GAIN = 0.1
_UNUSUAL = 3.0  # spreads above the usual report: then something has changed


class WaitEstimator:
    """Mean and standard deviation of a wait [s].

    A server can only say what a queue of its load has on average: M/G/1, whose standard deviation
    is about its mean. Drones whose cameras are in step meet the same wait each time. So the waits
    of the drone's own recent frames count if there are any, unless the server has reported more
    than usual since. If it reports its current queue (`see`), that counts, with its recent error.
    """

    def __init__(self) -> None:
        self._reported_s = 0.0
        self._usual = RobustLevel(0.0, 0.0)
        self._own = RobustLevel(0.0, 0.0, gain=0.3)
        self._since = 0  # waits met after the last report that was unusual
        self._unmet = 0  # reports after the last wait that was met
        self._seen_s, self._stale_s, self._error2 = 0.0, -inf, inf

    def observe_queue(self, now_s: float, wait_s: float, period_s: float) -> None:
        """Take what a tensor would have waited a moment ago; reported once a period."""
        self._seen_s, self._stale_s = wait_s, now_s + _FRESH_PERIODS * period_s

    def queue_wait(self, now_s: float) -> float:
        """Return the observed wait in the queue, NaN if it is not fresh [s]."""
        return self._seen_s if now_s <= self._stale_s else nan

    def observe_error(self, error_s: float) -> None:
        """Take by how much a wait differed from the one observed before."""
        square = error_s * error_s
        if self._error2 == inf:
            self._error2 = square
        self._error2 += _GAIN * (square - self._error2)

    def report(self, wait_s: float) -> None:
        """Take the server's report."""
        self._unmet += 1
        if self._unmet > _FORGOTTEN or wait_s > self._usual.level + _UNUSUAL * self._usual.spread:
            self._since = 0
        self._usual.add(wait_s)
        self._reported_s = wait_s

    def observe(self, wait_s: float) -> None:
        """Take the wait that a frame met."""
        if not self._since:
            self._own = RobustLevel(wait_s, max(wait_s, self._own.spread), gain=0.3)
        self._own.add(wait_s)
        self._since += 1
        self._unmet = 0

    def expected(self, now_s: float) -> tuple[float, float]:
        """Return the expected wait and its standard deviation [s]."""
        seen_s = self.queue_wait(now_s)
        if seen_s == seen_s:
            return seen_s, min(sqrt(self._error2), self.spread)
        return self.level, self.spread

    @property
    def level(self) -> float:
        """Return the expected wait [s]."""
        return self._own.level if self._since >= _ENOUGH else self._reported_s

    @property
    def spread(self) -> float:
        """Return its standard deviation [s]."""
        return self._own.spread if self._since >= _ENOUGH else self._reported_s
