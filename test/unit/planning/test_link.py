"""What frames and probes of different sizes show of a link."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.link import MESSAGE_BYTES, LinkEstimate


def fly(link: LinkEstimate, *, bandwidth: float, round_trip_s: float, frames: int,
        start_s: float = 0.0, sizes: tuple[int, ...] = (1000, 8000, 20_000), noise: float = 0.03,
        seed: int = 1) -> float:
    """Feed frames at 5 Hz; return the time of the last."""
    rng = np.random.default_rng(seed)
    for i in range(frames):
        nbytes, now_s = sizes[i % len(sizes)], start_s + 0.2 * i
        seconds = (round_trip_s + (nbytes + MESSAGE_BYTES) / bandwidth) * rng.normal(1.0, noise)
        link.observe(now_s, nbytes, seconds, now_s - seconds if seconds < 0.2 else now_s)
    return start_s + 0.2 * frames


def test_finds_bandwidth_and_round_trip() -> None:
    link = LinkEstimate()
    assert isnan(link.known_bandwidth)
    fly(link, bandwidth=2e5, round_trip_s=0.03, frames=100)
    assert link.known_bandwidth == pytest.approx(2e5, rel=0.15)
    assert link.round_trip_s == pytest.approx(0.03, rel=0.3)
    assert not link.unclear


@pytest.mark.parametrize('factor', [1 / 20, 1 / 4, 4, 20])
def test_step_is_followed_within_four_frames(factor: float) -> None:
    link = LinkEstimate()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    now_s = fly(link, bandwidth=2e5 * factor, round_trip_s=0.01, frames=4, start_s=now_s)
    seconds, spread = link.time(8000, now_s)
    truth = 0.01 + 8000 / (2e5 * factor)
    assert seconds == pytest.approx(truth, rel=0.35) or abs(seconds - truth) < 2 * spread


def test_frames_of_one_size_predict_that_size_and_leave_the_rest_open() -> None:
    link = LinkEstimate()
    now_s = fly(link, bandwidth=1e5, round_trip_s=0.02, frames=50, sizes=(1700,))
    seconds, spread = link.time(2000, now_s)
    assert seconds == pytest.approx(0.04, rel=0.05) and spread < 0.01
    assert link.unclear


def test_one_outlier_is_survived_and_puts_the_link_in_doubt() -> None:
    link = LinkEstimate()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    before = link.bandwidth
    link.observe(now_s, 8000, 3.0, now_s - 3.0 + 10.0)
    assert link.bandwidth == pytest.approx(before, rel=0.4) and link.doubtful
    link.observe(now_s + 0.2, 8000, 0.01 + 8300 / 2e5, now_s + 0.15)
    assert not link.doubtful


def test_replies_that_come_together_after_a_stop_count_once() -> None:
    link = LinkEstimate()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    before = link.bandwidth
    for late_s in (1.0, 0.8, 0.6, 0.4):  # all of them waited for the first
        link.observe(now_s, 8000, late_s, now_s - late_s)
    assert link.bandwidth == pytest.approx(before, rel=0.5)
    assert link.age_s(now_s + 1.0) == 1.0


def test_a_link_that_is_always_full_is_learned_from_the_times_between_replies() -> None:
    link = LinkEstimate()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    for i in range(6):  # two are under way at any time
        link.observe(now_s + i, 9700, 2.0, now_s + i - 2.0)
    assert link.bandwidth == pytest.approx(1e4, rel=0.3)


def test_a_round_trip_is_never_longer_than_what_came_back_sooner() -> None:
    link = LinkEstimate(round_trip_s=0.5)
    link.observe(1.0, 100, 0.04, 0.96)
    assert link.round_trip_s <= 0.04


def test_age_widens_the_spread() -> None:
    link = LinkEstimate()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    assert link.time(8000, now_s + 60)[1] > 3 * link.time(8000, now_s)[1]


def test_a_given_link_is_known() -> None:
    link = LinkEstimate(1e5, 0.02, spread=0.05)
    assert link.known_bandwidth == pytest.approx(1e5)
    assert link.time(10_000, 0.0)[0] == pytest.approx(0.12)


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True),
                          st.floats(-1e9, 1e9)), max_size=40))
def test_nothing_that_is_fed_breaks_it(frames: list[tuple[float, float, float]]) -> None:
    link = LinkEstimate()
    for nbytes, seconds, now_s in frames:
        link.observe(now_s, nbytes, seconds, now_s)
    assert link.bandwidth > 0.0 and np.isfinite(link.coefficients(0.0)).all()
    assert link.time(5000, 0.0)[1] >= 0
