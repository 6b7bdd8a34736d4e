"""The link as the frames themselves see it: bandwidth, round trip and loss, with spreads."""

from collections import deque
from math import exp, isfinite, log, nan, sqrt

from offload_perception.planning.robust import RobustLevel

_OUTLIER = 3.0  # standard deviations; further away is clipped (Huber)
# Of the CUSUM test, in standard deviations: two late outliers raise it, but one early one, since
# nothing comes early by accident.
_SLACK, _ALARM, _EARLY_ALARM = 1.0, 3.99, 1.99
_ROUND_TRIP_SHARE = 0.1  # how much of a change may be the round trip's; mostly it is bandwidth
_GAIN = 0.1
# Relative change that a second may bring (standard deviations).
_ROUND_TRIP_DRIFT, _DRIFT = 0.02, 0.1
_LEAST_NOISE, _MOST_EARLY_NOISE = 0.02, 0.2
_MOST_VARIANCE = 4.0
_UNCONFIRMED = 0.2  # least spread after a change: its first observation may span it
_OLDEST_S = 100.0
_S_PER_BYTE = (1e-11, 1.0)  # 100 GB/s and 1 byte/s
_SIZES = 100  # frames and probes whose sizes are remembered
_ROUND_TRIP_S = (1e-5, 60.0)
_LINK_S = (1e-6, 3600.0)


