"""A server as the drone sees it: whether it answers, its queue, its times."""

from math import inf, nan
from typing import Any

import numpy as np
import pytest

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.link import LinkEstimate
from offload_perception.planning.route import Route, RouteState, ServerReport


@pytest.fixture
def route(shape: NetworkShape) -> Route:
    return Route('/server', shape, LinkEstimate())


def report(wait_s: float = 0.01, tails: Any = ()) -> ServerReport:
    return ServerReport('/server', wait_s, tails)


def test_server_that_was_never_heard_is_not_used(route: Route) -> None:
    assert not route.usable(0.0)


def test_stale_report_excludes_a_fresh_one_admits(route: Route) -> None:
    route.report(0.0, report())
    assert route.usable(1.0) and not route.usable(6.0)
    route.report(6.0, report())
    assert route.usable(6.0)


def test_report_from_the_future_is_a_clock_that_jumped(route: Route) -> None:
    route.report(1e6, report())
    assert not route.usable(0.0)


def test_the_wait_is_the_last_backlog_less_its_age(route: Route) -> None:
    route.report(0.0, report(0.2))
    assert route.wait(0.0)[0] == 0.2
    assert route.wait(0.05)[0] == pytest.approx(0.15)
    assert route.wait(3.0)[0] == 0.0
    route.observe_backlog(1.0, 0.5)
    assert route.wait(1.0)[0] == 0.5


@pytest.mark.parametrize('error_s', [0.0, 0.3])
def test_how_well_the_wait_is_known_is_learned(route: Route, error_s: float) -> None:
    for i in range(60):
        route.observe_reply(0.1 * i, 3, wait_s=0.1 + error_s, decode_s=0.001, tail_s=0.05,
                            expected_wait_s=0.1)
    assert route.wait(6.0)[1] == pytest.approx(error_s, rel=0.05)


@pytest.mark.parametrize('wait_s', [nan, inf, -inf, -0.1])
def test_a_backlog_that_cannot_be_changes_nothing(route: Route, wait_s: float) -> None:
    route.report(0.0, report(0.2))
    route.observe_backlog(0.0, wait_s)
    assert route.wait(0.0)[0] == 0.2


def test_misses_put_it_in_doubt_and_lose_it_and_an_answer_brings_it_back(route: Route) -> None:
    states, chances = [], []
    for _ in range(3):
        route.observe_miss()
        states.append(route.state)
        chances.append(route.unanswered)
    assert states == [RouteState.DOUBT, RouteState.LOST, RouteState.LOST]
    assert chances == pytest.approx([1 / 2, 2 / 3, 3 / 4])
    route.observe_answer()
    assert route.state is RouteState.GOOD and route.unanswered == 0.0


def test_a_reply_that_was_much_too_late_counts_as_a_miss_until_the_next(route: Route) -> None:
    for i in range(30):
        route.link.observe(0.2 * i, 1000, 0.02, 0.2 * i)
    route.link.observe(7.0, 1000, 0.5, 7.0)
    assert route.unanswered == 0.5 and route.state is RouteState.GOOD
    route.link.observe(8.0, 1000, 0.02, 8.0)
    assert route.unanswered == 0.0


def test_each_refusal_in_a_row_doubles_the_pause_and_a_result_ends_it(route: Route) -> None:
    now_s, pauses = 0.0, []
    for _ in range(8):
        route.observe_refusal(now_s, 'another model')
        start_s = now_s
        while route.paused(now_s):
            now_s += 0.25
        pauses.append(now_s - start_s)
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30], abs=0.3)
    assert route.why == 'another model'
    route.forgive()
    route.observe_refusal(now_s, '')
    assert route.why and not route.paused(now_s + 1.1)


def test_refusals_during_a_pause_do_not_prolong_it(route: Route) -> None:
    for now_s in (0.0, 0.1, 0.2):
        route.observe_refusal(now_s, 'full')
    assert not route.paused(1.1)


def test_a_busy_server_is_paused_for_a_second(route: Route) -> None:
    route.report(0.0, report())
    route.observe_busy(0.0)
    assert not route.usable(0.5) and route.usable(1.5)


def test_a_clock_that_went_back_ends_a_pause(route: Route) -> None:
    route.observe_refusal(1e6, 'full')
    assert not route.paused(0.0)


def test_reported_tails_are_news_only_when_they_change(route: Route) -> None:
    for i in range(30):
        route.report(i, report(tails=(nan, nan, nan, 0.5)))
    for i in range(3):
        route.observe_reply(30.0 + i, 3, wait_s=0.0, decode_s=1e-6, tail_s=0.05,
                            expected_wait_s=0.0)
    assert route.tails()[0][3] < 0.2


def test_unmeasured_tails_lie_between_measured_ones(route: Route, shape: NetworkShape) -> None:
    tails = [nan] * shape.last
    tails[0], tails[14] = 0.2, 0.02
    route.report(0.0, report(tails=tuple(tails)))
    seconds, variance = route.tails()
    assert seconds[0] == pytest.approx(0.2, rel=0.02)
    assert 0.02 < seconds[8] < 0.2
    assert variance[8] / seconds[8] ** 2 > 0.009


def test_absurd_reports_are_survived(route: Route) -> None:
    for wait_s in (nan, -1.0, inf):
        route.report(0.0, report(wait_s, (nan, -1.0, inf, 1e9) * 20))
        assert np.isfinite(route.wait(0.0)).all() and np.isfinite(route.tails()).all()


def test_silence_is_the_time_since_anything_was_heard(route: Route) -> None:
    route.report(1.0, report())
    assert route.silence_s(3.0) == 2.0
    route.observe_reply(2.0, 3, wait_s=0.0, decode_s=0.0, tail_s=0.1, expected_wait_s=nan)
    assert route.silence_s(3.0) == 1.0
