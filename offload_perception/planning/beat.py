"""Early warning of a slow link, from the heartbeats of a server.

A server sends a beat several times a second. A slow link usually delays both directions, so a late
or missing beat is a warning that costs the drone nothing. Only a frame or a probe can measure how
slow the link has become.
"""

from math import inf, nan

BEAT_BYTES = 180  # a ServerBeat with RTPS, UDP and IP headers, as Fast DDS sends it
# Set by hand; `benchmarks/planner.py` flies them against oracles (docs/records/planner.md).
_UNUSUAL_SPREADS, _UNUSUAL_SHARE = 5.0, 0.25  # a beat is late by more: spreads, usual delay
_EARLY_SPREADS = 3.0  # a beat is early by more; chance delays beats, but hardly speeds them up
_LEARNING_RATE = 0.05  # of usual delay and spread: about the last 20 beats
_MIN_SPREAD_S = 1e-3
_LATE_IN_A_ROW = 2  # late beats that are no chance
_LATE_BEFORE_PROBE = 10  # late beats in a row before a probe, once warnings are judged
_JUDGED_ENOUGH = 4.5  # warnings judged, out of at most 20; before that 2 late beats are enough
_MEMORY = 0.95  # weight of what is known when one more is counted: about the last 20
_SILENT_S = 3.0  # without a beat for that long, the server has stopped sending them
_MAX_SLOWDOWN = 20.0  # on a fast link a stall of the operating system looks like more
_CLOCK_DRIFT = 1e-4  # of two clocks, at most: quartz is within 100 ppm
_CLOCK_JUMP_S = 10.0  # a server's clock that jumps by more is that of a restarted server


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
        self.count = _MEMORY * self.count + 1.0
        self._true = _MEMORY * self._true + true

    @property
    def value(self) -> float:
        return (self._true + 1.0) / (self.count + 2.0)


class BeatWatch:
    """Follows the delay of beats above the shortest one: its usual level and its spread.

    Only differences of the server's clock are used, so clocks need not be synchronised. One late
    beat may be chance, so it is weighted by the share of late beats that were followed by another.
    The uplink may be fast although the downlink is slow, so a warning is weighted by the share of
    warnings that frames and probes have confirmed.
    """

    def __init__(self) -> None:
        self._followed = _Share()  # late or missing beats that another late one followed
        self._right = _Share()  # warnings that a frame or probe confirmed
        self._begin()

    def _begin(self) -> None:
        """Forget the server's clock and the delays."""
        self._least_s, self._clock_s, self._period_s = inf, nan, inf
        self._delay_s, self._level_s, self._spread_s = 0.0, 2e-3, 3e-3
        self._count, self._late = 0, 0
        self._changing = False

    def late(self, now_s: float) -> bool:
        """Return whether beats are late by more than chance."""
        return self._late >= _LATE_IN_A_ROW and not self._silent(now_s)

    def in_doubt(self, now_s: float) -> bool:
        """Return whether the link may have changed, so that a frame or probe should measure it."""
        judged = self._right.count >= _JUDGED_ENOUGH
        late = self._late >= (_LATE_BEFORE_PROBE if judged else _LATE_IN_A_ROW)
        return (late or self._changing) and not self._silent(now_s)

    def warns(self, now_s: float) -> bool:
        """Return whether a beat is late now."""
        return self._lateness(now_s)[0] > 0

    def judge(self, *, right: bool) -> None:
        """Take whether a frame or probe sent after a late beat was slow: the warning was right."""
        self._right.add(true=right)

    def observe(self, now_s: float, clock_s: float, period_s: float) -> None:
        """Take a beat that the server has sent at `clock_s` of its own clock, one a period."""
        if not abs(now_s - clock_s - self._least_s) < _CLOCK_JUMP_S:
            self._begin()
            self._clock_s = clock_s - period_s
        gap_s = clock_s - self._clock_s
        if gap_s <= 0.0:
            return
        self._least_s = min(self._least_s + _CLOCK_DRIFT * gap_s, now_s - clock_s)
        self._clock_s, self._period_s = clock_s, period_s
        self._delay_s = now_s - clock_s - self._least_s
        deviation_s = self._delay_s - self._level_s
        if gap_s > 1.5 * period_s and not self._late:
            self._followed.add(true=deviation_s > self._unusual_s)
        if deviation_s > self._unusual_s:
            self._late += 1
            if self._late == _LATE_IN_A_ROW:
                self._followed.add(true=True)
        else:
            if self._late == 1:
                self._followed.add(true=False)
            self._late = 0
            if deviation_s < -max(_EARLY_SPREADS * self._spread_s, 0.5 * self._level_s):
                self._changing = True
            elif not self._changing:
                self._follow(deviation_s)

    def slowdown(self, now_s: float, s_per_byte: float) -> float:
        """Return the likely slowdown of a link of `s_per_byte` by its beats: a factor, >= 1."""
        late, late_s = self._lateness(now_s)
        if not late:
            return 1.0
        likely = self._right.value * (1.0 if late >= _LATE_IN_A_ROW else self._followed.value)
        return 1.0 + likely * min(late_s / (BEAT_BYTES * s_per_byte), _MAX_SLOWDOWN)

    def _lateness(self, now_s: float) -> tuple[int, float]:
        """Return how many beats in a row are late, and by how much [s]."""
        if self._silent(now_s):
            return 0, 0.0
        overdue_s = now_s - self._clock_s - self._period_s - self._least_s - self._level_s
        late_s = self._delay_s - self._level_s if self._late else 0.0
        if overdue_s > self._unusual_s:
            missing = 1 + int(overdue_s > self._period_s)
            return self._late + missing, max(late_s, overdue_s)
        return self._late, late_s

    def _silent(self, now_s: float) -> bool:
        """Return whether beats have stopped; then only probes show the state of the link."""
        return now_s - self._clock_s - self._least_s > _SILENT_S

    def accept_level(self) -> None:
        """Take the current delay as the usual one, since the link has just been measured."""
        self._level_s, self._late, self._changing = self._delay_s, 0, False

    @property
    def _unusual_s(self) -> float:
        return _UNUSUAL_SPREADS * self._spread_s + _UNUSUAL_SHARE * self._level_s

    def _follow(self, deviation_s: float) -> None:
        self._count += 1
        gain = max(_LEARNING_RATE, 1.0 / (self._count + 3))
        limit_s = _EARLY_SPREADS * self._spread_s
        deviation_s = min(max(deviation_s, -limit_s), limit_s)
        self._level_s += gain * deviation_s
        variance = self._spread_s ** 2 + gain * (deviation_s ** 2 - self._spread_s ** 2)
        self._spread_s = max(variance ** 0.5, _MIN_SPREAD_S)
