"""Every kind of meter, on a fake /sys: what it gives, and what it says of what is not there."""

from collections.abc import Callable
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.power.fake_meters import FakePower

from offload_perception.errors import MeterError
from offload_perception.power.drivers import rapl
from offload_perception.power.drivers.power_meter import (
    Cancelled,
    LinkLost,
    PowerMeter,
    ReadingRefused,
)
from offload_perception.power.drivers.power_sources import KINDS, found, open_power_source, parse
from offload_perception.power.energy.frame_energy import REGRESSION, TRAPEZOID


@pytest.fixture
def fake(tmp_path: Path) -> FakePower:
    return FakePower(tmp_path)


def values(meter: PowerMeter) -> Any:
    sample = meter.read()
    assert not sample.emulated and not sample.repeated
    return pytest.approx((sample.voltage_v, sample.current_a, sample.power_w), nan_ok=True)


# -- the text -----------------------------------------------------------------------------------


@given(st.one_of(st.text(), st.builds('{}:{}'.format, st.sampled_from([k.name for k in KINDS]),
                                      st.text())))
def test_any_text_is_a_source_or_an_error_that_lists_them(text: str) -> None:
    try:
        kind, argument = parse(text)
    except MeterError as e:
        assert str(e).isprintable() and 'hwmon:CHIP/RAIL' in str(e)
    else:
        assert f'{kind.name}:{argument}' == text


@given(st.text(max_size=30).filter(lambda text: '\0' not in text))
def test_no_argument_of_a_sysfs_meter_ends_otherwise_than_in_a_meter_error(text: str) -> None:
    for name in ('hwmon', 'power_supply', 'rapl'):
        with pytest.raises(MeterError):
            open_power_source(f'{name}:{text}', Path('/nothing/here'))


@pytest.mark.parametrize('text', ['', 'um25c', 'ina219', 'HWMON:x', 'hwmon:\n',
                                  'hwmon:' + 'x' * 500])
def test_a_text_that_names_no_meter(text: str) -> None:
    with pytest.raises(MeterError, match=r'names no power meter.*monsoon:SERIAL.*topic:TOPIC'):
        open_power_source(text)


def test_a_topic_is_for_the_node() -> None:
    with pytest.raises(MeterError, match='power_node'):
        open_power_source('topic:/bench/power')


def test_what_is_found_is_named_where_a_source_is_wrong(fake: FakePower) -> None:
    fake.jetson()
    fake.supply('BAT0', type='Battery', power_now=7_000_000)
    fake.supply('AC', type='Mains', online=1)
    fake.rapl('intel-rapl:0', 'package-0', 0)
    with pytest.raises(MeterError, match=r'hwmon:ina219: .*no such rail') as error:
        open_power_source('hwmon:ina219', fake.root)
    for source in ('hwmon:ina3221/VDD_IN', 'hwmon:ina3221/VDD_SOC', 'hwmon:ina3221/4',
                   'power_supply:BAT0', 'rapl:package-0'):
        assert source in str(error.value)
        open_power_source(source, fake.root)
    assert 'AC' not in found(fake.root)


def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(MeterError, match=r'um25c:/dev/no_such: .*rfcomm'):
        open_power_source('um25c:/dev/no_such')


# -- hwmon --------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['ina3221/VDD_IN', 'ina3221/1', 'hwmon1/in1', 'ina3221/curr1'])
def test_a_rail_of_a_jetson(fake: FakePower, name: str) -> None:
    fake.jetson()
    meter = open_power_source(f'hwmon:{name}', fake.root)
    assert values(meter) == (5.08, 1.24, 5.08 * 1.24)
    assert meter.description == 'hwmon ina3221/VDD_IN' and meter.attribution == TRAPEZOID


def test_the_drop_over_a_shunt_is_no_voltage_of_a_rail(fake: FakePower) -> None:
    fake.jetson()
    assert (nan, 1.864, nan) == values(open_power_source('hwmon:ina3221/4', fake.root))


