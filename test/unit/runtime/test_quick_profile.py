from typing import Any, cast

import pytest

from offload_perception.edgetpu.mapping import CompileReport, LayerReport
from offload_perception.network.shape import NetworkShape
from offload_perception.runtime import quick_profile
from offload_perception.runtime.loaded_network import LayersTime, LoadedNetwork


class Timed:
    """A network whose layers take 1, 2, 3 ... ms; the first two run as one part."""

    def __init__(self, last: int) -> None:
        self.times = (LayersTime(1, 2, 0.003, 'litert', 'cpu'),
                      *(LayersTime(k, k, k / 1e3, 'litert', 'cpu') for k in range(3, last + 1)))

    def warm_up(self, runs: int = 2) -> None:
        pass


def timed(last: int) -> LoadedNetwork:
    return cast(LoadedNetwork, Timed(last))


@pytest.fixture
def shape() -> Any:
    return NetworkShape.preset('aerial')


def measured(shape: Any, **options: Any) -> Any:
    return quick_profile.measure(timed(shape.last), shape, runtime='litert', device='cpu',
                         active_w=2.0, sending_w=1.0, **options)


def test_heads_add_up_and_energies_follow_from_the_power(shape: NetworkShape) -> None:
    profile = measured(shape)
    assert profile.head_s[[0, 2, 3]] == pytest.approx([0.0, 0.003, 0.006])
    assert profile.head_s[1] == pytest.approx(0.0015), 'a part of two layers is shared out'
    assert profile.head_j == pytest.approx(2.0 * profile.head_s)
    assert not profile.measured and 'not metered' in profile.origin


def test_powers_that_are_not_configured_are_those_of_a_named_device(shape: NetworkShape) -> None:
    profile = quick_profile.measure(timed(shape.last), shape, runtime='litert', device='cpu',
                            active_w=-1.0, sending_w=-1.0)
    assert profile.active_w > 0.0 and quick_profile.POWER_OF in profile.source


def test_an_edge_tpu_report_tells_what_is_streamed(shape: NetworkShape) -> None:
    layers = tuple(LayerReport(name, 1, 0, 100, 10 if k > 3 else 0, 0)
                   for k, name in enumerate(shape.names[1:], 1))
    profile = measured(shape, compiled=CompileReport('', True, None, layers))
    assert profile.cuts[3].off_chip_bytes == 0 and profile.cuts[5].off_chip_bytes == 20
    assert profile.cuts[5].on_chip_bytes == 500
