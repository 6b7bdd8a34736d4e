"""Clock problems: impossible stamps, jumps of the system clock, a loop that runs late."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from math import nan

from offload_perception.health.finding import Finding, span, warning
from offload_perception.health.trend import Recent

AHEAD_S, OLD_S = 0.1, 5.0
JUMP_S = 0.2  # far above what NTP slews in a second (0.5 ms)
REPORT_S = 30.0
TOGETHER_S, TRIES = 0.02, 5
LATE_S = 0.5


class StampWatch:
    """Checks the stamps of one stream of images; `observe` is cheap, as each calls it."""

    def __init__(self) -> None:
        self._last_s, self._ahead_s, self._age_s, self._back_s = nan, 0.0, 0.0, 0.0
        self._seen: Counter[str] = Counter()
        self._recent = Recent()

    def observe(self, stamp_s: float, now_s: float) -> None:
        """Take a stamp and its arrival, both in seconds of the node's clock (Unix time)."""
        age_s, step_s = now_s - stamp_s, stamp_s - self._last_s
        self._last_s = stamp_s
        self._seen['all'] += 1
        if stamp_s <= 0.0:
            self._seen['none'] += 1
        elif age_s < -AHEAD_S:
            self._seen['ahead'] += 1
            self._ahead_s = -age_s
        elif age_s > OLD_S:
            self._seen['old'] += 1
            self._age_s = age_s
        if step_s < 0.0:
            self._seen['back'] += 1
            self._back_s = -step_s
        elif step_s == 0.0:
            self._seen['again'] += 1

    def findings(self, now_s: float) -> Iterator[Finding]:
        """Yield what was wrong with the stamps of the last seconds; `now_s` is monotonic."""
        n = self._recent.increase(self._seen, now_s)
        if n['none']:
            yield warning('stamps', 'images carry no stamp: results cannot be located; have the '
                          'camera driver set header.stamp')
        elif n['ahead']:
            yield warning('stamps', f'images are stamped {span(self._ahead_s)} in the future: '
                          "synchronise the clock of the camera's computer with this one (chrony)")
        elif n['old']:
            yield warning('stamps', f'images are stamped {span(self._age_s)} ago: synchronise '
                          "the clock of the camera's computer with this one (chrony); for a "
                          'played bag set use_sim_time and play /clock')
        if n['back']:
            yield warning('stamp order', f'image stamps jumped back by {span(self._back_s)}: the '
                          'driver was started again, a clock was set, or a bag began again')
        if n['again'] > n['all'] // 4 and not n['none']:
            yield warning('stamp order', f'{n["again"]} of {n["all"]} images carry the stamp of '
                          'the one before: two cameras publish into one topic, or the driver '
                          'repeats its stamps; give each camera a namespace of its own')


def wall_offset_s(wall: Callable[[], float] = time.time,
                  monotonic: Callable[[], float] = time.monotonic) -> float:
    """Return the offset of the system clock from the monotonic one [s].

    NaN if this thread was preempted between the two readings, as on a busy computer: that would
    look like a jump of the clock.
    """
    for _ in range(TRIES):
        before_s, wall_s, after_s = monotonic(), wall(), monotonic()
        if after_s - before_s < TOGETHER_S:
            return wall_s - before_s
    return nan


class ClockWatch:
    """Finds jumps of the system clock against the monotonic one; call about once a second."""

    def __init__(self) -> None:
        self._offset_s = self._jumped_s = self._jump_s = nan

    def check(self, offset_s: float, now_s: float) -> Finding | None:
        """Take the offset of the system clock from the monotonic one, NaN if unknown, at `now_s`;
        return the last jump for `REPORT_S`.
        """
        if abs(offset_s - self._offset_s) > JUMP_S:
            self._jump_s, self._jumped_s = offset_s - self._offset_s, now_s
        if offset_s == offset_s:
            self._offset_s = offset_s
        if not now_s - self._jumped_s < REPORT_S:
            return None
        way = 'forward' if self._jump_s > 0 else 'back'
        return warning('system clock', f'the system clock jumped {way} by '
                       f'{span(abs(self._jump_s))}: stamps from before and after cannot be '
                       'compared; let the clock settle (NTP) before the flight')


class LoopWatch:
    """Finds a timer that fires late: the node's loop was busy with something else."""

    def __init__(self, period_s: float) -> None:
        self._period_s, self._last_s = period_s, nan

    def restart(self) -> None:
        """Forget the last tick, after an intended pause."""
        self._last_s = nan

    def tick(self, now_s: float) -> Finding | None:
        """Take a tick of the timer."""
        late_s = now_s - self._last_s - self._period_s
        self._last_s = now_s
        if not late_s > LATE_S:
            return None
        return warning('loop', f'this node was busy for {late_s:.1f} s and could not process its '
                       'messages: the computer is overloaded, or something blocks')