def test_the_only_rail_of_a_chip_needs_no_name_and_its_own_power_counts(fake: FakePower) -> None:
    fake.hwmon(0, 'ina219', in0_input=12, in1_input=5000, curr1_input=-500, power1_input=2_480_000)
    assert values(open_power_source('hwmon:ina219', fake.root)) == (5.0, -0.5, 2.48)


def test_a_power_without_volts_and_amperes(fake: FakePower) -> None:
    fake.hwmon(0, 'amdgpu', power1_label='PPT', power1_average=9_250_000)
    assert (nan, nan, 9.25) == values(open_power_source('hwmon:amdgpu/PPT', fake.root))


def test_two_chips_of_one_name_are_told_apart_by_their_folders(fake: FakePower) -> None:
    for number, milliamps in ((3, 100), (12, 200)):
        fake.hwmon(number, 'ina219', in1_input=5000, curr1_input=milliamps)
    with pytest.raises(MeterError, match='2 rails; name one of hwmon:hwmon3/1, hwmon:hwmon12/1'):
        open_power_source('hwmon:ina219/1', fake.root)
    assert values(open_power_source('hwmon:hwmon12/1', fake.root)) == (5.0, 0.2, 1.0)


def test_a_sensor_that_goes_or_lies(fake: FakePower) -> None:
    folder = fake.jetson()
    meter = open_power_source('hwmon:ina3221/VDD_IN', fake.root)
    (folder / 'curr1_input').write_text('2147483647')
    with pytest.raises(ReadingRefused, match='curr1_input out of range') as refused:
        meter.read()
    assert refused.value.kind == 'refused: curr1_input out of range'
    (folder / 'curr1_input').unlink()
    with pytest.raises(LinkLost, match='curr1_input: there is no such file'):
        meter.read()


# -- power_supply -------------------------------------------------------------------------------


@pytest.mark.parametrize(('files', 'seen'), [
    ({'status': 'Discharging', 'current_now': -1_500_000}, (12.0, 1.5, 18.0)),
    ({'status': 'Discharging', 'current_now': 1_500_000}, (12.0, 1.5, 18.0)),
    ({'status': 'Discharging', 'power_now': 17_500_000}, (12.0, nan, 17.5)),
    ({'status': 'Charging', 'current_now': 1_500_000}, (12.0, nan, nan)),
    ({'status': 'Charging', 'current_now': -1_500_000}, (12.0, nan, nan)),
    ({'status': 'Full', 'power_now': 0}, (12.0, nan, nan)),
    ({'status': 'Not charging', 'current_now': 10}, (12.0, nan, nan)),
    ({'status': 'Unknown', 'current_now': -1_500_000}, (12.0, 1.5, 18.0)),
    ({'status': 'Unknown', 'current_now': 1_500_000}, (12.0, nan, nan)),
    ({'current_now': -1_500_000}, (12.0, 1.5, 18.0)),
])
def test_a_battery_tells_what_is_drawn_only_while_it_discharges(
        fake: FakePower, files: dict[str, Any], seen: tuple[float, ...]) -> None:
    fake.supply('BAT0', type='Battery', voltage_now=12_000_000, **files)
    meter = open_power_source('power_supply:BAT0', fake.root)
    assert seen == values(meter)
    assert meter.attribution == REGRESSION


def test_a_usb_supply_gives_its_current_as_it_is(fake: FakePower) -> None:
    fake.supply('ucsi0', type='USB', voltage_now=5_000_000, current_now=3_000_000)
    assert values(open_power_source('power_supply:ucsi0', fake.root)) == (5.0, 3.0, 15.0)


@pytest.mark.parametrize('name', ['AC', '../BAT0', ''])
def test_a_supply_that_tells_no_power_is_none(fake: FakePower, name: str) -> None:
    fake.supply('AC', type='Mains', online=1)
    with pytest.raises(MeterError, match='gives its current or power'):
        open_power_source(f'power_supply:{name}', fake.root)


