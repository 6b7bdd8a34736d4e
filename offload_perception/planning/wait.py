"""How long a tensor will wait at a server: from what the server says and from what frames met."""

from offload_perception.planning.robust import RobustLevel

_ENOUGH = 3  # waits of one's own that outweigh the server's word
_FORGOTTEN = 10  # reports without a wait of one's own
_UNUSUAL = 3.0  # spreads above the usual report: then something has changed


class WaitEstimator:
    """Mean and standard deviation of a wait [s].

    A server can only say what a queue of its load has on average: M/G/1, whose standard deviation
    is about its mean. Drones whose cameras are in step meet the same wait each time. So the waits
    of one's own frames count where there are some of late, unless the server says more than usual
    since.
    """

    def __init__(self) -> None:
        self._reported_s = 0.0
        self._usual = RobustLevel(0.0, 0.0)
        self._own = RobustLevel(0.0, 0.0, gain=0.3)
        self._since = 0  # waits met after the last report that was unusual
        self._unmet = 0  # reports after the last wait that was met

    def report(self, wait_s: float) -> None:
        """Take the server's word."""
        self._unmet += 1
        if self._unmet > _FORGOTTEN or wait_s > self._usual.level + _UNUSUAL * self._usual.spread:
            self._since = 0
        self._usual.add(wait_s)
        self._reported_s = wait_s

    def observe(self, wait_s: float) -> None:
        """Take what a frame met."""
        if not self._since:
            self._own = RobustLevel(wait_s, max(wait_s, self._own.spread), gain=0.3)
        self._own.add(wait_s)
        self._since += 1
        self._unmet = 0

    @property
    def level(self) -> float:
        """Return the expected wait [s]."""
        return self._own.level if self._since >= _ENOUGH else self._reported_s

    @property
    def spread(self) -> float:
        """Return its standard deviation [s]."""
        return self._own.spread if self._since >= _ENOUGH else self._reported_s
