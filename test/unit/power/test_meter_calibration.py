"""Fit, file and use of a calibration, on a scripted meter that is known to be off."""

import json
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.power.fake_meters import ScriptedMeter, WattMeter

from offload_perception.errors import MeterError
from offload_perception.power.drivers.meter_calibration import (
    CalibratedMeter,
    Calibration,
    Line,
    Load,
    fit,
    load_calibration,
    measure,
    to_json,
    true_values,
)
from offload_perception.power.drivers.power_meter import MeterSilent, PollError
from offload_perception.power.drivers.samples import Curve, Sample
from offload_perception.sealed import sealed


def load(true: str, volt: float, ampere: float) -> Load:
    read = {'voltage': volt, 'current': ampere, 'power': volt * ampere}
    return Load(true_values(true), read, 20)


# A meter that shows 2 % too much current and 10 mA more, on a supply of 5 V.
LOADS = [load('5V,0A', 5.0, 0.01), load('5V,0.5A', 5.0, 0.52), load('5V,2A', 5.0, 2.05)]


def fitted(loads: Any = LOADS) -> Calibration:
    return fit('scripted meter', '2026-11-29', loads)


def saved(tmp_path: Path, c: Calibration, **changes: Any) -> str:
    file = tmp_path / 'meter.json'
    file.write_text(json.dumps(sealed({**to_json(c), **changes})))
    return str(file)


# -- what a user states -------------------------------------------------------------------------


@pytest.mark.parametrize(('stated', 'true'), [
    ('5.1V,0.5A', {'voltage': 5.1, 'current': 0.5, 'power': 2.55}),
    ('0.5a, 5.1v', {'voltage': 5.1, 'current': 0.5, 'power': 2.55}),
    ('2.5W', {'power': 2.5}), ('12V,30W', {'voltage': 12.0, 'power': 30.0}),
    ('0W', {'power': 0.0}),
])
def test_true_values(stated: str, true: dict[str, float]) -> None:
    assert true_values(stated) == pytest.approx(true)


@pytest.mark.parametrize('stated', ['', '5V', '1A', '5', 'W', '5V,', '-1W', 'nanW', 'infW', '1e9W',
                                    '5X', '\x1b[2J'])
def test_what_does_not_say_the_power_is_refused(stated: str) -> None:
    with pytest.raises(MeterError, match=r'load .*watts'):
        true_values(stated)


@given(st.text(max_size=20))
def test_any_text_is_a_load_or_a_meter_error(stated: str) -> None:
    try:
        assert 0.0 <= true_values(stated)['power'] <= 1e12
    except MeterError as e:
        assert str(e).isprintable()


# -- the fit ------------------------------------------------------------------------------------


def test_gain_and_offset_are_found_and_residuals_said() -> None:
    found = fitted().lines
    current = found['current']
    assert (current.gain, current.offset) == pytest.approx((1 / 1.02, -0.01 / 1.02))
    assert found['power'].at(5.0 * 0.52) == pytest.approx(2.5)
    assert found['current'].residual < 1e-9
    noisy = [*LOADS, load('5V,1A', 5.0, 1.04)]  # 10 mA off the line of the others
    assert 0.001 < fitted(noisy).lines['current'].residual < 0.01


def test_loads_of_one_voltage_determine_a_gain_alone() -> None:
    volts = [load('5V,0A', 5.1, 0.0), load('5V,1A', 5.1, 1.0)]
    line = fitted(volts).lines['voltage']
    assert (line.gain, line.offset) == pytest.approx((5 / 5.1, 0.0))


@given(gain=st.floats(0.6, 1.8), offset=st.floats(-0.1, 0.1),
       true=st.lists(st.floats(0.0, 50.0), min_size=2, max_size=8))
