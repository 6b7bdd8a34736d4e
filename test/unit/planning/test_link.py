import random
from collections.abc import Callable
from math import isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.link import LinkEstimator


def fly(link: LinkEstimator, *, bandwidth: float, round_trip_s: float, frames: int,
        start_s: float = 0.0, sizes: tuple[int, ...] = (4000, 8000, 20000), noise: float = 0.03,
        seed: int = 1) -> float:
    """Feed frames at 5 Hz; return the time of the last."""
    rng = np.random.default_rng(seed)
    for i in range(frames):
        nbytes = sizes[i % len(sizes)]
        seconds = (round_trip_s + nbytes / bandwidth) * rng.normal(1.0, noise)
        link.observe(start_s + 0.2 * i, nbytes, seconds)
    return start_s + 0.2 * frames


def test_finds_bandwidth_and_round_trip() -> None:
    link = LinkEstimator()
    fly(link, bandwidth=2e5, round_trip_s=0.03, frames=100)
    assert link.bandwidth == pytest.approx(2e5, rel=0.15)
    assert link.round_trip_s == pytest.approx(0.03, rel=0.3)


@pytest.mark.parametrize('factor', [1 / 20, 1 / 4, 4, 20])
def test_step_is_followed_within_four_frames(factor: float) -> None:
    link = LinkEstimator()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    now_s = fly(link, bandwidth=2e5 * factor, round_trip_s=0.01, frames=4, start_s=now_s)
    seconds, spread = link.time(8000, now_s)
    truth = 0.01 + 8000 / (2e5 * factor)
    assert seconds == pytest.approx(truth, rel=0.35) or abs(seconds - truth) < 2 * spread


def test_frames_of_one_size_predict_that_size() -> None:
    link = LinkEstimator()
    now_s = fly(link, bandwidth=1e5, round_trip_s=0.02, frames=50, sizes=(5000,))
    seconds, spread = link.time(5000, now_s)
    assert seconds == pytest.approx(0.07, rel=0.05)
    assert spread < 0.02


def test_outlier_is_survived() -> None:
    link = LinkEstimator()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    before = link.bandwidth
    link.observe(now_s, 8000, 3.0)
    assert link.bandwidth == pytest.approx(before, rel=0.3)


def test_timeouts_are_loss_and_a_slower_link() -> None:
    link = LinkEstimator()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    for i in range(3):
        link.observe_timeout(now_s + i, 8000, 1.0)
    assert link.loss > 0.2
    assert link.time(8000, now_s)[0] > 0.5


def test_timeout_shorter_than_expected_says_nothing_of_bandwidth() -> None:
    link = LinkEstimator(bandwidth=1e3)
    link.observe_timeout(0.0, 8000, 0.1)
    assert link.bandwidth == pytest.approx(1e3)


def test_age_widens_the_spread() -> None:
    link = LinkEstimator()
    now_s = fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50)
    assert link.time(8000, now_s + 60)[1] > 3 * link.time(8000, now_s)[1]


def test_clock_that_jumps_back_is_survived() -> None:
    link = LinkEstimator()
    fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50, start_s=1e6)
    fly(link, bandwidth=2e5, round_trip_s=0.01, frames=50, start_s=0.0)
    assert link.bandwidth == pytest.approx(2e5, rel=0.2)


@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True),
                          st.floats(-1e9, 1e9), st.booleans()), max_size=40))
def test_nothing_that_is_fed_breaks_it(frames: list[tuple[float, float, float, bool]]) -> None:
    link = LinkEstimator()
    for nbytes, seconds, now_s, lost in frames:
        (link.observe_timeout if lost else link.observe)(now_s, nbytes, seconds)
    assert 0.99 <= link.bandwidth <= 1.01e11
    assert all(np.isfinite(link.coefficients(0.0)))
    assert link.time(5000, 0.0)[1] >= 0