# -- RAPL ---------------------------------------------------------------------------------------


def zone(fake: FakePower, times_s: list[float], *counts_uj: int,
         range_uj: int = 1000_000) -> Callable[[], Any]:
    """Return what gives the sample of each next count."""
    file = fake.rapl('intel-rapl:0', 'package-0', counts_uj[0], range_uj)
    now, rest = iter(times_s), iter(counts_uj[1:])
    meter = rapl.RaplMeter('package-0', file.parent, clock=lambda: next(now))

    def sample() -> Any:
        file.write_text(f'{next(rest)}\n')
        return meter.read()
    return sample


def test_watts_are_the_growth_of_the_counter_over_its_time(fake: FakePower) -> None:
    sample = zone(fake, [10.0, 10.5, 10.5, 11.0, 11.0], 100, 500_100, 500_100)
    first, second = sample(), sample()
    assert (first.t_s, first.power_w) == (10.25, 1.0) and isnan(first.voltage_v)
    assert (second.t_s, second.power_w) == (10.75, 0.0) and isnan(second.current_a)


def test_the_counter_starts_again_after_its_range(fake: FakePower) -> None:
    sample = zone(fake, [0.0, 1.0, 1.0], 900_000, 150_000)
    assert sample().power_w == pytest.approx(0.25)


def test_a_counter_that_went_back_is_refused_once(fake: FakePower) -> None:
    sample = zone(fake, [0.0, 1.0, 1.0, 2.0, 2.0], 10**9, 10**6, 3 * 10**6, range_uj=10**12)
    with pytest.raises(ReadingRefused, match='ran backwards'):
        sample()
    assert sample().power_w == 2.0


@given(counts=st.lists(st.integers(0, 2**40), min_size=2, max_size=10),
       range_uj=st.integers(1, 2**40))
def test_whatever_the_counter_does_power_is_finite_and_never_negative(
        counts: list[int], range_uj: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    fake = FakePower(tmp_path_factory.mktemp('sys'))
    sample = zone(fake, [n / 2 for n in range(2 * len(counts))], *counts, range_uj=range_uj)
    for _ in counts[1:]:
        try:
            assert 0.0 <= sample().power_w <= rapl.MAX_POWER_W
        except ReadingRefused as e:
            assert e.reason == 'the counter ran backwards'


def test_a_subzone_is_named_after_its_zone_and_each_counter_comes_once(fake: FakePower) -> None:
    fake.rapl('intel-rapl:0', 'package-0', 1)
    fake.rapl('intel-rapl:0:0', 'core', 1)
    fake.rapl('intel-rapl:1', 'package-1', 1)
    fake.rapl('intel-rapl:1:0', 'core', 1)
    fake.rapl('intel-rapl-mmio:0', 'package-0', 1)
    assert [name for name, _ in rapl.zones(fake.root)] == [
        'package-0', 'package-0/core', 'package-1', 'package-1/core']
    assert open_power_source('rapl:package-1/core', fake.root).description == 'RAPL package-1/core'


def test_a_counter_that_only_root_may_read_says_what_to_do(
        fake: FakePower, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = fake.rapl('intel-rapl:0', 'package-0', 1)
    usual = Path.open

    def guarded(path: Path, *rest: Any) -> Any:
        if path == counter:
            raise PermissionError(13, 'Permission denied')
        return usual(path, *rest)
    monkeypatch.setattr(Path, 'open', guarded)
    with pytest.raises(MeterError, match=r'only root.*sudo chmod a\+r .*energy_uj'):
        open_power_source('rapl:package-0', fake.root)


def test_a_wait_for_the_next_count_ends_when_the_meter_is_closed(fake: FakePower) -> None:
    fake.rapl('intel-rapl:0', 'package-0', 1)
    meter = open_power_source('rapl:package-0', fake.root)
    assert meter.read().power_w == 0.0
    meter.cancel()
    with pytest.raises(Cancelled):
        meter.read()
