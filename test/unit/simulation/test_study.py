"""Studies: what can be swept, means over seeds with their errors."""

from dataclasses import fields, replace
from math import isnan, nan
from pathlib import Path

import pytest

from offload_perception.errors import ConfigError
from offload_perception.simulation.scenario import OURS, Scenario, Summary
from offload_perception.simulation.study import AXES, MEASURES, Point, Study

SHORT = Scenario(duration_s=10.0)
JPEG = 'input jpeg:90'


def flight(energy_j: float = 1.0, latency_s: float = 0.1) -> Summary:
    return Summary(OURS, 10, 1.0, 0.0, energy_j, latency_s, {'all on board': 0.5, 'image': 0.5})


def test_every_number_of_a_scenario_but_the_seed_can_be_swept() -> None:
    numbers = {f.name for f in fields(Scenario) if type(f.default) in (int, float)}
    assert set(AXES) == numbers - {'seed'}


def test_a_point_has_the_mean_and_its_standard_error() -> None:
    point = Point.of(3.0, [flight(1.0), flight(2.0), replace(flight(3.0), choices={'image': 1.0})])
    assert (point.mean.energy_j, point.mean.frames) == (2.0, 30)
    assert point.error['energy_j'] == pytest.approx(1 / 3 ** 0.5) and point.error['met'] == 0.0
    assert list(point.mean.choices) == ['image', 'all on board']
    assert list(point.mean.choices.values()) == pytest.approx([2 / 3, 1 / 3])


def test_flights_without_a_result_have_no_latency() -> None:
    point = Point.of(1.0, [flight(latency_s=0.1), flight(latency_s=nan), flight(latency_s=0.3)])
    assert point.mean.latency_s == pytest.approx(0.2)
    assert point.error['latency_s'] == pytest.approx(0.1)
    lost = Point.of(1.0, [flight(latency_s=nan)] * 2)
    assert isnan(lost.mean.latency_s) and lost.to_dict()['latency_s'] is None


def test_one_flight_has_no_error() -> None:
    assert all(isnan(Point.of(1.0, [flight()]).error[m]) for m in MEASURES)


def test_a_study_flies_each_value_with_the_same_seeds() -> None:
    study = Study(replace(SHORT, seed=7), 'deadline_s', (1.0, 2.0), seeds=2)
    assert [s.seed for s in study.flights(2.0)] == [7, 8] and study.at(1.0).deadline_s == 1.0
    points = list(study.fly([JPEG]))
    assert [(name, p.value, len(p.flights)) for name, p in points] == [(JPEG, 1.0, 2),
                                                                       (JPEG, 2.0, 2)]
    assert {f.policy for _, p in points for f in p.flights} == {JPEG}


def test_a_policy_that_one_value_has_not_is_named_with_it() -> None:
    study = Study(SHORT, 'agreement_floor', (0.95, 1.0))
    with pytest.raises(ConfigError, match=f"'{JPEG}' at agreement_floor 1; use 'all on board'"):
        next(study.fly([JPEG]))


def test_a_sweep_without_effect_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'trace.up').write_text('1\n')
    recorded = replace(SHORT, link=str(tmp_path / 'trace.up'))
    with pytest.raises(ConfigError, match='--scaled'):
        Study(recorded, 'bandwidth', (1e3, 2e3))
    Study(replace(recorded, scaled=True), 'bandwidth', (1e3, 2e3))
