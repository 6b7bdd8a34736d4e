"""What a server's beats show of the link, before a frame is sent over it.

A server sends a beat several times a second. A slow link mostly delays both directions, so a
late or missing beat is a warning that costs the drone nothing. How slow the link has become, only
a frame or a probe can show.
"""

from math import inf, nan

BEAT_BYTES = 180  # a ServerBeat with the headers of RTPS, UDP and IP, as Fast DDS sends it
_FAR, _FAR_SHARE = 5.0, 0.25  # spreads, and share of the usual delay, that are unusual
_EARLY = 3.0  # spreads: a beat may be late by chance, but hardly early
_GAIN = 0.05
_LEAST_SPREAD_S = 1e-3
_CONFIRMING = 2  # late beats in a row are not by chance
_LASTING = 10  # late beats in a row after which the link is worth a probe
_ENOUGH = 4.5  # judged late beats; before that each late beat is worth a probe
_SILENT_S = 3.0  # without a beat, they have stopped
_KEEP = 0.95  # of what earlier late beats have taught
_SLOWEST = 20.0  # at most this factor: on a fast link a stall of the system looks like more
_DRIFT = 1e-4  # of one clock against the other, at most
_RESTART_S = 10.0  # a server's clock that jumps by more belongs to another run


def age_s(received_ns: int, now_ns: int) -> float:
    """Return how long ago a message was received, by the system's clock, 0 .. 1 s.

    That clock may be set in between, and a middleware may not report it (0).
    """
    return min(max(1e-9 * (now_ns - received_ns), 0.0), 1.0) if received_ns else 0.0


class _Share:
    """How often something was true recently; a half if nothing is known (Laplace)."""

    def __init__(self) -> None:
        self.count = self._true = 0.0

    def add(self, *, true: bool) -> None:
        self.count = _KEEP * self.count + 1.0
        self._true = _KEEP * self._true + true

    @property
    def value(self) -> float:
        return (self._true + 1.0) / (self.count + 2.0)


class BeatWatch:
    """Follows the delay of beats above the least one, its usual level and its spread.

    Only differences of the server's clock count, so no clocks have to agree. One late beat may be
    chance: it is weighted by the share of late beats that a second one followed. And the uplink
    need not be slow if the downlink is: a warning is weighted by the share of warnings that
    frames and probes have confirmed.
    """

    def __init__(self) -> None:
        self._followed = _Share()  # of late or missing beats, by another late one
        self._right = _Share()  # of warnings, by what was sent in spite of them
        self._begin()

    def _begin(self) -> None:
        """Forget the server's clock and the delays."""
        self._least_s, self._clock_s, self._period_s = inf, nan, inf
        self._delay_s, self._level_s, self._spread_s = 0.0, 2e-3, 3e-3
        self._count, self._late = 0, 0
        self._changing = False

    def late(self, now_s: float) -> bool:
        """Return whether beats are late by more than chance."""
        return self._late >= _CONFIRMING and not self._silent(now_s)

    def in_doubt(self, now_s: float) -> bool:
        """Return whether the link seems to have changed; what is sent now shows by how much."""
        late = self._late >= (_CONFIRMING if self._right.count < _ENOUGH else _LASTING)
        return (late or self._changing) and not self._silent(now_s)

    def warns(self, now_s: float) -> bool:
        """Return whether a beat is late now."""
        return self._lateness(now_s)[0] > 0

    def judge(self, *, right: bool) -> None:
        """Take whether a frame or probe that was sent in spite of a late beat was slow."""
        self._right.add(true=right)

    def observe(self, now_s: float, clock_s: float, period_s: float) -> None:
        """Take a beat that the server has sent at `clock_s` of its own clock, one a period."""
        if not abs(now_s - clock_s - self._least_s) < _RESTART_S:
            self._begin()
            self._clock_s = clock_s - period_s
        gap_s = clock_s - self._clock_s
        if gap_s <= 0.0:
            return
        self._least_s = min(self._least_s + _DRIFT * gap_s, now_s - clock_s)
        self._clock_s, self._period_s = clock_s, period_s
        self._delay_s = now_s - clock_s - self._least_s
        deviation_s = self._delay_s - self._level_s
        if gap_s > 1.5 * period_s and not self._late:
            self._followed.add(true=deviation_s > self._far_s)
        if deviation_s > self._far_s:
            self._late += 1
            if self._late == _CONFIRMING:
                self._followed.add(true=True)
        else:
            if self._late == 1:
                self._followed.add(true=False)
            self._late = 0
            if deviation_s < -max(_EARLY * self._spread_s, 0.5 * self._level_s):
                self._changing = True
            elif not self._changing:
                self._follow(deviation_s)

    def slowdown(self, now_s: float, s_per_byte: float) -> float:
        """Return how many times as slow as `s_per_byte` the link is likely to be, by its beats."""
        late, late_s = self._lateness(now_s)
        if not late:
            return 1.0
        likely = self._right.value * (1.0 if late >= _CONFIRMING else self._followed.value)
        return 1.0 + likely * min(late_s / (BEAT_BYTES * s_per_byte), _SLOWEST)

    def _lateness(self, now_s: float) -> tuple[int, float]:
        """Return how many beats in a row are late, and by how much [s]."""
        if self._silent(now_s):
            return 0, 0.0
        overdue_s = now_s - self._clock_s - self._period_s - self._least_s - self._level_s
        late_s = self._delay_s - self._level_s if self._late else 0.0
        if overdue_s > self._far_s:
            missing = 1 + int(overdue_s > self._period_s)
            return self._late + missing, max(late_s, overdue_s)
        return self._late, late_s

    def _silent(self, now_s: float) -> bool:
        """Return whether beats have stopped: then only probes are of use."""
        return now_s - self._clock_s - self._least_s > _SILENT_S

    def accept_level(self) -> None:
        """Note that the current state of the link is known, so beats are judged from here."""
        self._level_s, self._late, self._changing = self._delay_s, 0, False

    @property
    def _far_s(self) -> float:
        return _FAR * self._spread_s + _FAR_SHARE * self._level_s

    def _follow(self, deviation_s: float) -> None:
        self._count += 1
        gain = max(_GAIN, 1.0 / (self._count + 3))
        limit_s = _EARLY * self._spread_s
        deviation_s = min(max(deviation_s, -limit_s), limit_s)
        self._level_s += gain * deviation_s
        variance = self._spread_s ** 2 + gain * (deviation_s ** 2 - self._spread_s ** 2)
        self._spread_s = max(variance ** 0.5, _LEAST_SPREAD_S)
