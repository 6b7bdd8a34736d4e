"""The command, on a fake sensor whose load changes when Enter is pressed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from unit.power.fake_meters import FakePower

from offload_perception.cli import calibrate_meter
from offload_perception.power.drivers.meter_calibration import (
    SETTLE_S,
    Load,
    load_calibration,
    measure,
)


@pytest.fixture
def sensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the milliamperes that an INA219 shows after each Enter; no time passes."""
    fake, shown = FakePower(tmp_path), []
    fake.hwmon(0, 'ina219', in1_input=5000, curr1_input=0)

    def enter(prompt: str) -> str:
        print(prompt)
        fake.write('class/hwmon/hwmon0/curr1_input', shown.pop(0))
        return ''

    def at_once(meter: Any, true: Any, seconds: float) -> Load:
        now_s = [0.0]

        def sleep(_: float) -> None:
            now_s[0] += (SETTLE_S + seconds) / 20
        return measure(meter, true, seconds, clock=lambda: now_s[0], sleep=sleep)
    monkeypatch.setattr(calibrate_meter._measured, '__defaults__', (enter,))
    monkeypatch.setattr(calibrate_meter, 'measure', at_once)
    return shown


def run(tmp_path: Path, *loads: str, source: str = 'hwmon:ina219', seconds: str = '10') -> int:
    options = [x for load in loads for x in ('--load', load)]
    return calibrate_meter.main([source, *options, '-o', str(tmp_path / 'c.json'),
                                 '--sysfs', str(tmp_path), '--seconds', seconds])


def test_known_loads_become_a_file(sensor: list[int], tmp_path: Path,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    sensor += [10, 520, 2050]
    assert run(tmp_path, '5V,0A', '5V,0.5A', '5V,2A') == 0
    said = capsys.readouterr().out
    assert 'Set the load to 5V,0.5A' in said and '| current |' in said and 'residual' in said
    found = load_calibration(str(tmp_path / 'c.json'))
    assert found.meter == 'hwmon ina219/1' and len(found.date) == 10
    assert found.lines['current'].at(0.52) == pytest.approx(0.5)
    assert json.loads((tmp_path / 'c.json').read_text())['loads'][1]['read']['current'] == 0.52


@pytest.mark.parametrize(('loads', 'options', 'words'), [
    (('5V,1A',), {}, '--load was given 1 times'), ((), {}, 'given 0 times'),
    (('5V', '5V,1A'), {}, 'does not say its power'),
    (('5V,0A', '5V,1A'), {'seconds': 'nan'}, '--seconds'),
    (('5V,0A', '5V,1A'), {'source': 'hwmon:ina226'}, 'found on this computer: .*hwmon:ina219/1'),
    (('5V,0A', '5V,1A'), {'source': 'topic:/power'}, 'power_node'),
    (('5V,0A', '5V,1A'), {}, 'a gain of 10'),
])
def test_a_wrong_call_is_refused_and_writes_nothing(
        loads: tuple[str, ...], options: dict[str, str], words: str, sensor: list[int],
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sensor += [0, 100]
    assert run(tmp_path, *loads, **options) == 2
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / 'c.json').exists()


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for output in (tmp_path, tmp_path / 'no' / 'c.json'):
        assert calibrate_meter.main(['hwmon:x', '--load', '1W', '--load', '2W', '-o',
                                     str(output)]) == 2
        assert 'cannot be written' in capsys.readouterr().err


def test_without_a_terminal_it_says_so(sensor: list[int], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    def ended(prompt: str) -> str:
        raise EOFError
    monkeypatch.setattr(calibrate_meter._measured, '__defaults__', (ended,))
    assert run(tmp_path, '5V,0A', '5V,1A') == 2
    assert 'no terminal' in capsys.readouterr().err