def test_late_replies_that_came_to_nothing_are_feared_less() -> None:
    link, fears = LinkEstimator(), []
    now_s = fly(link, bandwidth=1e6, round_trip_s=0.01, frames=100)
    for i in range(200):
        link.observe(now_s + 0.2 * i, 8000, 0.06 if i % 20 == 0 else 0.018)
        if i % 20 == 0:
            fears.append(link.slowdown)
    assert fears[0] == pytest.approx(0.06 / 0.018, rel=0.2)
    assert 1.0 < fears[-1] < 0.6 * fears[0]


def test_stops_are_over_with_the_next_answers() -> None:
    link, rng, now_s = LinkEstimator(), np.random.default_rng(3), 0.0
    for _ in range(300):
        now_s += 0.25
        link.observe(now_s, 2400, 0.044 + (rng.random() < 0.15) * rng.exponential(0.3))
    for nbytes, seconds in ((256, 0.13), (64, 0.3), (256, 0.5)):
        now_s += 0.3
        link.observe(now_s, nbytes, seconds)
    for nbytes in (256, 64, 256):
        now_s += 1.0
        link.observe(now_s, nbytes, 0.02 + nbytes / 1e5)
    assert link.time(2400, now_s)[0] < 0.2


@given(st.lists(st.tuples(st.integers(64, 10_000), st.floats(1e-3, 1.0)), min_size=1, max_size=60))
def test_no_round_trip_is_longer_than_the_last_frame_took(frames: list[tuple[int, float]]) -> None:
    link = LinkEstimator()
    for i, (nbytes, seconds) in enumerate(frames):
        link.observe(0.2 * i, nbytes, seconds)
        assert link.round_trip_s <= seconds


def test_what_is_typical_is_the_median_of_skewed_times() -> None:
    link, rng, known = LinkEstimator(), np.random.default_rng(5), []
    seconds = 0.05 * (0.9 + rng.exponential(0.3, 600))
    for i, link_s in enumerate(seconds):
        known.append((link.time(2400, 0.25 * i)[0], link.typical))
        link.observe(0.25 * i, 2400, link_s)
    leaning_s, typical = np.array(known[200:]).T
    assert np.median(leaning_s) < 0.97 * np.median(seconds)
    assert np.median(leaning_s * typical) == pytest.approx(np.median(seconds), rel=0.03)


def settled(bandwidth: float = 2e5) -> tuple[LinkEstimator, float]:
    link = LinkEstimator()
    return link, fly(link, bandwidth=bandwidth, round_trip_s=0.01, frames=50)


def seconds(nbytes: int, bandwidth: float) -> float:
    return 0.01 + nbytes / bandwidth


@pytest.mark.parametrize('bandwidth', [2e4, 1e5])
def test_link_that_is_forgotten_is_what_the_next_frame_says(bandwidth: float) -> None:
    (kept, now_s), (forgotten, _) = settled(), settled()
    changes = forgotten.changes
    forgotten.forget()
    assert forgotten.bandwidth == kept.bandwidth  # until something is known
    assert forgotten.changes == changes + 1 and forgotten.slowdown == forgotten.typical == 1.0
    for link in (kept, forgotten):
        link.observe(now_s, 20_000, seconds(20_000, bandwidth))
    assert forgotten.bandwidth == pytest.approx(bandwidth, rel=0.15)
    assert kept.bandwidth > 1.5e5 and forgotten.changes == changes + 1


def test_doubts_are_over_once_the_link_is_forgotten() -> None:
    link, now_s = settled()
    link.observe(now_s, 8000, 0.5)
    assert link.in_doubt and link.slowdown > 2.0
    link.forget()
    assert not link.in_doubt and link.slowdown == 1.0


@pytest.mark.parametrize('bandwidth, frames', [(2e6, 1), (2e4, 2)])
def test_early_frame_is_a_change_at_once_and_a_late_one_is_not(
        bandwidth: float, frames: int) -> None:
    link, now_s = settled()
    known, changes = link.bandwidth, link.changes
    for i in range(frames):
        assert link.changes == changes and link.bandwidth == pytest.approx(known, rel=0.3)
        link.observe(now_s + 0.2 * i, 20_000, seconds(20_000, bandwidth))
        assert link.in_doubt
    assert link.changes == changes + 1
    assert link.bandwidth == pytest.approx(bandwidth, rel=0.4)
    assert link.bandwidth_spread > 0.15 * link.bandwidth
    link.observe(now_s + 0.2 * frames, 20_000, seconds(20_000, link.bandwidth))
    assert not link.in_doubt and link.changes == changes + 1


