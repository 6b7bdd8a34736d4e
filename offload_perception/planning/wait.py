"""How long a tensor will wait at a server, from its reports and from the waits of frames."""

from math import inf, nan, sqrt

from offload_perception.planning.robust import RobustLevel

# Set by hand; `benchmarks/planner.py` flies them against oracles (docs/records/planner.md).
_OWN_WAITS_ENOUGH = 3  # waits of own frames that outweigh the server's report
_REPORTS_TO_FORGET = 10  # reports without a frame, after which own waits are forgotten
_FRESH_PERIODS = 3.0  # periods for which a reported queue is a better estimate than any mean
_LEARNING_RATE = 0.1  # of the error of reported queues: about the last 10 frames
_UNUSUAL_SPREADS = 3.0  # a report above the usual one by more shows a change of load


class WaitEstimator:
    """Mean and standard deviation of a wait [s].

    A server's status gives the mean wait of an M/G/1 queue at its load, whose standard deviation
    is about the mean. But drones whose cameras run in step meet the same wait each time. So the
    waits of the drone's own recent frames are used if there are any, unless the server has
    reported more than usual since. A reported queue (`observe_queue`) is used before either, with
    its recent error as the spread.
    """

    def __init__(self) -> None:
        self._reported_s = 0.0
        self._usual = RobustLevel(0.0, 0.0)
        self._own = RobustLevel(0.0, 0.0, gain=0.3)
        self._since = 0  # own waits after the last unusual report
        self._unmet = 0  # reports after the last own wait
        self._seen_s, self._stale_s, self._error2 = 0.0, -inf, inf

    def observe_queue(self, now_s: float, wait_s: float, period_s: float) -> None:
        """Take the wait by the server's current queue, which it reports once a period."""
        self._seen_s, self._stale_s = wait_s, now_s + _FRESH_PERIODS * period_s

    def queue_wait(self, now_s: float) -> float:
        """Return the observed wait in the queue, NaN if it is not fresh [s]."""
        return self._seen_s if now_s <= self._stale_s else nan

    def observe_error(self, error_s: float) -> None:
        """Take by how much the wait of a frame differed from the reported queue."""
        square = error_s * error_s
        if self._error2 == inf:
            self._error2 = square
        self._error2 += _LEARNING_RATE * (square - self._error2)

    def report(self, wait_s: float) -> None:
        """Take the server's report."""
        self._unmet += 1
        unusual_s = self._usual.level + _UNUSUAL_SPREADS * self._usual.spread
        if self._unmet > _REPORTS_TO_FORGET or wait_s > unusual_s:
            self._since = 0
        self._usual.add(wait_s)
        self._reported_s = wait_s

    def observe(self, wait_s: float) -> None:
        """Take the measured wait of a frame."""
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
        return self._own.level if self._since >= _OWN_WAITS_ENOUGH else self._reported_s

    @property
    def spread(self) -> float:
        """Return its standard deviation [s]."""
        return self._own.spread if self._since >= _OWN_WAITS_ENOUGH else self._reported_s
