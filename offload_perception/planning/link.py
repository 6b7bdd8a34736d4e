"""Bandwidth, round trip and loss of a link, with spreads, from the frames sent over it."""

from collections import deque
from math import exp, isfinite, log, nan, sqrt

from offload_perception.planning.robust import RobustLevel

# Set by hand; `benchmarks/planner.py` flies them against oracles (docs/records/planner.md).
_OUTLIER_SPREADS = 3.0  # standard deviations; errors beyond are clipped (Huber)
# Page's CUSUM test, in standard deviations. An outlier adds 3 - 1 = 2: two late ones raise the
# alarm, but one early one is enough, since nothing arrives early by accident.
_CUSUM_SLACK, _CUSUM_LATE_ALARM, _CUSUM_EARLY_ALARM = 1.0, 3.99, 1.99
_ROUND_TRIP_SHARE = 0.1  # of a change that may be the round trip's; most changes are of bandwidth
_LEARNING_RATE = 0.1  # of noise, loss and the share of confirmed doubts: about the last 10 frames
_ROUND_TRIP_DRIFT, _BANDWIDTH_DRIFT = 0.02, 0.1  # relative standard deviation a second
_MIN_NOISE, _MAX_EARLY_NOISE = 0.02, 0.2  # relative standard deviation of one frame
_MAX_VARIANCE = 4.0  # of a logarithm: a factor of e^2 = 7 either way
_UNCONFIRMED_SPREAD = 0.2  # at least, after a change that only one observation shows
_MAX_AGE_S = 100.0  # an older observation counts as this old
_SIZES_KEPT = 100  # of recent frames and probes
# What is plausible; an observation beyond is ignored, an estimate is held within.
_S_PER_BYTE_RANGE = (1e-11, 1.0)  # 100 GB/s and 1 byte/s
_ROUND_TRIP_RANGE_S = (1e-5, 60.0)
_LINK_RANGE_S = (1e-6, 3600.0)