@pytest.mark.parametrize('waited_s', [0.5, 1e-9, np.nan])
def test_loss_is_the_share_of_late_frames_that_never_came(waited_s: float) -> None:
    link, now_s = settled()
    assert link.loss == 0.0
    for i in range(10):
        link.observe_timeout(now_s + i, 8000, waited_s)
        assert link.loss == pytest.approx(1.0 - 0.9 ** (i + 1))
    lost = link.loss
    link.observe(now_s + 10.0, 8000, np.nan)
    assert link.loss == lost  # an answer without sense is none
    link.observe(now_s + 10.0, 8000, 0.05)
    assert link.loss == pytest.approx(0.9 * lost)


def observed(sizes: tuple[int, ...], link_s: Callable[..., Any],
             frames: int = 400) -> LinkEstimator:
    """Return a link after frames of the given sizes in turn; their times have 20 % of chance."""
    rng, link = random.Random(1), LinkEstimator()
    for i in range(frames):
        nbytes = sizes[i % len(sizes)]
        link.observe(0.1 * i, nbytes, link_s(nbytes) * (1.0 + abs(rng.gauss(0.0, 0.2))))
    return link


@pytest.mark.parametrize('sizes', [(718,), (100_000,), (64, 4096)])
def test_bandwidth_that_frames_cannot_tell_is_unknown_and_no_byte_is_free(
        sizes: tuple[int, ...]) -> None:
    link = observed(sizes, lambda nbytes: 0.002 + nbytes / 1e11)
    assert isnan(link.known_bandwidth)
    assert link.bandwidth < 3e10  # 100 KB would take a five hundredth of the 2 ms


@pytest.mark.parametrize('bandwidth', [2e4, 1e6])
def test_bandwidth_that_frames_of_different_sizes_tell_is_known(bandwidth: float) -> None:
    link = observed((64, 4096, 20_000), lambda nbytes: 0.01 + nbytes / bandwidth)
    assert link.known_bandwidth == pytest.approx(bandwidth, rel=0.3) == link.bandwidth


def test_bandwidth_is_unknown_before_the_first_frame_and_known_where_it_is_given() -> None:
    assert isnan(LinkEstimator().known_bandwidth)
    assert LinkEstimator.known(1e6, 0.01).known_bandwidth == pytest.approx(1e6)


def test_a_byte_takes_at_least_what_the_mean_of_the_frames_would_not_show() -> None:
    link = observed((64, 4096), lambda nbytes: 0.002 - 2e-7 * nbytes)  # larger ones come sooner
    assert isnan(link.known_bandwidth)
    least_s = 0.02 * link.round_trip_s / 10 / 4096  # the least noise, of a hundred frames
    assert least_s <= link.s_per_byte < 1e-6
    assert link.time(4096, 40.0)[0] > link.round_trip_s + 4095 * least_s


@pytest.mark.parametrize(('nbytes', 'link_s'), [
    (8000, np.inf), (8000, 3601.0), (8000, 1e-7), (8000, 0.0), (8000, -1.0), (8000, np.nan),
    (0, 0.05), (-1, 0.05), (1e12, 0.05), (np.inf, 0.05), (np.nan, 0.05)])
def test_a_frame_that_cannot_be_teaches_nothing(nbytes: float, link_s: float) -> None:
    (link, now_s), (same, _) = settled(), settled()
    for _ in range(3):
        link.observe(now_s, nbytes, link_s)
    assert (link.coefficients(now_s), link.count, link.changes, link.loss) == (
        same.coefficients(now_s), same.count, same.changes, same.loss)
