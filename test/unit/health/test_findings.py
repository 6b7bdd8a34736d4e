import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.health import (
    Finding,
    Level,
    Steady,
    as_values,
    error,
    findings_of,
    note,
    verdict,
    warning,
)
from offload_perception.health.steady import HOLD_S, LOG_AFTER_S
from offload_perception.health.trend import Hysteresis, Recent


def test_the_worst_level_wins_and_every_text_is_there() -> None:
    found = [note('a', 'untrained'), warning('b', 'hot'), error('c', 'no link')]
    assert verdict('running', found) == (Level.ERROR, 'no link; hot; untrained')
    assert verdict('running', found[:1]) == (Level.OK, 'running; untrained')
    assert verdict('running', []) == (Level.OK, 'running')


def test_findings_cross_a_diagnostics_message_with_their_levels() -> None:
    found = [warning('server /a b', 'hot; odd'), note('OK', 'untrained'), error('link', '')]
    values = {**as_values(found), 'remote': '3', 'OKAY then': '', 'last refused': 'ERROR no'}
    assert findings_of(2, 'whatever', values) == found
    assert findings_of(0, 'running', {'remote': '3'}) == []


@pytest.mark.parametrize(('level', 'ours'), [(1, Level.WARN), (2, Level.ERROR), (3, Level.ERROR)])
def test_of_a_foreign_node_the_message_is_the_finding(level: int, ours: Level) -> None:
    assert findings_of(level, 'warm; odd', {'fan': 'ERROR'}) == [Finding('', ours, 'warm; odd')]


def test_of_what_lasts_the_newest_comes_first() -> None:
    steady = Steady()
    steady.update([warning('a', 'old')], 0.0)
    steady.update([warning('a', 'old'), warning('b', 'new')], 1.0)
    found = steady.update([warning('a', 'old'), error('c', 'worst'), warning('b', 'new')], 2.0)
    assert verdict('running', found) == (Level.ERROR, 'worst; new; old')


def levels(findings: tuple[Finding, ...]) -> dict[str, Level]:
    return {f.name: f.level for f in findings}


def test_a_warning_does_not_flicker() -> None:
    steady, seen = Steady(), []
    for second in range(20):
        found = [warning('hot', f'{second} C')] if second % 3 == 0 and second < 10 else []
        seen.append(steady.update(found, float(second)))
    shown = [bool(f) for f in seen]
    assert shown == [True] * (9 + int(HOLD_S)) + [False] * (11 - int(HOLD_S))
    assert seen[9][0].text == '9 C' and seen[10][0].text == '9 C (just over)'


def test_information_is_not_held() -> None:
    steady = Steady()
    assert steady.update([note('first', 'waiting')], 0.0) and not steady.update([], 1.0)


def test_what_lasts_is_logged_once_and_its_end_once() -> None:
    steady, told = Steady(), []
    for second in range(20):
        steady.update([warning('hot', 'hot')] if second < 8 else [], float(second))
        told += [(second, f.level, f.text) for f in steady.due(float(second))]
    assert told == [(int(LOG_AFTER_S), Level.WARN, 'hot'),
                    (7 + int(HOLD_S), Level.OK, 'over: hot')]


def test_what_passes_is_not_logged() -> None:
    steady = Steady()
    for second in range(20):
        steady.update([warning('server', 'not found yet')] if second < 2 else [], float(second))
        assert not steady.due(float(second))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_recent_is_what_came_within_the_window(steps: list[int]) -> None:
    recent, total = Recent(window_s=10.0), 0
    for now_s, step in enumerate(steps):
        total += step
        grown = recent.increase({'x': total}, float(now_s))['x']
        assert grown == sum(steps[max(0, now_s - 9):now_s + 1])


def test_hysteresis_both_ways() -> None:
    high, low = Hysteresis(on=0.9, off=0.8), Hysteresis(on=10.0, off=20.0)
    assert [high.update(x) for x in (0.85, 0.95, 0.85, 0.79, 0.85)] == [
        False, True, True, False, False]
    assert [low.update(x) for x in (15.0, 9.0, 15.0, 21.0, 15.0)] == [
        False, True, True, False, False]
