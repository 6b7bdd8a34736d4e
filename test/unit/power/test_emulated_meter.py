from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.power.drivers import commands
from offload_perception.power.drivers.plausibility import implausible
from offload_perception.power.drivers.um25c import (
    MODELS,
    UM24C,
    UM25C,
    Model,
    decode,
    tail_is_right,
)
from offload_perception.power.emulation.device_model import DeviceModel
from offload_perception.power.emulation.emulator import EmulatedMeter

DEVICE = DeviceModel(2.0, 6.0)


def meter(model: Model = UM25C, device: DeviceModel = DEVICE) -> EmulatedMeter:
    return EmulatedMeter(model, device, 100.0)


@given(st.sampled_from(list(MODELS.values())), st.floats(0.0, 12.0), st.floats(0.0, 100.0))
def test_every_frame_is_sound(model: Model, extra_w: float, passed_s: float) -> None:
    m = meter(model)
    m.run_stage('head', extra_w, 100.0)
    m.advance(100.0 + passed_s)
    frame = m.frame()
    assert tail_is_right(frame)
    assert replace(decode(frame), tail=m.reading().tail) == m.reading()
    assert implausible(m.reading()) is None


def test_values_change_only_at_the_refresh() -> None:
    m = meter()
    m.run_stage('head', 4.0, 100.0)
    m.advance(100.49)
    assert m.reading().power_w == pytest.approx(2.0, abs=0.01)
    m.advance(100.5)
    assert m.reading().power_w == pytest.approx(6.0, abs=0.01)


def test_values_are_means_over_the_refresh_period() -> None:
    m = meter()
    m.run_stage('head', 4.0, 100.1)
    m.run_stage('', None, 100.2)
    m.advance(100.5)
    assert m.reading().power_w == pytest.approx(2.0 + 4.0 * 0.1 / 0.5, abs=0.01)


def test_counters_add_up_the_energy() -> None:
    m = meter()
    m.set_load(1.0, 100.0)
    m.advance(3700.0)
    assert m.energy_j == pytest.approx(6.0 * 3600)
    assert m.reading().groups[0].energy_mwh == 6000
    assert m.reading().recorded.energy_mwh == 6000
    assert m.reading().recorded_time_s == 3600


def test_nothing_is_recorded_below_the_threshold() -> None:
    m = meter(device=DeviceModel(0.5, 6.0))
    m.execute(commands.set_record_threshold(0.30))
    m.advance(3700.0)
    assert m.reading().recorded.energy_mwh == 0
    assert m.reading().groups[0].energy_mwh == 500


def test_open_circuit() -> None:
    m = meter(device=DeviceModel(0.0, 1.0))
    m.advance(101.0)
    assert (m.reading().power_w, m.reading().resistance_ohm) == (0.0, 9999.9)


def test_commands() -> None:
    m = meter()
    for command in (commands.NEXT_SCREEN, commands.NEXT_SCREEN, commands.previous_screen(UM25C),
                    commands.set_backlight(2), commands.set_screen_timeout(9),
                    commands.select_data_group(UM25C, 3), commands.set_record_threshold(0.25),
                    b'\x00'):
        m.execute(command)
    r = m.reading()
    assert (r.screen, r.backlight, r.screen_timeout_min) == (1, 2, 9)
    assert (r.data_group, r.record_threshold_a) == (3, 0.25)


def test_clear_clears_the_selected_group_alone() -> None:
    m = meter()
    m.advance(3700.0)
    m.execute(commands.select_data_group(UM25C, 1))
    m.advance(7300.0)
    m.execute(commands.CLEAR_DATA_GROUP)
    assert [g.energy_mwh for g in m.reading().groups[:2]] == [2000, 0]


def test_um24c_advances_its_group() -> None:
    m = meter(UM24C)
    m.execute(commands.next_data_group(UM24C))
    assert (m.reading().data_group, m.reading().screen) == (1, 0)