def test_any_line_that_a_meter_may_be_off_by_is_found(gain: float, offset: float,
                                                      true: list[float]) -> None:
    true = [*true, 20.0, 0.0]
    loads = [Load({'power': w}, {'power': (w - offset) / gain}, 9) for w in true]
    line = fitted(loads).lines['power']
    assert (line.gain, line.offset) == pytest.approx((gain, offset), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(('loads', 'words'), [
    ([], '0 loads'), (LOADS[:1], '1 loads determine no calibration'),
    ([load('5V,0A', 5.0, 0.0), load('5V,1A', 5.0, 0.1)], r'current: a gain of 10 .*shunt'),
    ([load('5V,1A', 5.0, 2.0), load('5V,2A', 5.0, 1.0)], 'current: a gain of -1'),
    ([load('5V,0A', 5.0, 1.0), load('5V,1A', 5.0, 2.0)], 'offset of -1 A'),
    ([load('5V,0A', 5.0, 0.0), load('5V,1A', 5.0, 1.4), load('5V,2A', 5.0, 2.0)], 'off a line'),
    ([load('0W', 0.0, 0.0), load('0W', 0.0, 0.0)], 'a gain of 0'),
    ([Load({'power': 1.0}, {}, 9), Load({'power': 2.0}, {}, 9)], 'measured no power'),
])
def test_loads_that_make_no_calibration(loads: list[Load], words: str) -> None:
    with pytest.raises(MeterError, match=words):
        fitted(loads)


# -- measuring ----------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 1e-4)


def measured(meter: ScriptedMeter, seconds: float = 1.0) -> Load:
    clock = Clock()
    return measure(meter, {'power': 5.0}, seconds, clock=clock, sleep=clock.sleep)


def test_what_is_read_before_the_meter_has_settled_is_left_out() -> None:
    found = measured(ScriptedMeter(*[(9.0, 9.0)] * 900, (5.0, 1.0)))
    assert found.read == {'voltage': 5.0, 'current': 1.0, 'power': 5.0}
    assert found.samples == pytest.approx(1000, abs=5)


def test_what_a_meter_does_not_measure_is_left_out() -> None:
    assert measured(WattMeter((5.0, 1.0))).read == {'power': 5.0}


def test_a_single_failure_is_passed_over_and_silence_is_not() -> None:
    class Failing(ScriptedMeter):
        def read(self) -> Sample:
            sample = super().read()
            if self.t_s > wanted_s:
                raise MeterSilent('no answer')
            return sample
    wanted_s = 550.0
    assert measured(Failing((5.0, 1.0))).samples > 50
    wanted_s = 1.0
    with pytest.raises(MeterError, match=r'gave 0 samples in 1 s: no answer'):
        measured(Failing((5.0, 1.0)))


# -- the file -----------------------------------------------------------------------------------


def test_a_calibration_is_the_same_after_its_file(tmp_path: Path) -> None:
    found = load_calibration(saved(tmp_path, fitted()))
    assert found.name == 'meter.json of 2026-11-29' and found.meter == 'scripted meter'
    assert (found.lines, found.loads) == (fitted().lines, tuple(LOADS))


def test_a_calibration_that_was_damaged_on_its_way_is_refused(tmp_path: Path) -> None:
    file = Path(saved(tmp_path, fitted()))
    file.write_text(file.read_text().replace('"samples": ', '"samples": 1', 1))
    with pytest.raises(MeterError, match='not as it was written'):
        load_calibration(str(file))


def line(**changes: Any) -> dict[str, Any]:
    return {'fit': {'power': {'gain': 1.0, 'offset': 0.0, 'residual': 0.0, **changes}}}


@pytest.mark.parametrize('changes', [
    {'version': 2}, {'fit': {}}, {'fit': []}, {'fit': {'power': 3}}, {'loads': []}, {'loads': 3},
    {'loads': [{}] * 2}, line(gain=9.0), line(gain='1'), line(gain=nan), line(gain=True + 9),
    line(offset=inf), line(residual=-1.0), line(offset=10**400)])
def test_a_file_that_is_not_plausible_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r'meter\.json is no file of a calibration'):
        load_calibration(saved(tmp_path, fitted(), **changes))


@given(data=st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(
        st.sampled_from(['version', 'fit', 'loads', 'meter', 'date', 'power', 'gain']), x),
    max_leaves=20).map(lambda x: json.dumps(x).encode())))
def test_any_file_is_a_calibration_or_refused(data: bytes,
                                              tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp('c') / 'c.json'
    file.write_bytes(data)
    with pytest.raises(MeterError, match='calibrate_meter'):
        load_calibration(str(file))


def test_a_file_that_is_missing_or_huge(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match='No such file'):
        load_calibration(str(tmp_path / 'no'))
    (tmp_path / 'huge').write_text(' ' * 100_000)
    with pytest.raises(MeterError, match='longer than 65536'):
        load_calibration(str(tmp_path / 'huge'))


# -- use ----------------------------------------------------------------------------------------


def test_a_calibrated_meter_gives_true_values_and_names_its_calibration() -> None:
    meter = CalibratedMeter(ScriptedMeter((5.0, 0.52)), fitted())
    sample = meter.read()
    assert (sample.voltage_v, sample.current_a, sample.power_w) == pytest.approx((5.0, 0.5, 2.5))
    assert (meter.description, meter.rate_hz) == ('scripted meter', 1000.0)
    assert meter.calibration == 'calibration' and not ScriptedMeter((5.0, 1.0)).calibration


def test_the_samples_of_a_fast_meter_are_calibrated_too() -> None:
    c = Calibration('m', '', (), {'power': Line(2.0, 1.0, 0.0)})
    sample = c.apply(Sample(0.0, nan, nan, 3.0, curve=Curve(np.arange(2.0), np.array([2.0, 4.0]))))
    assert sample.power_w == 7.0 and isnan(sample.voltage_v)
    assert sample.curve.powers_w.tolist() == [5.0, 9.0]


def test_the_calibration_of_another_meter_is_refused() -> None:
    other = fit('UM25C /dev/rfcomm0', '2026-11-29', LOADS)
    with pytest.raises(MeterError, match='is of UM25C /dev/rfcomm0, and this is scripted meter'):
        CalibratedMeter(ScriptedMeter((5.0, 1.0)), other)


def test_a_failure_passes_through() -> None:
    class Silent(ScriptedMeter):
        def read(self) -> Sample:
            raise MeterSilent('no answer')
    with pytest.raises(PollError):
        CalibratedMeter(Silent((5.0, 1.0)), fitted()).read()