class LinkEstimator:
    """Round trip `a` and seconds per byte `b` of t = a + b n, by a Kalman filter.

    `t` is a frame's time on the link, up and down, with `n` bytes up. Both parameters range over
    orders of magnitude, so the filter works on their logarithms: the errors are relative, the
    noise is learned, and neither can become negative. Both drift, so old frames are forgotten,
    and an estimate that nothing confirms grows uncertain. Outliers are clipped. If errors add
    up on one side (Page's CUSUM test) the link has changed, and the filter opens again. Links
    stand still at times and never run ahead, so late and early frames have noises of their own.
    """

    def __init__(self, *, bandwidth: float = 3e5, round_trip_s: float = 0.01) -> None:
        """Begin with a guess, `bandwidth` in byte/s; bandwidths differ more than round trips."""
        self._a_s, self._b_s = round_trip_s, 1.0 / bandwidth
        self._guess_s = self._b_s
        self._p00, self._p01, self._p11 = 1.0 ** 2, 0.0, 2.0 ** 2
        self._late_noise = self._early_noise = 0.2
        self._slower = self._faster = 0.0
        self._updated_s: float | None = None
        self._last_ratio, self._confirmed = 1.0, 1.0
        self.loss, self.count, self.changes = 0.0, 0, 0
        self._reopened = False  # since the last observation
        self._unconfirmed = False  # a change of which one observation has come
        self._typical = RobustLevel.of_times(1.0, 0.1)
        self._sizes: deque[float] = deque(maxlen=_SIZES)

    @classmethod
    def known(cls, bandwidth: float, round_trip_s: float, spread: float = 0.05) -> 'LinkEstimator':
        """Return the estimate of a link whose figures are given, with a relative `spread`."""
        link = cls(bandwidth=bandwidth, round_trip_s=round_trip_s)
        link._p00 = link._p11 = spread ** 2
        link._late_noise = link._early_noise = spread
        link._sizes.extend((1.0, 1e6))  # as if frames of these sizes had been measured
        return link

    @property
    def bandwidth(self) -> float:
        """Return what to plan with [byte/s]; see `known_bandwidth`."""
        return 1.0 / self.s_per_byte

    @property
    def known_bandwidth(self) -> float:
        """Return the estimate of the uplink [byte/s], NaN if frames cannot determine it.

        Frames of one size never do: their time may be the round trip's or the bytes'. Nor do
        those whose bytes take no more time than chance does, as on one computer.
        """
        if not self._sizes:
            return nan
        differing_s = self._b_s * (max(self._sizes) - min(self._sizes))
        return 1.0 / self._b_s if differing_s > self._chance_s else nan

    @property
    def _chance_s(self) -> float:
        """Return how much of a frame's time without payload is chance [s]."""
        return min(self._late_noise, self._early_noise) * self._a_s

    @property
    def bandwidth_spread(self) -> float:
        """Return its standard deviation [byte/s]."""
        return sqrt(self._p11) / self._b_s

    @property
    def s_per_byte(self) -> float:
        """Return the time that a byte takes [s].

        At least what would not be noticed in the mean of the frames, if the guess in the
        beginning was no less: bytes whose time is lost in chance are not free.
        """
        if not self._sizes:
            return self._b_s
        unnoticed_s = self._chance_s / sqrt(len(self._sizes)) / max(self._sizes)
        return max(self._b_s, min(unnoticed_s, self._guess_s))

    @property
    def round_trip_s(self) -> float:
        """Return the estimate of the link's time without payload [s]."""
        return self._a_s

    @property
    def round_trip_spread_s(self) -> float:
        """Return its standard deviation [s]."""
        return sqrt(self._p00) * self._a_s

    @property
    def in_doubt(self) -> bool:
        """Return whether the link seems to change: the next observations settle it."""
        return self._unconfirmed or self._slower >= _ALARM / 2 or self._faster >= _EARLY_ALARM / 2

    @property
    def slowdown(self) -> float:
        """Return how many times as slow as estimated the link is expected to be while in doubt.

        A doubt has the weight of the share of recent doubts that came true: single late replies
        are common on some links, and the beginning of a fade on others.
        """
        return 1.0 + self._confirmed * (self._last_ratio - 1.0) if self._seems_slower else 1.0

    @property
    def typical(self) -> float:
        """Return the typical time of a frame by the estimate, which leans to the early ones."""
        return min(max(self._typical.level, 1.0), 1.5)

    @property
    def _seems_slower(self) -> bool:
        return self._slower >= _ALARM / 2

    def age_s(self, now_s: float) -> float:
        """Return how old the last observation is; infinite without one."""
        return float('inf') if self._updated_s is None else max(now_s - self._updated_s, 0.0)

    def observe(self, now_s: float, nbytes: float, link_s: float) -> None:
        """Take a frame that came back: `nbytes` up, `link_s` on the link in both directions."""
        if _sensible(nbytes, link_s):
            self.loss += _GAIN * (0.0 - self.loss)
            self._advance(now_s)
            self._correct(nbytes, link_s)

    def observe_timeout(self, now_s: float, nbytes: float, waited_s: float) -> None:
        """Take a frame that had not come back after `waited_s`: it takes at least that long."""
        self.loss += _GAIN * (1.0 - self.loss)
        if _sensible(nbytes, waited_s):
            self._advance(now_s)
            if waited_s > self._a_s + nbytes * self._b_s:
                self._correct(nbytes, waited_s)

    def forget(self) -> None:
        """Assume that the link has changed: the next observation shows its new state."""
        self._reopen(0.0)
        self._p11 = _MOST_VARIANCE

    def coefficients(self, now_s: float,
                     slow: float = 1.0) -> tuple[float, float, float, float, float]:
        """Return t0, v0, v1, v2 and v3 of the time on the link and its variance for n bytes.

        The time is t0 + n s_per_byte [s], its variance v0 + v1 n + v2 n^2 + v3 u^2 [s^2], where u
        is the standard deviation of n. It grows with the age of the last observation. All are for
        a link that is `slow` times as slow as estimated.
        """
        a, b, noise = slow * self._a_s, slow * self.s_per_byte, self._late_noise ** 2
        if self._updated_s is not None:
            noise += _DRIFT ** 2 * min(self.age_s(now_s), _OLDEST_S)
        return (a, (self._p00 + noise) * a * a, 2.0 * (self._p01 + noise) * a * b,
                (self._p11 + noise) * b * b, b * b)

    def time(self, nbytes: float, now_s: float) -> tuple[float, float]:
        """Return the time on the link for `nbytes` and its standard deviation [s]."""
        a_s, v0, v1, v2, _ = self.coefficients(now_s)
        return (a_s + nbytes * self.s_per_byte,
                sqrt(max(v0 + v1 * nbytes + v2 * nbytes * nbytes, 0.0)))

    def _advance(self, now_s: float) -> None:
        """Let the parameters drift; a clock that jumps back adds nothing, one ahead is bounded."""
        if self._updated_s is not None:
            age_s = min(self.age_s(now_s), _OLDEST_S)
            self._p00 = min(self._p00 + _ROUND_TRIP_DRIFT ** 2 * age_s, _MOST_VARIANCE)
            self._p11 = min(self._p11 + _DRIFT ** 2 * age_s, _MOST_VARIANCE)
        self._updated_s = now_s

    def _correct(self, nbytes: float, link_s: float) -> None:
        """Move towards one observation, clipped if it is an outlier."""
        self.count += 1
        self._sizes.append(nbytes)
        predicted_s = self._a_s + nbytes * self._b_s
        error = log(link_s / predicted_s)
        own = self._own_variance(self._a_s / predicted_s)
        late = error > 0.0
        noise = self._late_noise if late else self._early_noise
        spread = sqrt(own + noise ** 2)
        clipped = min(max(error, -_OUTLIER * spread), _OUTLIER * spread)
        doubted = self._seems_slower
        changed = self._has_changed(clipped / spread)
        if doubted and (changed or not self._seems_slower):
            self._confirmed += _GAIN * ((changed and error > 0) - self._confirmed)
        if changed:
            self._reopen(error)
            clipped = error
        else:
            self._typical.add(link_s / predicted_s)
            if own < 4.0 * noise ** 2:  # else the error is the parameters', not noise
                usual = min(abs(clipped), 2.0 * spread)
                self._learn_noise(late, noise ** 2, usual * usual - own - noise ** 2)
        self._update(nbytes, predicted_s * exp(clipped), noise)
        self._a_s = min(self._a_s, link_s)
        self._unconfirmed, self._reopened = self._reopened, False
        if self._unconfirmed:
            self._p11 = max(self._p11, _UNCONFIRMED ** 2)
        self._last_ratio = max(link_s / (self._a_s + nbytes * self._b_s), 1.0)

    def _learn_noise(self, late: bool, variance: float, excess: float) -> None:
        learned = sqrt(max(variance + _GAIN * excess, _LEAST_NOISE ** 2))
        if late:
            self._late_noise = learned
        else:
            self._early_noise = min(learned, _MOST_EARLY_NOISE)

    def _own_variance(self, share: float) -> float:
        """Return the variance of log t that the parameters' brings; `share` is a / t."""
        rest = 1.0 - share
        return max(share * share * self._p00 + 2.0 * share * rest * self._p01
                   + rest * rest * self._p11, 0.0)

    def _has_changed(self, deviation: float) -> bool:
        """Take one error in standard deviations into the CUSUM test."""
        self._slower = max(self._slower + deviation - _SLACK, 0.0)
        self._faster = max(self._faster - deviation - _SLACK, 0.0)
        return self._slower >= _ALARM or self._faster >= _EARLY_ALARM

    def _reopen(self, error: float) -> None:
        """Forget: the parameters may be off by about as much as the observation is."""
        self.changes += 1
        self._reopened = True
        self._typical.begin(1.0, 0.1)
        self._slower = self._faster = 0.0
        self._p00 = min(self._p00 + (_ROUND_TRIP_SHARE * error) ** 2, _MOST_VARIANCE)
        self._p11 = min(self._p11 + error ** 2, _MOST_VARIANCE)
        self._p01 = 0.0

    def _update(self, nbytes: float, link_s: float, noise: float) -> None:
        """Kalman update of (log a, log b), iterated: log t bends where a and b n trade places."""
        x0 = start0 = log(self._a_s)
        x1 = start1 = log(self._b_s)
        for _ in range(3):
            a_s, sending_s = exp(x0), nbytes * exp(x1)
            h0 = a_s / (a_s + sending_s)
            h1 = 1.0 - h0
            variance = self._own_variance(h0) + noise ** 2
            k0 = (self._p00 * h0 + self._p01 * h1) / variance
            k1 = (self._p01 * h0 + self._p11 * h1) / variance
            error = log(link_s / (a_s + sending_s)) - h0 * (start0 - x0) - h1 * (start1 - x1)
            x0, x1 = _within(start0 + k0 * error, _ROUND_TRIP_S), _within(start1 + k1 * error,
                                                                         _S_PER_BYTE)
        self._a_s, self._b_s = exp(x0), exp(x1)
        p00, p01, p11 = self._p00, self._p01, self._p11
        self._p00 = max(p00 - k0 * (p00 * h0 + p01 * h1), 1e-9)
        self._p01 = p01 - k0 * (p01 * h0 + p11 * h1)
        self._p11 = max(p11 - k1 * (p01 * h0 + p11 * h1), 1e-9)


def _sensible(nbytes: float, link_s: float) -> bool:
    return 0.0 < nbytes < 1e12 and isfinite(link_s) and _LINK_S[0] <= link_s <= _LINK_S[1]


def _within(x: float, bounds: tuple[float, float]) -> float:
    return min(max(x, log(bounds[0])), log(bounds[1]))
