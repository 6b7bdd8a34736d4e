import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.head import HeadEstimator
from offload_perception.profiles.device_profile import DeviceProfile


def fly(head: HeadEstimator, coral: DeviceProfile, factor: float, cuts: tuple[int, ...],
        frames: int) -> None:
    for i in range(frames):
        cut = cuts[i % len(cuts)]
        head.observe(cut, factor * coral.head_s[cut])


def test_starts_with_the_profile(coral: DeviceProfile) -> None:
    seconds, variance = HeadEstimator(coral).times()
    np.testing.assert_allclose(seconds, coral.head_s)
    assert (variance[1:] > 0).all()


def test_throttling_seen_at_one_cut_is_expected_of_all(coral: DeviceProfile) -> None:
    head = HeadEstimator(coral)
    fly(head, coral, 1.0, (6, 14), 40)
    fly(head, coral, 2.0, (6,), 3)
    np.testing.assert_allclose(head.times()[0], 2.0 * coral.head_s, rtol=0.15)
    assert head.slowdown == pytest.approx(2.0, rel=0.1)


def test_slow_drift_is_followed(coral: DeviceProfile) -> None:
    head = HeadEstimator(coral)
    for factor in np.linspace(1.0, 1.5, 200):
        head.observe(14, factor * coral.head_s[14])
    assert head.times()[0][14] == pytest.approx(1.5 * coral.head_s[14], rel=0.05)


def test_deviation_of_one_cut_stays_with_it(coral: DeviceProfile) -> None:
    head = HeadEstimator(coral)
    for _ in range(300):
        head.observe(6, 1.3 * coral.head_s[6])
        for cut in (3, 10, 14):
            head.observe(cut, coral.head_s[cut])
    seconds = head.times()[0]
    assert seconds[6] == pytest.approx(1.3 * coral.head_s[6], rel=0.1)
    assert seconds[14] == pytest.approx(coral.head_s[14], rel=0.1)


def test_energy_follows_the_meter_only(coral: DeviceProfile) -> None:
    head = HeadEstimator(coral)
    fly(head, coral, 2.0, (14,), 20)
    np.testing.assert_allclose(head.energies()[0], coral.head_j)
    for _ in range(20):
        head.observe_energy(14, 1.5 * coral.head_j[14])
    np.testing.assert_allclose(head.energies()[0], 1.5 * coral.head_j, rtol=0.05)


def test_layers_that_do_not_fit_never_do(pi: DeviceProfile) -> None:
    head = HeadEstimator(pi)
    head.observe(17, 1.0)
    assert np.isinf(head.times()[0][15:]).all()
    assert head.slowdown == 1.0


@given(st.lists(st.tuples(st.integers(-5, 30), st.floats(allow_nan=True)), max_size=40))
def test_nothing_that_is_fed_breaks_it(frames: list[tuple[int, float]]) -> None:
    from offload_perception.profiles import device_profile as profiles

    head = HeadEstimator(profiles.load('raspberry_pi_3b_plus_coral'))
    for cut, seconds in frames:
        head.observe(cut, seconds)
        head.observe_energy(cut, seconds)
    assert np.isfinite(head.times()).all() and np.isfinite(head.energies()).all()


def test_energy_of_what_does_not_fit_teaches_nothing(pi: DeviceProfile) -> None:
    head = HeadEstimator(pi)
    for energy_j in (5.0, np.inf, np.nan):
        head.observe_energy(17, energy_j)
    np.testing.assert_allclose(head.energies()[0][:15], pi.head_j[:15])


@pytest.mark.parametrize(('factor', 'limit'), [(1e4, 5.0), (1e-4, 0.2)])
def test_a_cut_is_never_corrected_into_another_network(coral: DeviceProfile, factor: float,
                                                       limit: float) -> None:
    head = HeadEstimator(coral)
    for _ in range(300):
        head.observe(6, factor * coral.head_s[6])
        for cut in (3, 10, 14):
            head.observe(cut, coral.head_s[cut])
    assert head.times()[0][6] == pytest.approx(limit * head.slowdown * coral.head_s[6])


def test_variance_is_that_of_the_speed_and_before_any_frame_that_of_the_profile_too(
        coral: DeviceProfile) -> None:
    head = HeadEstimator(coral)
    np.testing.assert_allclose(head.times()[1],
                               (0.1 * coral.head_s) ** 2 + coral.head_spread_s ** 2)
    fly(head, coral, 2.0, (6, 10), 12)
    seconds, variance = head.times()
    level, spread = head._speed.level, head._speed.spread
    assert level > 1.5 and spread > 0.01
    np.testing.assert_allclose(variance, (seconds * spread / level) ** 2)


def test_variance_of_energies_is_that_of_the_profile_and_of_the_factor(
        coral: DeviceProfile) -> None:
    head = HeadEstimator(coral)
    for factor in (1.5, 1.3, 1.4):
        head.observe_energy(14, factor * coral.head_j[14])
    level, spread = head._energy.level, head._energy.spread
    assert level > 1.2 and spread > 0.01
    np.testing.assert_allclose(head.energies()[1], (level * coral.head_spread_j) ** 2
                               + (spread * coral.head_j) ** 2)