class LinkEstimator:
    """Round trip `a` and seconds per byte `b` of t = a + b n, by a Kalman filter.

    `t` is a frame's time on the link, up and down, with `n` bytes up. The filter works on the
    logarithms of both parameters, which range over orders of magnitude: errors are relative, and
    neither can become negative. Both drift, so old frames are forgotten, and an estimate without
    new observations grows uncertain. The noise is learned, for late and early frames apart, since
    a link may stall but is never faster than it can be. Outliers are clipped; if errors add up on
    one side (Page's CUSUM test), the link has changed and the filter's variance is reset.
    """

    def __init__(self, *, bandwidth: float = 3e5, round_trip_s: float = 0.01) -> None:
        """Start from a guess, `bandwidth` in byte/s, which is the less certain of the two."""
        self._a_s, self._b_s = round_trip_s, 1.0 / bandwidth
        self._guess_s = self._b_s
        self._p00, self._p01, self._p11 = 1.0 ** 2, 0.0, 2.0 ** 2
        self._late_noise = self._early_noise = 0.2
        self._slower = self._faster = 0.0
        self._updated_s: float | None = None
        self._last_ratio, self._confirmed = 1.0, 1.0
        self.loss, self.count, self.changes = 0.0, 0, 0
        self._reopened = False  # the variance, after the last observation
        self._unconfirmed = False  # a change that only one observation shows
        self._typical = RobustLevel.of_times(1.0, 0.1)
        self._sizes: deque[float] = deque(maxlen=_SIZES_KEPT)

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
        """Return the bandwidth to plan with [byte/s], also if frames cannot determine it."""
        return 1.0 / self.s_per_byte

    @property
    def known_bandwidth(self) -> float:
        """Return the estimate of the uplink [byte/s], NaN if frames cannot determine it.

        Frames of one size never determine it, since round trip and sending time cannot be told
        apart; nor do frames whose sending time is lost in the noise, as on one computer.
        """
        if not self._sizes:
            return nan
        differing_s = self._b_s * (max(self._sizes) - min(self._sizes))
        return 1.0 / self._b_s if differing_s > self._chance_s else nan

    @property
    def _chance_s(self) -> float:
        """Return the noise in the time of a frame without payload [s]."""
        return min(self._late_noise, self._early_noise) * self._a_s

    @property
    def bandwidth_spread(self) -> float:
        """Return its standard deviation [byte/s]."""
        return sqrt(self._p11) / self._b_s

    @property
    def s_per_byte(self) -> float:
        """Return the time that a byte takes [s].

        At least the time that the noise of the recent frames would hide, or the first guess if
        that is less: bytes are not free because their time is lost in the noise.
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
        """Return whether the link may be changing; the next observations decide."""
        return (self._unconfirmed or self._seems_slower
                or self._faster >= _CUSUM_EARLY_ALARM / 2)

    @property
    def slowdown(self) -> float:
        """Return the expected slowdown while in doubt: a factor on the estimated time, >= 1.

        It is weighted by the share of recent doubts that were confirmed: a single late reply is
        common on some links, and the start of a fade on others.
        """
        return 1.0 + self._confirmed * (self._last_ratio - 1.0) if self._seems_slower else 1.0

    @property
    def typical(self) -> float:
        """Return the median time of recent frames by the estimated one, 1 .. 1.5."""
        return min(max(self._typical.level, 1.0), 1.5)

    @property
    def _seems_slower(self) -> bool:
        return self._slower >= _CUSUM_LATE_ALARM / 2

    def age_s(self, now_s: float) -> float:
        """Return how old the last observation is; infinite without one."""
        return float('inf') if self._updated_s is None else max(now_s - self._updated_s, 0.0)

    def observe(self, now_s: float, nbytes: float, link_s: float) -> None:
        """Take a frame that came back: `nbytes` up, `link_s` on the link in both directions."""
        if _sensible(nbytes, link_s):
            self.loss += _LEARNING_RATE * (0.0 - self.loss)
            self._advance(now_s)
            self._correct(nbytes, link_s)

    def observe_timeout(self, now_s: float, nbytes: float, waited_s: float) -> None:
        """Take a frame that had not come back after `waited_s`: it takes at least that long."""
        self.loss += _LEARNING_RATE * (1.0 - self.loss)
        if _sensible(nbytes, waited_s):
            self._advance(now_s)
            if waited_s > self._a_s + nbytes * self._b_s:
                self._correct(nbytes, waited_s)

    def forget(self) -> None:
        """Drop the estimate, since the link has changed; the next observation sets it."""
        self._reopen(0.0)
        self._p11 = _MAX_VARIANCE

    def coefficients(self, now_s: float,
                     slow: float = 1.0) -> tuple[float, float, float, float, float]:
        """Return t0, v0, v1, v2 and v3 of the time on the link and its variance for n bytes.

        The time is t0 + n s_per_byte [s], its variance v0 + v1 n + v2 n^2 + v3 u^2 [s^2], where u
        is the standard deviation of n. It grows with the age of the last observation. All are for
        a link that is `slow` times as slow as estimated.
        """
        a, b, noise = slow * self._a_s, slow * self.s_per_byte, self._late_noise ** 2
        if self._updated_s is not None:
            noise += _BANDWIDTH_DRIFT ** 2 * min(self.age_s(now_s), _MAX_AGE_S)
        return (a, (self._p00 + noise) * a * a, 2.0 * (self._p01 + noise) * a * b,
                (self._p11 + noise) * b * b, b * b)

    def time(self, nbytes: float, now_s: float) -> tuple[float, float]:
        """Return the time on the link for `nbytes` and its standard deviation [s]."""
        a_s, v0, v1, v2, _ = self.coefficients(now_s)
        return (a_s + nbytes * self.s_per_byte,
                sqrt(max(v0 + v1 * nbytes + v2 * nbytes * nbytes, 0.0)))

    def _advance(self, now_s: float) -> None:
        """Let the parameters drift since the last observation, for at most `_MAX_AGE_S`."""
        if self._updated_s is not None:
            age_s = min(self.age_s(now_s), _MAX_AGE_S)
            self._p00 = min(self._p00 + _ROUND_TRIP_DRIFT ** 2 * age_s, _MAX_VARIANCE)
            self._p11 = min(self._p11 + _BANDWIDTH_DRIFT ** 2 * age_s, _MAX_VARIANCE)
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
        clipped = min(max(error, -_OUTLIER_SPREADS * spread), _OUTLIER_SPREADS * spread)
        doubted = self._seems_slower
        changed = self._has_changed(clipped / spread)
        if doubted and (changed or not self._seems_slower):
            self._confirmed += _LEARNING_RATE * ((changed and error > 0) - self._confirmed)
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
            self._p11 = max(self._p11, _UNCONFIRMED_SPREAD ** 2)
        self._last_ratio = max(link_s / (self._a_s + nbytes * self._b_s), 1.0)

    def _learn_noise(self, late: bool, variance: float, excess: float) -> None:
        learned = sqrt(max(variance + _LEARNING_RATE * excess, _MIN_NOISE ** 2))
        if late:
            self._late_noise = learned
        else:
            self._early_noise = min(learned, _MAX_EARLY_NOISE)

    def _own_variance(self, share: float) -> float:
        """Return the variance of log t that comes from the parameters; `share` is a / t."""
        rest = 1.0 - share
        return max(share * share * self._p00 + 2.0 * share * rest * self._p01
                   + rest * rest * self._p11, 0.0)

    def _has_changed(self, deviation: float) -> bool:
        """Add an error, in standard deviations, to the CUSUM test; return whether it alarms."""
        self._slower = max(self._slower + deviation - _CUSUM_SLACK, 0.0)
        self._faster = max(self._faster - deviation - _CUSUM_SLACK, 0.0)
        return self._slower >= _CUSUM_LATE_ALARM or self._faster >= _CUSUM_EARLY_ALARM

    def _reopen(self, error: float) -> None:
        """Raise the variance: the parameters may be off by as much as the last observation."""
        self.changes += 1
        self._reopened = True
        self._typical.begin(1.0, 0.1)
        self._slower = self._faster = 0.0
        self._p00 = min(self._p00 + (_ROUND_TRIP_SHARE * error) ** 2, _MAX_VARIANCE)
        self._p11 = min(self._p11 + error ** 2, _MAX_VARIANCE)
        self._p01 = 0.0

    def _update(self, nbytes: float, link_s: float, noise: float) -> None:
        """Update (log a, log b), iterated as log t is not linear in them (extended Kalman)."""
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
            x0 = _within(start0 + k0 * error, _ROUND_TRIP_RANGE_S)
            x1 = _within(start1 + k1 * error, _S_PER_BYTE_RANGE)
        self._a_s, self._b_s = exp(x0), exp(x1)
        p00, p01, p11 = self._p00, self._p01, self._p11
        self._p00 = max(p00 - k0 * (p00 * h0 + p01 * h1), 1e-9)
        self._p01 = p01 - k0 * (p01 * h0 + p11 * h1)
        self._p11 = max(p11 - k1 * (p01 * h0 + p11 * h1), 1e-9)


def _sensible(nbytes: float, link_s: float) -> bool:
    low_s, high_s = _LINK_RANGE_S
    return 0.0 < nbytes < 1e12 and isfinite(link_s) and low_s <= link_s <= high_s


def _within(x: float, bounds: tuple[float, float]) -> float:
    return min(max(x, log(bounds[0])), log(bounds[1]))
