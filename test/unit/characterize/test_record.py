import csv
import json
from math import isnan, nan
from pathlib import Path

import pytest
from unit.characterize.characterize_fakes import row

from offload_perception.characterize.record import JOURNAL, Journal, Row, write_csv
from offload_perception.errors import ConfigError

SETTINGS = {'threads': 2}


def test_energies_and_their_uncertainties() -> None:
    r = row(1, power_half_w=0.3, idle_half_w=0.4, spread_s=0.0)
    assert r.energy_j == pytest.approx(0.5)
    assert r.energy_half_j == pytest.approx(0.03)
    assert r.active_j == pytest.approx(0.3)
    assert r.active_half_j == pytest.approx(0.05)


def test_the_spread_of_the_time_widens_the_interval() -> None:
    r = row(1, power_half_w=0.0, idle_half_w=0.0, spread_s=0.1, runs=4)
    assert r.active_half_j == pytest.approx(1.96 * 0.05 * 3.0)


def test_a_journal_gives_back_what_was_added(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTINGS)
    journal.add(row(1))
    journal.add(row(2, fits=False, mean_s=nan, note='too big'))
    journal.add_session({'host': {'temperature_c': nan}})
    again = Journal(tmp_path, SETTINGS)
    assert again.rows[0] == row(1)
    assert again.find('int8', 2).note == 'too big'
    assert isnan(again.find('int8', 2).mean_s)
    assert again.find('int8', 3) is None
    assert again.sessions == [{'host': {'temperature_c': None}}]


def test_a_half_written_line_is_measured_again(tmp_path: Path) -> None:
    Journal(tmp_path, SETTINGS).add(row(1))
    with open(tmp_path / JOURNAL, 'a') as file:
        file.write('{"row": {"back')
    journal = Journal(tmp_path, SETTINGS)
    assert [r.cut for r in journal.rows] == [1]
    journal.add(row(2))
    assert [r.cut for r in Journal(tmp_path, SETTINGS).rows] == [1, 2]


def test_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    Journal(tmp_path, SETTINGS)
    with pytest.raises(ConfigError, match=r'threads 2 there, 4 now.*--out'):
        Journal(tmp_path, {'threads': 4})


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('no json\n{}\n')
    with pytest.raises(ConfigError, match=f'{JOURNAL} is damaged'):
        Journal(tmp_path, SETTINGS)


def test_the_table_leaves_unknown_figures_empty(tmp_path: Path) -> None:
    write_csv(tmp_path / 'x.csv', [row(1), row(2, fits=False, mean_s=nan)])
    with open(tmp_path / 'x.csv') as file:
        first, second = csv.DictReader(file)
    assert float(first['active_j']) == pytest.approx(0.3)
    assert second['mean_s'] == second['active_j'] == ''


def test_a_row_is_valid_json() -> None:
    text = json.dumps(row(1, first_s=nan).to_dict(), allow_nan=False)
    assert isnan(Row.from_dict(json.loads(text)).first_s)
