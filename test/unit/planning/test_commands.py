import json
from pathlib import Path

import numpy as np
import pytest

from offload_perception.cli import plan, simulate_fleet
from offload_perception.network.artefact import Artefact
from offload_perception.planning.decision import Option
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.sizes import COSTS_FILE
from offload_perception.planning.what_if import Conditions, WhatIf, pareto
from offload_perception.profiles.device_profile import DeviceProfile
from offload_perception.profiles.scaling import for_network
from offload_perception.simulation.scenario import measured


@pytest.fixture
def what_if(coral: DeviceProfile) -> WhatIf:
    shape, sizes = measured('aerial')
    return WhatIf(shape, for_network(coral, shape), sizes, PlannerSettings())


def test_pareto_front_is_what_nothing_beats(what_if: WhatIf) -> None:
    forecast = what_if.forecast(Conditions(bandwidth=20e3))
    allowed = what_if.allowed(forecast)
    front = pareto(forecast.latency_s, forecast.energy_j, allowed)
    for i in np.flatnonzero(allowed):
        beaten = ((forecast.latency_s < forecast.latency_s[i])
                  & (forecast.energy_j < forecast.energy_j[i]) & allowed).any()
        assert not (i in front and beaten)


def test_map_goes_from_on_board_to_the_image(what_if: WhatIf) -> None:
    rows = what_if.choice_map(Conditions(), np.array([200.0, 1e7]), np.array([0.005, 3.0]))
    assert rows[0][0] is None
    assert rows[1][0] == Option(21)
    assert rows[1][1].cut == 0


def test_plan_prints_the_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'plan.json'
    assert plan.main(['--bandwidth', '1e6', '--json', str(out)]) == 0
    assert 'choice: input' in capsys.readouterr().out
    record = json.loads(out.read_text())
    assert record['feasible'] and len(record['candidates']) > 30


@pytest.mark.parametrize('argv, says', [
    (['--profile', 'nokia'], 'raspberry_pi_3b_plus'), (['--bandwidth', '0'], 'bandwidth'),
    (['--model', 'resnet'], 'vgg16'), (['--agreement-floor', '2'], 'agreement_floor'),
    (['--codec-table', '/none.json'], 'measure_codecs'), (['--speed', '-1', ], 'speed')])
def test_bad_input_is_named(argv: list[str], says: str,
                            capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(argv) == 2
    assert says in capsys.readouterr().err


def candidates(out: Path, *argv: str) -> dict[str, int]:
    assert plan.main(['--json', str(out), '--profile', 'raspberry_pi_3b_plus_coral', *argv]) == 0
    return {c['candidate']: c['bytes'] for c in json.loads(out.read_text())['candidates']}


def test_measurements_beside_the_model_are_used_and_their_path_is_taken(
        tmp_path: Path, artefact: Artefact, capsys: pytest.CaptureFixture[str]) -> None:
    out, costs = tmp_path / 'plan.json', json.loads((artefact.path / COSTS_FILE).read_text())
    by_name = candidates(out, '--model', 'aerial')
    assert 'guesses' not in capsys.readouterr().err
    measured = next(c['bytes'] for c in costs if (c['cut'], c['codec']) == ('input', 'zstd'))
    assert by_name['input zstd to /server'] == round(measured)
    model = ('--model', str(artefact.path), '--codec-table')
    for path in (artefact.path, artefact.path / COSTS_FILE):
        assert candidates(out, *model, str(path)) == by_name
    report = tmp_path / 'report.json'
    report.write_text(json.dumps({'model': 'aerial', 'rows': costs}))
    assert candidates(out, '--model', 'aerial', '--codec-table', str(report)) == by_name
    candidates(out, '--model', 'vgg16_112')
    assert 'guesses' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['', '{}', '[1]', '{"rows": 3}', '[' * 100_000, 'null', '[{}]'])
def test_what_holds_no_measurements_is_refused_by_name(tmp_path: Path, text: str,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'costs.json').write_text(text)
    assert plan.main(['--codec-table', str(tmp_path / 'costs.json')]) == 2
    assert 'costs.json holds no measurements' in capsys.readouterr().err


