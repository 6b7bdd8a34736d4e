"""A server as the drone sees it: the link to it, its times, its queue, and whether to use it."""

from dataclasses import dataclass
from enum import Enum
from math import isfinite, nan, sqrt

import numpy as np

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.cut_times import CutTimes
from offload_perception.planning.estimate import Estimate
from offload_perception.planning.link import LinkEstimate

STALE_S = 5.0  # without news for that long a server is not used; it sends a status a second
GUESSED_MACS_PER_S = 50e9  # of a server that has not measured any tail yet (a guess)
_GUESS_SPREAD = 0.5  # relative, of a guessed tail
_DENSE_WEIGHT = 4.0  # of a multiply-add in a dense layer, which is bound by memory (a guess)
_MISSES_TO_LOSE = 2  # in a row; a single loss is no outage
_ANSWERS_TO_RETURN = 1  # in a row, so that a link at its limit does not flap
_BUSY_PAUSE_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0  # after refusals; a restarted server is found soon
_LONGEST_WAIT_S = 3600.0  # longer ones are ignored as absurd
_WAIT_RATE = 0.1  # of the error of expected waits: about the last 10 frames


@dataclass(frozen=True)
class ServerReport:
    """A server's report of its load; the fields are those of ServerStatus."""

    server: str
    expected_wait_s: float
    tail_times_s: tuple[float, ...] = ()


class RouteState(Enum):
    """Whether a server answers."""

    GOOD = 'answers'
    DOUBT = 'did not answer once'
    LOST = 'does not answer'


def work_of_tails(shape: NetworkShape) -> np.ndarray:
    """Return the work after each cut, float64 (N,): multiply-adds, dense ones weighing more."""
    dense = np.array([all(len(spec.shape) == 1 for spec in specs) for specs in shape.specs[1:]])
    work = np.array(shape.macs, float) * np.where(dense, _DENSE_WEIGHT, 1.0)
    left = np.cumsum(work[::-1])[::-1]
    tails: np.ndarray = np.maximum(left, 1e-3 * left[0])  # a tail without weights takes time too
    return tails


class Route:
    """One server: its link, and the state machine good, doubt, lost.

    :ivar why: why the server refuses frames, empty if it does not.
    """

    def __init__(self, server: str, shape: NetworkShape, link: LinkEstimate) -> None:
        self.server, self.link = server, link
        self._tails = CutTimes(work_of_tails(shape) / GUESSED_MACS_PER_S, _GUESS_SPREAD)
        self._decode = Estimate(1e-3, noise=0.3)
        self._reported: tuple[float, ...] = ()
        self._backlog_s, self._backlog_at_s, self._wait_error2 = 0.0, -np.inf, 0.0
        self._heard_s = self._paused_until_s = -np.inf
        self._pause_s = 0.0
        self.state, self.why = RouteState.GOOD, ''
        self._misses = self._answers = 0

    # -- whether to use it ------------------------------------------------------------------

    def usable(self, now_s: float) -> bool:
        """Return whether frames may be sent: it reports and has not just refused."""
        return -1.0 <= now_s - self._heard_s <= STALE_S and not self.paused(now_s)

    def paused(self, now_s: float) -> bool:
        """Return whether a refusal holds frames back now; a clock that went back ends that."""
        return 0.0 <= self._paused_until_s - now_s <= max(self._pause_s, _BUSY_PAUSE_S)

    @property
    def unanswered(self) -> float:
        """Return the chance that what is sent now is not answered in time.

        A half after a miss, or after a reply that was much too late; 2/3 after two, and so on.
        """
        misses = self._misses + self.link.doubtful
        return misses / (misses + 1.0)

    def silence_s(self, now_s: float) -> float:
        """Return the time since anything was heard of the server [s]."""
        return now_s - self._heard_s

    def observe_answer(self) -> None:
        """Note a result, a refusal or a probe's answer: the link works both ways."""
        self._misses = 0
        self._answers += 1
        if self.state is RouteState.DOUBT or self._answers >= _ANSWERS_TO_RETURN:
            self.state = RouteState.GOOD

    def observe_miss(self) -> None:
        """Note that a result or a probe's answer did not come in time."""
        self._misses += 1
        self._answers = 0
        if self.state is RouteState.GOOD:
            self.state = RouteState.DOUBT
        if self._misses >= _MISSES_TO_LOSE:
            self.state = RouteState.LOST

    def observe_busy(self, now_s: float, wait_s: float = nan) -> None:
        """Note that the server was too busy for a frame, or not subscribed.

        :param wait_s: that it expected; NaN = it did not say.
        """
        known = 0.0 < wait_s < _BUSY_PAUSE_S
        self._paused_until_s = now_s + (wait_s if known else _BUSY_PAUSE_S)
        if isfinite(wait_s):
            self.observe_backlog(now_s, wait_s)

    def observe_refusal(self, now_s: float, why: str) -> None:
        """Note a refusal for a lasting reason: each one in a row doubles the pause."""
        if not self.paused(now_s):
            self._pause_s = min(max(2.0 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._paused_until_s = now_s + self._pause_s
        self.why = why or 'without a reason'

    def forgive(self) -> None:
        """Note a result: the server does not refuse any more."""
        self._pause_s, self.why = 0.0, ''

    # -- its times --------------------------------------------------------------------------

    def report(self, now_s: float, report: ServerReport) -> None:
        """Take a status message."""
        self.observe_backlog(now_s, report.expected_wait_s)
        known = dict(enumerate(self._reported))
        for cut, tail_s in enumerate(report.tail_times_s):
            if tail_s != known.get(cut):  # else it is no news
                self._tails.observe(cut, tail_s)
        self._reported = report.tail_times_s

    def observe_backlog(self, now_s: float, wait_s: float) -> None:
        """Take the server's own figure of how long a tensor would wait that comes now [s]."""
        self._heard_s = max(now_s, self._heard_s)
        if 0.0 <= wait_s <= _LONGEST_WAIT_S:
            self._backlog_s, self._backlog_at_s = wait_s, now_s

    def observe_reply(self, now_s: float, cut: int, *, wait_s: float, decode_s: float,
                      tail_s: float, expected_wait_s: float) -> None:
        """Take the server's durations of a frame, and the wait that was expected of it [s]."""
        self._heard_s = max(now_s, self._heard_s)
        self._tails.observe(cut, tail_s)
        self._decode.observe(decode_s)
        if 0.0 <= wait_s <= _LONGEST_WAIT_S and isfinite(expected_wait_s):
            square = (wait_s - expected_wait_s) ** 2
            self._wait_error2 += _WAIT_RATE * (square - self._wait_error2)

    def wait(self, now_s: float) -> tuple[float, float]:
        """Return the expected wait and its standard deviation [s]: last backlog less its age."""
        age_s = max(now_s - self._backlog_at_s, 0.0)
        return max(self._backlog_s - age_s, 0.0), sqrt(self._wait_error2)

    def tails(self) -> tuple[np.ndarray, np.ndarray]:
        """Return decode and tail time of each cut [s] and its variance, float64 (N,)."""
        seconds, variance = self._tails.times()
        return seconds + self._decode.level, variance
