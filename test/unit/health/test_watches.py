import time
from itertools import count
from math import inf, isnan, nan

import pytest

from offload_perception.health import Level
from offload_perception.health.arrivals import FIRST_S, STALE_S, Arrivals
from offload_perception.health.clocks import ClockWatch, LoopWatch, StampWatch, wall_offset_s
from offload_perception.health.disk import DiskWatch
from offload_perception.health.finding import Finding
from offload_perception.health.trend import Lasting

UNIX_S = 1.8e9


def stale(arrivals: Arrivals, now_s: float) -> Finding | None:
    return arrivals.finding(now_s, where='image_raw', why='is it plugged in?')


def test_no_image_yet_is_nothing_to_worry_about_at_first() -> None:
    arrivals = Arrivals('image', started_s=100.0)
    assert stale(arrivals, 101.0).level is Level.OK
    finding = stale(arrivals, 100.1 + FIRST_S)
    assert finding.level is Level.WARN
    assert finding.text == 'no image yet on image_raw: is it plugged in?'


@pytest.mark.parametrize(('period_s', 'limit_s'), [(0.1, STALE_S), (2.0, 10.0), (100.0, 500.0)])
def test_a_camera_is_stale_after_some_of_its_own_periods(period_s: float, limit_s: float) -> None:
    arrivals = Arrivals('image', 0.0)
    for n in range(50):
        arrivals.observe(n * period_s)
        assert n < 2 or stale(arrivals, n * period_s + 0.9 * period_s) is None
    last_s = 49 * period_s
    assert stale(arrivals, last_s + 0.99 * limit_s) is None
    finding = stale(arrivals, last_s + 1.01 * limit_s)
    assert finding.level is Level.ERROR
    assert f'every {period_s:.2f} s' in finding.text and 'plugged in?' in finding.text


def test_an_outage_hardly_changes_the_usual_period_and_a_slower_camera_is_learned() -> None:
    arrivals = Arrivals('image', 0.0)
    for n in range(20):
        arrivals.observe(0.1 * n)
    arrivals.observe(1000.0)
    assert arrivals.period_s < 0.4
    for n in range(100):
        arrivals.observe(1000.0 + 5.0 * n)
    assert arrivals.period_s == pytest.approx(5.0, rel=0.1)


def test_one_image_and_no_more_is_stale_too() -> None:
    arrivals = Arrivals('image', 0.0)
    arrivals.observe(1.0)
    assert 'no image for' in stale(arrivals, 1.1 + FIRST_S).text


STAMPS = {
    'in the future': ([3.0, 3.1, 3.2], 'stamped 3.00 s in the future: synchronise'),
    'long past': ([-7200.0, -7199.9], 'stamped 2 h ago'),
    'jumped back': ([0.0, 0.1, -3.0, -2.9], 'jumped back by 3.10 s'),
    'twice': ([0.0, 0.0, 0.1, 0.1], 'a namespace of its own'),
    'unset': ([-UNIX_S, -UNIX_S], 'no stamp'),
}


@pytest.mark.parametrize(('stamps', 'text'), STAMPS.values(), ids=STAMPS)
def test_stamps_that_cannot_be_are_reported(stamps: list[float], text: str) -> None:
    watch = StampWatch()
    for n, stamp in enumerate(stamps):
        watch.observe(UNIX_S + stamp, UNIX_S + 0.1 * n)
    finding, = watch.findings(0.0)
    assert finding.level is Level.WARN and text in finding.text
    assert not list(watch.findings(60.0))  # long ago


def test_good_stamps_are_not_talked_about() -> None:
    watch = StampWatch()
    for n in range(100):
        watch.observe(UNIX_S + 0.1 * n, UNIX_S + 0.1 * n + 0.05)
    assert not list(watch.findings(0.0))


def test_a_jump_of_the_system_clock_is_reported_for_a_while() -> None:
    watch = ClockWatch()
    assert watch.check(UNIX_S, 0.0) is None and watch.check(UNIX_S + 0.01, 1.0) is None
    assert 'forward by 60 min' in watch.check(UNIX_S + 3600.0, 2.0).text
    assert 'forward by 60 min' in watch.check(nan, 3.0).text, 'not known is no jump'
    assert 'forward by 60 min' in watch.check(UNIX_S + 3600.0, 3.5).text
    assert 'back by 10.00 s' in watch.check(UNIX_S + 3590.0, 4.0).text
    assert watch.check(UNIX_S + 3590.0, 44.5) is None


def test_a_busy_computer_is_no_clock_that_jumped() -> None:
    """The thread is put aside for 0.7 s between the readings of the two clocks."""
    now = iter([0.0, 0.7, 1.0, 1.7, 2.0, 2.001])
    assert wall_offset_s(lambda: UNIX_S, lambda: next(now)) == UNIX_S - 2.0
    ever = count(0.0, 0.7)
    assert isnan(wall_offset_s(lambda: UNIX_S, lambda: next(ever)))
    assert abs(wall_offset_s() - (time.time() - time.monotonic())) < 1.0


def test_what_comes_and_goes_does_not_last() -> None:
    lasting = Lasting(25.0)
    seen = [(0.0, True), (24.0, True), (24.5, False), (25.0, True), (49.0, True), (50.0, True)]
    assert [lasting.update(so, at) for at, so in seen] == [False] * 5 + [True]


def test_a_late_loop_is_reported_and_a_meant_pause_is_not() -> None:
    watch = LoopWatch(period_s=1.0)
    assert watch.tick(0.0) is None and watch.tick(1.2) is None
    assert 'busy for 1.5 s' in watch.tick(3.7).text
    watch.restart()
    assert watch.tick(99.0) is None


def test_the_time_left_on_a_disk_is_reported() -> None:
    watch = DiskWatch(min_free=500_000_000)
    for second in range(60):
        finding = watch.check(5_000_000_000 - second * 10_000_000, float(second))
        assert second < 10 or watch.rate == pytest.approx(10e6)
    assert watch.left_s == pytest.approx(391.0)
    assert 'ends at 500 MB, in 7 min at the present rate' in finding.text


def test_a_disk_that_is_nearly_full_or_not_filling() -> None:
    assert 'disk filling: 700 MB are free' in DiskWatch(500_000_000).check(700_000_000, 0.0).text
    watch = DiskWatch(min_free=0)
    assert not any(watch.check(10_000_000 + n, float(n)) for n in range(60))
    assert watch.left_s == inf and watch.rate == 0.0
