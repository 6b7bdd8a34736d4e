"""Round trip and bandwidth of a link, from the frames and probes sent over it."""

from math import nan, sqrt

import numpy as np

from offload_perception.planning.estimate import Estimate

_GUESS = 3e5, 0.01  # byte/s, s: of a link that nothing was sent over yet
_GUESS_SPREADS = 1.0, 2.0  # relative, of the round trip and of the time of a byte
_DRIFTS = 0.005, 0.1  # from one observation to the next; most changes are of bandwidth
_FORGET = 0.95  # of the largest recent message, with each one more
_DRIFT_PER_S = 0.1  # of an estimate without news
_OLDEST_S = 100.0  # older news count as this old
_JUMPS = 2, 1  # late outliers are common, early ones are none: nothing arrives early by chance
_KNOWN_SPREAD = 0.5  # relative, of a bandwidth that is known
_UNCLEAR_SPREAD = 0.3  # relative, of a round trip that is worth a probe
_LINK_RANGE_S = 1e-6, 3600.0
MESSAGE_BYTES = 400  # on the air beside the encoded tensor: a message's fields, RTPS, UDP, IP


class LinkEstimate:
    """Round trip `a` and seconds a byte `b` of t = a + b n.

    `t` is the time on the link, up and down, of `n` bytes up, `MESSAGE_BYTES` included.
    """

    def __init__(self, bandwidth: float = _GUESS[0], round_trip_s: float = _GUESS[1], *,
                 spread: float | None = None) -> None:
        """Start from a guess, or from figures that are known up to a relative `spread`."""
        self._sum = Estimate(
            round_trip_s, 1.0 / bandwidth, spread=_GUESS_SPREADS if spread is None else spread,
            noise=0.2 if spread is None else spread, drift=_DRIFTS, jumps=_JUMPS)
        self._known = spread is not None
        self._updated_s = -np.inf
        self._guess_s, self._largest = 1.0 / bandwidth, 0.0

    @property
    def round_trip_s(self) -> float:
        """Return the time without payload [s]."""
        return self._sum.levels[0]

    @property
    def s_per_byte(self) -> float:
        """Return the time of a byte [s]."""
        return self._sum.levels[1]

    @property
    def bandwidth(self) -> float:
        """Return the bandwidth to plan with [byte/s], a guess if nothing has shown it."""
        return 1.0 / self.s_per_byte

    @property
    def known_bandwidth(self) -> float:
        """Return the bandwidth [byte/s], NaN if the frames so far cannot show it.

        They cannot if all have one size, or if their bytes take no time that could be seen.
        """
        known = self._known or self._sum.covariance[1][1] < _KNOWN_SPREAD ** 2
        return self.bandwidth if known else nan

    @property
    def unclear(self) -> bool:
        """Return whether frames of one size cannot show what of their time is the round trip."""
        return self._sum.covariance[0][0] > _UNCLEAR_SPREAD ** 2

    @property
    def doubtful(self) -> bool:
        """Return whether the link may have changed; the next observation decides."""
        return self._sum.doubtful

    def age_s(self, now_s: float) -> float:
        """Return the time since the last observation [s], infinite without one."""
        return max(now_s - self._updated_s, 0.0)

    def observe(self, now_s: float, nbytes: float, link_s: float, sent_s: float) -> None:
        """Take the time on the link, up and down, of what was answered [s].

        :param nbytes: of the encoded tensor, or a probe's payload.
        :param sent_s: when it was sent. If that was before the last answer came, it has waited
            for what was sent before: its own time lies between that since the last answer and all.
        """
        if not (0 < nbytes < 1e12 and _LINK_RANGE_S[0] <= link_s <= _LINK_RANGE_S[1]):
            return
        nbytes += MESSAGE_BYTES
        waited, since_s = sent_s < self._updated_s, now_s - self._updated_s
        self._updated_s = now_s
        if waited:
            least_s = min(max(since_s, 0.0) + self.round_trip_s, link_s)
            if least_s <= self._sum.predicted(1.0, nbytes) <= link_s:
                return
            link_s = least_s if self._sum.predicted(1.0, nbytes) < least_s else link_s
        self._sum.observe(link_s, 1.0, nbytes)
        self._largest = max(float(nbytes), _FORGET * self._largest)
        self._bound(link_s)

    def _bound(self, link_s: float) -> None:
        """Keep both figures plausible.

        A round trip is in what just came. A byte takes at least what the noise would hide, or the
        first guess if that is less: bytes are not free because their time is lost in the noise.
        """
        levels, noise = self._sum.levels, self._sum.noise
        levels[0] = min(levels[0], link_s)
        levels[1] = max(levels[1], min(noise * levels[0] / self._largest, self._guess_s))

    def coefficients(self, now_s: float) -> tuple[float, float, float, float]:
        """Return the variance v0 + v1 n + v2 n^2 + v3 u^2 of the time on the link [s^2].

        For n bytes in all whose standard deviation is u. It grows with the age of the last
        observation.
        """
        (a, b), ((p00, p01), (_, p11)) = self._sum.levels, self._sum.covariance
        noise, age_s = self._sum.noise ** 2, self.age_s(now_s)
        aged = _DRIFT_PER_S ** 2 * min(age_s, _OLDEST_S) if age_s < np.inf else 0.0
        return ((p00 + noise) * a * a, 2.0 * (p01 + noise) * a * b, (p11 + noise + aged) * b * b,
                b * b)

    def time(self, nbytes: float, now_s: float) -> tuple[float, float]:
        """Return the time on the link of `nbytes` in all, and its standard deviation [s]."""
        v0, v1, v2, _ = self.coefficients(now_s)
        variance = max(v0 + v1 * nbytes + v2 * nbytes * nbytes, 0.0)
        return self._sum.predicted(1.0, nbytes), sqrt(variance)
