import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import ConfigError
from offload_perception.power.emulation.device_model import PRESETS, DeviceModel, preset


@given(st.sampled_from(sorted(PRESETS)), st.floats(0.0, 1.0))
def test_voltage_times_current_is_the_power_and_the_cable_drops_the_rest(
        name: str, load: float) -> None:
    device = preset(name)
    power_w = device.power_w(load, None)
    voltage_v, current_a = device.volts_amperes(power_w)
    assert voltage_v * current_a == pytest.approx(power_w)
    assert voltage_v == pytest.approx(device.supply_v - device.cable_ohm * current_a)


def test_power_follows_load_or_stage() -> None:
    device = DeviceModel(2.0, 6.0)
    assert [device.power_w(load, None) for load in (0.0, 0.5, 1.0)] == [2.0, 4.0, 6.0]
    assert device.power_w(1.0, 1.2) == 3.2


def test_no_more_than_the_supply_delivers() -> None:
    device = DeviceModel(2.0, 6.0)
    assert device.power_w(0.0, 1000.0) == device.deliverable_w
    assert device.volts_amperes(device.deliverable_w)[1] <= 5.0


@pytest.mark.parametrize('watts', [(-1.0, 2.0), (3.0, 2.0), (1.0, 99.0)])
def test_impossible_devices(watts: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match='full load'):
        DeviceModel(*watts)


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ConfigError, match='raspberry_pi_4b'):
        preset('toaster')
