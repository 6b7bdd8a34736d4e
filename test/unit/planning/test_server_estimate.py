from math import inf, nan
from typing import Any

import numpy as np
import pytest

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.server_estimate import ServerEstimator, ServerReport, queue_wait_s


def report(wait_s: float = 0.01, tails: Any = (), utilisation: Any = nan) -> Any:
    return ServerReport('/server', wait_s, utilisation, tails)


def test_queue_formula_on_known_queues() -> None:
    assert queue_wait_s(0.5, 0.1, 1.0) == pytest.approx(0.1)  # M/M/1: rho S / (1 - rho)
    assert queue_wait_s(0.5, 0.1, 0.0) == pytest.approx(0.05)  # M/D/1: half of it
    assert queue_wait_s(1.0, 0.1) == inf


def test_server_that_was_never_heard_is_not_used(shape: NetworkShape) -> None:
    assert not ServerEstimator(shape).usable(0.0)


def test_stale_report_excludes_a_fresh_one_admits(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    server.report(0.0, report())
    assert server.usable(1.0)
    assert not server.usable(6.0)
    server.report(6.0, report())
    assert server.usable(6.0)


def test_report_from_the_future_is_a_clock_that_jumped(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    server.report(1e6, report())
    assert not server.usable(0.0)
    server.report(0.0, report())
    assert server.usable(0.1)


def test_reported_wait_is_believed_and_age_widens_it(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    server.report(0.0, report(0.2))
    fresh, old = server.wait(0.0), server.wait(3.0)
    assert fresh[0] == old[0] == 0.2
    assert old[1] > fresh[1]


def test_wait_of_replies_between_reports_counts(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    server.report(0.0, report(0.01))
    for i in range(5):
        server.observe(0.1 * i, 3, wait_s=0.5, decode_s=0.001, tail_s=0.05)
    assert server.wait(0.5)[0] > 0.3


def test_a_mean_that_stands_still_is_no_news(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    for i in range(30):
        server.report(i, report(tails=(nan, nan, nan, 0.5)))
    for i in range(2):
        server.observe(30.0 + i, 3, wait_s=0.0, decode_s=0.0, tail_s=0.05)
    assert server.tails()[0][3] == pytest.approx(0.05)


def test_a_mean_that_own_frames_moved_is_no_news_and_one_of_others_is(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    for i in range(20):
        server.observe(i, 3, wait_s=0.0, decode_s=0.0, tail_s=0.05)
        server.report(i, report(tails=(nan, nan, nan, 0.5 - 0.02 * i)))
    assert server.tails()[0][3] == pytest.approx(0.05)
    for i in range(3):
        server.report(20.0 + i, report(tails=(nan, nan, nan, 0.3 + 0.01 * i)))
    assert server.tails()[0][3] == pytest.approx(0.3, rel=0.1)


def test_wait_follows_from_utilisation_where_none_is_reported(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    for load in (0.2, 0.9):
        server.report(0.0, report(nan, (0.1,), load))
    assert server.wait(0.0)[0] == pytest.approx(queue_wait_s(0.9, server.tails()[0][0]), rel=0.1)


def test_unmeasured_tails_lie_between_measured_ones(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    tails = [nan] * shape.last
    tails[0], tails[14] = 0.2, 0.02
    server.report(0.0, report(tails=tuple(tails)))
    seconds, variance = server.tails()
    assert seconds[0] == pytest.approx(0.2) and seconds[14] == pytest.approx(0.02)
    assert 0.02 < seconds[8] < 0.2
    assert variance[8] > variance[0]


def test_refusal_pauses_the_server(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    server.report(0.0, report())
    server.pause(0.0)
    assert not server.usable(0.5)
    server.report(1.5, report())
    assert server.usable(1.5)


def test_absurd_reports_are_survived(shape: NetworkShape) -> None:
    server = ServerEstimator(shape)
    for wait_s in (nan, -1.0, inf):
        server.report(0.0, report(wait_s, (nan, -1.0, inf, 1e9) * 20, utilisation=7.0))
        assert np.isfinite(server.wait(0.0)).all()
        assert np.isfinite(server.tails()).all()


@pytest.mark.parametrize('wait_s', [nan, inf, -inf, -0.1])
def test_a_beat_that_cannot_be_tells_no_wait(shape: NetworkShape, wait_s: float) -> None:
    load = ServerEstimator(shape)
    load.report(0.0, ServerReport('/server', 0.2))
    load.observe_beat(0.1, wait_s, 0.1)
    assert load.wait(0.1)[0] == 0.2 and load.seen_wait_s(0.1) != load.seen_wait_s(0.1)
    load.observe_beat(0.1, 0.5, 0.1)
    assert load.wait(0.1)[0] == 0.5 == load.seen_wait_s(0.1)
