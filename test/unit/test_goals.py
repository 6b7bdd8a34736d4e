"""Every benchmark says which of its goals hold, on the screen and in its --json."""

import ast
import json
import sys
from collections.abc import Iterator
from math import nan
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
PROGRAMS = [p for p in sorted(BENCHMARKS.glob('*.py'))
            if 'argparse' in p.read_text() and 'def main(' in p.read_text()]


@pytest.fixture
def goals(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__('goals')
    sys.modules.pop('goals')


def test_every_benchmark_is_looked_at() -> None:
    assert {p.stem for p in PROGRAMS} >= {'latency', 'throughput', 'codec', 'cost', 'planner',
                                          'loss', 'network', 'runtimes', 'um25c_soak'}


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda p: p.stem)
def test_every_benchmark_publishes_its_goals(program: Path) -> None:
    tree = ast.parse(program.read_text())
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    calls = {n.func.id for n in ast.walk(functions['main'])
             if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert 'goals' in functions and {'goals', 'publish'} <= calls
    assert not calls & {'write_json', 'write_text'}, 'only `publish` writes the goals'


def test_goals_are_printed_and_written(goals: ModuleType, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    found = [goals.at_most('delay', 2.5, 3.0, 'ms'), goals.at_least('rate', 0.5, 0.97),
             goals.at_most('error', nan, 10.0, '%')]
    goals.publish(tmp_path / 'out.json', {'results': [1]}, found)
    written = json.loads((tmp_path / 'out.json').read_text())
    assert written['results'] == [1]
    assert written['goals'][0] == {'name': 'delay', 'value': 2.5, 'unit': 'ms', 'bound': '<= 3',
                                   'met': True}
    assert [g['met'] for g in written['goals']] == [True, False, False]
    rows = [line for line in capsys.readouterr().out.splitlines() if '|' in line][2:]
    assert [row.split('|')[-2].strip() for row in rows] == ['yes', 'NO', 'NO']


def test_no_goals_are_reported(goals: ModuleType, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    goals.publish(None, {}, [])
    assert 'no goals' in capsys.readouterr().out
