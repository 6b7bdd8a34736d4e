from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from offload_perception.errors import DeviceError
from offload_perception.profiles.device_profile import CutCost, DeviceProfile, Radio
from offload_perception.runtime.emulated import EmulatedNetwork
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.tensor import Tensors

ONE = (np.ones((), np.int8),)


class Quick:
    """A network that takes no time at all."""

    artefact = choice = None
    ran = 'litert'
    closed = False

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        return (xs[0] + 1,)

    def close(self) -> None:
        self.closed = True


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def slow() -> tuple[EmulatedNetwork, Time, list[float]]:
    cuts = (CutCost('input', 0.0, energy_j=0.0), CutCost('a', 2.0, energy_j=6.0),
            CutCost('b', 3.0, energy_j=8.0), CutCost('c', 0.0, fits=False))
    profile = DeviceProfile('slow', 'net', '', 'Slow Pi', 'litert', 'test', 'test', True, False,
                            1.9, 3.0, Radio(1.0), cuts)
    clock, powers = Time(), []
    network = EmulatedNetwork(cast(LoadedNetwork, Quick()), profile, powers.append, clock=clock,
                              wait=clock.wait)
    return network, clock, powers


def test_layers_take_the_time_and_power_of_the_profile(
        slow: tuple[EmulatedNetwork, Time, list[float]]) -> None:
    network, clock, powers = slow
    assert network.run(1, 1, ONE)[0] == 2
    assert clock.now_s == pytest.approx(2.0)
    network.run(2, 2, ONE)
    assert clock.now_s == pytest.approx(3.0)
    assert powers == [0.0, 3.0, 0.0, 2.0, 0.0]


def test_the_radio_draws_from_the_sending_of_a_frame_to_its_end_beside_the_layers(
        slow: tuple[EmulatedNetwork, Time, list[float]]) -> None:
    network, clock, powers = slow
    network.sent(1, 1000)
    network.sent(2, 1000)
    network.run(1, 1, ONE)
    network.ended(1)
    network.ended(7)  # was never sent
    network.ended(2)
    assert powers == [0.0, 1.0, 1.0, 4.0, 1.0, 1.0, 0.0]
    network.sent(3, 1000)
    clock.now_s += 60.0  # its end was lost
    network.run(1, 1, ONE)
    assert powers[-2:] == [3.0, 0.0]


def test_the_radio_draws_for_each_byte_and_has_a_tail(
        slow: tuple[EmulatedNetwork, Time, list[float]]) -> None:
    network, clock, powers = slow
    due: list[tuple[float, Callable[[], None]]] = []
    network = EmulatedNetwork(
        cast(LoadedNetwork, Quick()),
        replace(network.profile, radio=Radio(1.0, 2e-4, '', 0.5, 3.0)), powers.append,
        clock=clock, wait=clock.wait,
        later=lambda seconds, call: due.append((clock.now_s + seconds, call)))

    def until(end_s: float) -> float:
        """Let the time go on; return the joules."""
        joules = 0.0
        for at_s, call in sorted((d for d in due if d[0] <= end_s), key=lambda d: d[0]):
            joules += powers[-1] * (at_s - clock.now_s)
            clock.now_s = at_s
            call()
        due[:] = [d for d in due if d[0] > end_s]
        joules += powers[-1] * (end_s - clock.now_s)
        clock.now_s = end_s
        return joules

    network.sent(1, 1000)
    assert until(0.5) == pytest.approx(1.0 * 0.5 + 0.2)
    network.ended(1)
    assert until(2.0) == pytest.approx(0.5 * 1.5)
    network.sent(2, 2000)
    network.sent(3, 1000)
    assert until(2.5) == pytest.approx(1.0 * 0.5 + 0.6)
    network.ended(2)
    network.ended(3)
    assert until(10.0) == pytest.approx(0.5 * 3.0)
    network.sent(4, 1000)
    network.close()
    until(20.0)
    assert np.isnan(powers[-1])


def test_every_frame_says_that_it_was_emulated(
        slow: tuple[EmulatedNetwork, Time, list[float]]) -> None:
    network, _, _ = slow
    network.run(1, 2, ONE)
    assert network.ran_on == 'emulated slow'
    assert network.times[0].seconds == pytest.approx(3.0)


def test_what_does_not_fit_is_refused(slow: tuple[EmulatedNetwork, Time, list[float]]) -> None:
    network, _, _ = slow
    with pytest.raises(DeviceError, match='does not fit'):
        network.run(1, 3, ONE)


def test_the_end_of_the_emulation_is_reported(
        slow: tuple[EmulatedNetwork, Time, list[float]]) -> None:
    network, _, powers = slow
    network.close()
    assert np.isnan(powers[-1]) and cast(Quick, network._network).closed
