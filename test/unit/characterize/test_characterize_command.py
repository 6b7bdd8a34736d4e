import json
from dataclasses import replace
from pathlib import Path

import pytest
from unit.characterize.characterize_fakes import FakeLog, FakeMeter, FakeRuns

from offload_perception.characterize import measurement
from offload_perception.characterize.host import decode_throttled
from offload_perception.characterize.job import DoesNotFitError
from offload_perception.characterize.radio import RadioFit, Schedule
from offload_perception.cli import characterize
from offload_perception.errors import DeviceError
from offload_perception.network.artefact import Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.profiles.device_profile import RADIOS, Radio, load


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    """Nothing is measured, and nothing waited for."""
    fake = FakeRuns()
    monkeypatch.setattr(measurement, 'run_job', fake)
    monkeypatch.setattr(measurement, 'sleep', lambda s: None)
    return fake


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> FakeMeter:
    fake = FakeMeter()
    monkeypatch.setattr(characterize, 'open_meter', fake)
    return fake


def run(artefact: Artefact, folder: Path, *more: str) -> int:
    return characterize.main(['--model', str(artefact.path), '--backends', 'int8', '--out',
                              str(folder), '--no-figures', *more])


def test_a_run_leaves_table_profile_and_metadata(artefact: Artefact, tmp_path: Path,
                                                 runs: FakeRuns, meter: FakeMeter,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert run(artefact, tmp_path) == 0
    assert runs.cuts == list(range(1, artefact.last + 1))
    profile = load(tmp_path / 'profile_int8.json').check_for(NetworkShape.of(artefact))
    assert profile.emulated and profile.source == 'fake meter'
    assert profile.head_j[1] == pytest.approx(0.03)
    record = json.loads((tmp_path / 'run.json').read_text())
    assert record['settings']['digest'] == artefact.digest
    assert record['sessions'][0]['host']['packages']['numpy']
    assert len((tmp_path / 'prefixes.csv').read_text().splitlines()) == 1 + artefact.last
    assert '| int8    | time ' in capsys.readouterr().out


def test_an_interrupted_run_goes_on(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                                    meter: FakeMeter, capsys: pytest.CaptureFixture[str]) -> None:
    runs.fail_at, runs.error = 5, DeviceError('pulled out')
    assert run(artefact, tmp_path) == 2
    assert 'error: pulled out' in capsys.readouterr().err
    assert not (tmp_path / 'profile_int8.json').exists()
    runs.fail_at = None
    assert run(artefact, tmp_path) == 0
    assert runs.cuts == list(range(1, artefact.last + 1))
    assert len(json.loads((tmp_path / 'run.json').read_text())['sessions']) == 2


def test_a_finished_run_needs_no_meter(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                                       meter: FakeMeter) -> None:
    run(artefact, tmp_path)
    assert run(artefact, tmp_path) == 0
    assert meter.opened == 1


def test_other_settings_are_refused(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                                    meter: FakeMeter, capsys: pytest.CaptureFixture[str]) -> None:
    run(artefact, tmp_path)
    assert run(artefact, tmp_path, '--threads', '1') == 2
    assert 'threads 2 there, 1 now' in capsys.readouterr().err


def test_what_is_predicted_not_to_fit_is_not_run(artefact: Artefact, tmp_path: Path,
                                                 runs: FakeRuns, meter: FakeMeter,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert run(artefact, tmp_path, '--memory-limit', '40.5') == 0
    assert 0 < len(runs.cuts) < artefact.last
    assert 'may be used: not run' in capsys.readouterr().out
    assert not load(tmp_path / 'profile_int8.json').cuts[-1].fits


def test_running_out_of_memory_is_a_result(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                                           meter: FakeMeter) -> None:
    runs.fail_at, runs.error = artefact.last, DoesNotFitError('out of memory')
    assert run(artefact, tmp_path) == 0
    assert list(load(tmp_path / 'profile_int8.json').fits).count(False) == 1


def test_figures_are_drawn(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                           meter: FakeMeter) -> None:
    pytest.importorskip('matplotlib')
    characterize.main(['--model', str(artefact.path), '--backends', 'int8', '--out',
                       str(tmp_path)])
    assert {file.name for file in (tmp_path / 'figures').iterdir()} == {
        'time.png', 'energy.png', 'shares.png'}


def test_runs_are_compared(artefact: Artefact, tmp_path: Path, runs: FakeRuns, meter: FakeMeter,
                           capsys: pytest.CaptureFixture[str]) -> None:
    run(artefact, tmp_path / 'a')
    run(artefact, tmp_path / 'b')
    capsys.readouterr()
    assert characterize.main(['--compare', str(tmp_path / 'a'), str(tmp_path / 'b'),
                              '--no-figures', '--json', str(tmp_path / 'c.json')]) == 0
    assert 'b / a' in capsys.readouterr().out
    assert json.loads((tmp_path / 'c.json').read_text())[0]['rows'][0][4] == 1.0


@pytest.mark.parametrize('name', RADIOS)
def test_a_profile_takes_the_figures_of_a_radio(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                                                meter: FakeMeter, name: str) -> None:
    assert run(artefact, tmp_path, '--radio-preset', name) == 0
    assert load(tmp_path / 'profile_int8.json').radio == RADIOS[name]


def test_a_measured_radio_goes_into_the_profile_of_a_finished_run(
        artefact: Artefact, tmp_path: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(characterize, 'open_meter', FakeMeter(emulated=False))
    monkeypatch.setattr(FakeLog, 'between', None, raising=False)
    schedules = []
    found = Radio(0.5, 2e-6, '', 0.3, 1.5)

    def measure(send: object, powers: object, schedule: Schedule) -> RadioFit:
        schedules.append(schedule)
        return RadioFit(found, Radio(0.01, 1e-7, '', 0.02, 0.1), (250e3, 1e6), 0.4)

    monkeypatch.setattr(characterize, 'measure_radio', measure)
    assert run(artefact, tmp_path, '--meter', 'monsoon') == 0
    assert run(artefact, tmp_path, '--meter', 'monsoon', '--radio', '192.0.2.1',
               '--radio-rates', '2,8') == 0
    assert schedules == [Schedule((250e3, 1e6))]
    radio = load(tmp_path / 'profile_int8.json').radio
    assert replace(radio, source='') == found
    assert radio.source.startswith('measured 2') and 'fake meter' in radio.source
    assert ('192.0.2.1: 2, 8 Mbit/s: 0.500 +- 0.010 W and 2.000 +- 0.100 uJ/byte above idle, tail '
            '0.300 +- 0.020 W for 1.50 +- 0.10 s') in radio.source
    assert radio.source in capsys.readouterr().out


@pytest.mark.parametrize('option, message', [
    (('--backends', 'gpu'), "backend 'gpu' is unknown; use available"),
    (('--backends', 'edgetpu'), 'no Edge TPU is attached'),
    (('--seconds', '1'), '1 s are too short'),
    (('--emulate', 'pdp11'), 'unknown device'),
    (('--meter', '/dev/no_such_meter'), '/dev/no_such_meter'),
    (('--memory-limit', '-1'), 'more than 0'),
    (('--model', 'vgg99'), 'vgg99'),
    (('--compare', 'nowhere', 'original'), "'nowhere' is no finished run"),
    (('--radio', '192.0.2.1'), '--radio needs a power meter'),
    (('--radio', '127.0.0.1', '--meter', 'monsoon'), 'is this computer'),
    (('--radio', '192.0.2.1', '--meter', 'monsoon', '--radio-rates', '1,1'), 'different rates'),
])
def test_bad_input_is_named(artefact: Artefact, tmp_path: Path, runs: FakeRuns,
                            option: tuple[str, ...], message: str,
                            capsys: pytest.CaptureFixture[str]) -> None:
    assert run(artefact, tmp_path, *option) == 2
    assert message in capsys.readouterr().err


def test_throttling_flags_in_words() -> None:
    assert decode_throttled(0) == 'no'
    assert decode_throttled(0x50005) == (
        'under-voltage, throttled, under-voltage since the start, throttled since the start')
