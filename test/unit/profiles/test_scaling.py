import numpy as np
import pytest

from offload_perception.errors import PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.profiles.device_profile import DeviceProfile
from offload_perception.profiles.scaling import scaled


def test_estimate_says_what_it_is(shape: NetworkShape, coral: DeviceProfile) -> None:
    guess = scaled(coral, shape, NetworkShape.preset('vgg16'))
    assert not guess.measured
    assert 'scaled estimate' in guess.origin
    assert (guess.head_spread_s[1:] >= 0.4 * guess.head_s[1:]).all()


def test_more_work_takes_longer_and_speed_divides(shape: NetworkShape,
                                                  coral: DeviceProfile) -> None:
    vgg16 = NetworkShape.preset('vgg16')
    slow, fast = (scaled(coral, shape, vgg16, speed=speed) for speed in (1.0, 4.0))
    assert (np.diff(slow.head_s) >= 0).all()
    assert slow.head_s[-1] > coral.head_s[-1]
    np.testing.assert_allclose(slow.head_s, 4 * fast.head_s)


def test_same_network_ends_at_the_measured_total(shape: NetworkShape,
                                                 coral: DeviceProfile) -> None:
    again = scaled(coral, shape, shape)
    assert again.head_s[-1] == pytest.approx(coral.head_s[-1])


def test_profile_of_another_network_is_refused(coral: DeviceProfile) -> None:
    vgg16 = NetworkShape.preset('vgg16')
    with pytest.raises(PlanError):
        scaled(coral, vgg16, vgg16)


def test_idle_power_is_taken_off_once(coral: DeviceProfile, shape: NetworkShape) -> None:
    assert coral.energy_baseline == 'whole run'
    twice = scaled(coral, shape, shape, speed=2.0)
    np.testing.assert_allclose(twice.head_j[[3, 14, 17]], coral.head_j[[3, 14, 17]] / 2)


def test_less_work_than_the_first_layer_costs_its_share_of_it(shape: NetworkShape,
                                                              coral: DeviceProfile) -> None:
    small = NetworkShape.preset('aerial')
    guess = scaled(coral, shape, small)
    share = small.head_macs[-1] / shape.head_macs[1]
    assert 0 < share < 1
    assert guess.head_s[-1] == pytest.approx(share * coral.head_s[1])
    assert guess.head_j[-1] == pytest.approx(share * coral.head_j[1])
    np.testing.assert_allclose(guess.head_s, guess.head_s[-1] * small.head_macs
                               / small.head_macs[-1])