def test_figures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    files = [tmp_path / name for name in ('a.png', 'b.png', 'c.png')]
    assert plan.main(['--figure', str(files[0]), '--map', str(files[1])]) == 0
    assert simulate_fleet.main(['--duration', '20', '--sweep', 'drones=1,2', '--policy',
                                'input jpeg:90', '--figure', str(files[2])]) == 0
    assert all(f.read_bytes().startswith(b'\x89PNG') for f in files)


def test_simulate_fleet_prints_and_writes(tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'fleet.json'
    assert simulate_fleet.main(['--duration', '20', '--policy', 'ours', '--json', str(out)]) == 0
    assert 'simulated, not measured' in capsys.readouterr().out
    assert json.loads(out.read_text())['policies']['ours'][0]['frames'] == 10


def test_simulate_fleet_replays_a_recording_and_says_how_it_is_scaled(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, out = tmp_path / 'fast.up', tmp_path / 'fleet.json'
    trace.write_text('1\n')
    argv = ['--duration', '20', '--policy', 'input jpeg:90', '--link', str(trace), '--json',
            str(out)]
    took_j = []
    for options in ([], ['--scaled', '--bandwidth', '15e3']):
        assert simulate_fleet.main([*argv, *options]) == 0
        took_j.append(json.loads(out.read_text())['policies']['input jpeg:90'][0]['energy_j'])
    assert 'mean 1500.0 kB/s, scaled by 0.01 to 15.0 kB/s' in capsys.readouterr().out
    assert took_j[1] > 10 * took_j[0]


def test_broken_recording_ends_the_command(tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'bad.up').write_text('7\n5\n')
    assert simulate_fleet.main(['--link', str(tmp_path / 'bad.up')]) == 2
    assert 'bad.up, line 2' in capsys.readouterr().err


def test_unknown_policy_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate_fleet.main(['--duration', '5', '--policy', 'best']) == 2
    assert 'clairvoyant' in capsys.readouterr().err


def test_simulate_fleet_sweeps_a_figure_with_seeds(tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'fleet.json'
    assert simulate_fleet.main(['--duration', '20', '--policy', 'input jpeg:90', '--seed', '4',
                                '--seeds', '3', '--sweep', 'bandwidth=60e3,15e3',
                                '--json', str(out)]) == 0
    said, record = capsys.readouterr().out, json.loads(out.read_text())
    assert 'seeds 4 to 6' in said and '| mean bandwidth [byte/s] |' in said and ' ± ' in said
    assert (record['swept'], record['seeds']) == ('bandwidth', [4, 5, 6])
    slow, fast = record['policies']['input jpeg:90']
    assert (slow['value'], fast['value']) == (15e3, 60e3)
    took_j = [f['energy_j'] for f in slow['flights']]
    assert slow['energy_j'] == pytest.approx(np.mean(took_j)) and slow['frames'] == 30
    assert slow['standard_error']['energy_j'] == pytest.approx(np.std(took_j, ddof=1) / 3 ** 0.5)
    assert slow['energy_j'] > fast['energy_j']


def test_a_flight_of_one_seed_has_no_error(tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'fleet.json'
    assert simulate_fleet.main(['--duration', '20', '--policy', 'ours', '--json', str(out)]) == 0
    assert ' ± ' not in capsys.readouterr().out
    point, = json.loads(out.read_text())['policies']['ours']
    assert set(point['standard_error'].values()) == {None} and point['value'] == 1


@pytest.mark.parametrize('argv, says', [
    (['--sweep', 'speeed=1'], 'bandwidth'), (['--sweep', 'drones=1,x'], "'x' is no whole number"),
    (['--sweep', 'drones'], 'drones=VALUE'), (['--sweep', 'seed=1,2'], '--seeds'),
    (['--sweep', 'bandwidth=0,1'], 'bandwidth is 0.0'), (['--sweep', 'deadline=nan'], 'deadline'),
    (['--sweep', 'round-trip=-1,1'], 'round_trip_s is -1.0'),
    (['--sweep', 'agreement-floor=0.9,2'], 'agreement_floor is 2.0')])
def test_a_sweep_that_cannot_be_flown_is_named_before_any_flight(
        argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate_fleet.main(argv) == 2
    said = capsys.readouterr()
    assert says in said.err and not said.out
