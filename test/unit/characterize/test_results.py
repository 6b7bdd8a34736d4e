"""What is made of rows: profiles, shares and comparisons."""

from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from unit.characterize.characterize_fakes import row

from offload_perception.characterize.compare import Pair, load_run, pair
from offload_perception.characterize.record import Row
from offload_perception.characterize.shares import by_kind, percent
from offload_perception.characterize.to_profile import to_profile
from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.profiles.device_profile import DeviceProfile


def rows_of(artefact: Artefact, fitting: int = 100, **figures: Any) -> list[Row]:
    return [row(layer.index, layer.kind, name=layer.name, **figures) if layer.index <= fitting
            else row(layer.index, layer.kind, name=layer.name, fits=False, mean_s=nan, power_w=nan,
                     idle_w=nan, spread_s=nan) for layer in artefact.layers]


def profile(artefact: Artefact, name: str = 'a', **figures: Any) -> DeviceProfile:
    return to_profile(rows_of(artefact, **figures), artefact, name=name, device='d', date='today',
                      meter='emulated UM25C', emulated=True)


def test_the_planner_can_read_the_profile(artefact: Artefact) -> None:
    made = profile(artefact)
    read = DeviceProfile.from_json(made.to_json())
    assert read.check_for(NetworkShape.of(artefact)) == made
    assert read.head_s[2] == pytest.approx(0.2)
    assert read.head_j[2] == pytest.approx(0.6)
    assert read.idle_w == 2.0 and read.active_w == pytest.approx(3.0)
    assert read.emulated


def test_what_does_not_fit_has_no_time(artefact: Artefact) -> None:
    made = profile(artefact, fitting=5)
    assert list(made.fits) == [True] * 6 + [False] * (artefact.last - 5)
    assert DeviceProfile.from_json(made.to_json()).cuts[6].fits is False


def test_less_than_idle_counts_as_nothing(artefact: Artefact) -> None:
    assert profile(artefact, power_w=1.0).head_j.max() == 0.0


def test_shares_are_the_differences_of_prefixes() -> None:
    rows = [row(1, 'conv'), row(2, 'pool'), row(3, 'conv'), row(4, 'fc', mean_s=1.0),
            row(5, 'fc', fits=False, mean_s=nan)]
    assert by_kind(rows, 'mean_s') == pytest.approx(
        {'conv': 0.2, 'pool': 0.1, 'fc': 0.7, 'other': 0.0})
    assert percent(by_kind(rows, 'mean_s'))['fc'] == pytest.approx(70)


def test_nothing_has_no_shares() -> None:
    assert isnan(percent({'conv': 0.0})['conv'])


def test_ratios_of_two_runs(artefact: Artefact) -> None:
    rows = list(Pair(profile(artefact), profile(artefact, idle_w=3.5)).rows())
    assert rows[0][:2] == (1, artefact.cut_names[1])
    assert rows[0][4] == pytest.approx(1.0)
    assert rows[0][7] == pytest.approx(0.5)


def test_what_does_not_fit_has_no_ratio(artefact: Artefact) -> None:
    *_, last = Pair(profile(artefact), profile(artefact, fitting=3)).rows()
    assert not isnan(last[2])
    assert isnan(last[3]) and isnan(last[4]) and isnan(last[7])


def test_the_emulated_meter_is_reported(artefact: Artefact) -> None:
    assert 'not measured' in Pair(profile(artefact), profile(artefact)).warnings()[0]


def test_other_networks_are_not_compared(artefact: Artefact) -> None:
    with pytest.raises(ConfigError, match=f'{artefact.name} .*vgg16_112'):
        pair({'float32': profile(artefact)}, load_run('original'))


def test_the_published_figures_can_be_compared() -> None:
    (both, coral) = pair(load_run('original'), load_run('original'))
    assert {row[4] for row in both.rows() if not isnan(row[4])} == {1.0}
    assert coral.a.name == 'raspberry_pi_3b_plus_coral'


def test_int8_stands_against_the_edge_tpu(artefact: Artefact) -> None:
    here = {'float32': profile(artefact, 'f'), 'int8': profile(artefact, 'i')}
    there = {'float32': profile(artefact, 'pi'), 'edgetpu': profile(artefact, 'coral')}
    assert [(p.a.name, p.b.name) for p in pair(here, there)] == [('f', 'pi'), ('i', 'coral')]


def test_a_single_profile_goes_with_every_other(artefact: Artefact) -> None:
    a, b = profile(artefact, 'a'), profile(artefact, 'b')
    assert len(pair({'mine': a}, {'float32': a, 'int8': b})) == 2


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='no finished run'):
        load_run(str(tmp_path))


def test_kinds_of_other_networks_are_counted_too() -> None:
    rows = [row(1, 'depthwise'), row(2, 'softmax'), row(3, 'conv')]
    assert by_kind(rows, 'mean_s') == pytest.approx(
        {'conv': 0.2, 'pool': 0.0, 'fc': 0.0, 'other': 0.1})
