from collections.abc import Iterator
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import PlanError
from offload_perception.planning.decision import Option
from offload_perception.planning.forecast import Forecast, Options
from offload_perception.planning.hedge import HedgeCost
from offload_perception.planning.planner import Planner, PlannerSettings

LAST = 4
PAIRS = tuple((cut, codec) for cut in range(LAST) for codec in ('raw', 'auto'))
NAMES = ('input', 'a', 'b', 'c', 'd')
COUNT = 1 + len(PAIRS)


def forecast(latency_s: list[float] | np.ndarray, energy_j: list[float] | np.ndarray, *,
             spread_s: float = 0.0, agreement: list[float] | None = None,
             usable: list[bool] | None = None, guessed: list[bool] | None = None,
             hedge: Any = None) -> Forecast:
    def column(value: Any, default: Any) -> Any:
        return np.full(COUNT, default) if value is None else np.asarray(value)

    return Forecast(
        Options(LAST, PAIRS, ('/s',)), np.array(latency_s, float),
        np.full(COUNT, float(spread_s)), np.array(energy_j, float), np.full(COUNT, 0.2),
        column(agreement, 1.0), column(usable, True), column(guessed, False), hedge)


def planner(**settings: Any) -> Planner:
    return Planner(PlannerSettings(**{'hysteresis': 0.0, 'dwell_s': 0.0, 'explore_every': 0,
                                      **settings}), NAMES)


def flat(value: float, **at: Any) -> list[float]:
    values = [float(value)] * COUNT
    for place, other in at.items():
        values[int(place[1:])] = other
    return values


figures = st.lists(st.floats(0.001, 10), min_size=COUNT, max_size=COUNT)


@given(figures, figures, st.lists(st.booleans(), min_size=COUNT, max_size=COUNT),
       st.floats(0.001, 10), st.floats(0, 1))
def test_picks_what_brute_force_picks(latency_s: list[float], energy_j: list[float],
                                      usable: list[bool], deadline_s: float,
                                      spread_s: float) -> None:
    f = forecast(latency_s, energy_j, usable=usable, spread_s=spread_s)
    p = planner(margin=1.5)
    decision = p.choose(f, deadline_s, 0.0)
    rows = [(f.options[i], latency_s[i] + 1.5 * spread_s, energy_j[i])
            for i in range(COUNT) if usable[i]]
    in_time = [row for row in rows if row[1] <= deadline_s]
    if in_time:
        assert decision.energy_j == min(row[2] for row in in_time)
        assert decision.feasible
    elif rows:
        assert decision.latency_s + 1.5 * spread_s == pytest.approx(min(row[1] for row in rows))
        assert not decision.feasible and 'least late' in decision.reason
    else:
        assert not decision.runnable


def test_runner_up_is_the_second_best() -> None:
    f = forecast(flat(0.1), flat(5.0, _3=1.0, _5=2.0))
    decision = planner().choose(f, 1.0, 0.0)
    assert decision.option == Option(1, 'raw', '/s')
    assert decision.runner_up == Option(2, 'raw', '/s')
    assert decision.runner_up_energy_j == 2.0
    assert '1000.0 mJ more' in decision.runner_up_reason
    assert decision.candidates == COUNT


def test_margin_keeps_uncertain_options_out() -> None:
    f = forecast(flat(0.5, _0=0.2), flat(1.0, _0=3.0), spread_s=0.3)
    assert planner(margin=0.0).choose(f, 0.9, 0.0).energy_j == 1.0
    assert planner(margin=2.0).choose(f, 0.9, 0.0).option.local


@pytest.mark.parametrize('deadline_s', [0.0, -1.0, inf, nan])
def test_no_deadline_means_least_energy(deadline_s: float) -> None:
    f = forecast(flat(100.0), flat(2.0, _4=1.0))
    decision = planner().choose(f, deadline_s, 0.0)
    assert decision.energy_j == 1.0 and decision.feasible


def test_floor_keeps_out_what_agrees_less_or_was_never_measured() -> None:
    f = forecast(flat(0.1), flat(5.0, _1=1.0, _2=2.0, _3=3.0),
                 agreement=flat(1.0, _1=nan, _2=0.9, _3=0.96))
    assert planner(agreement_floor=0.95).choose(f, 1.0, 0.0).energy_j == 3.0
    assert planner(agreement_floor=0.0).choose(f, 1.0, 0.0).energy_j == 1.0


def test_floor_that_excludes_everything_is_named() -> None:
    usable = [i > 0 for i in range(COUNT)]  # does not fit on board
    f = forecast(flat(0.1), flat(1.0), usable=usable, agreement=flat(0.5, _4=0.8, _5=nan))
    decision = planner(agreement_floor=0.99).choose(f, 1.0, 0.0)
    assert decision.option == f.options[4]
    assert 'agreement floor of 0.99' in decision.reason and not decision.feasible


def test_small_gain_does_not_move_the_choice() -> None:
    p = planner(hysteresis=0.1)
    p.choose(forecast(flat(0.1), flat(5.0, _3=1.0)), 1.0, 0.0)
    kept = p.choose(forecast(flat(0.1), flat(5.0, _3=1.0, _5=0.95)), 1.0, 10.0)
    assert kept.energy_j == 1.0 and 'kept' in kept.reason
    assert p.choose(forecast(flat(0.1), flat(5.0, _3=1.0, _5=0.8)), 1.0, 20.0).energy_j == 0.8
    assert p.changes == 1


def test_dwell_holds_what_is_good_enough_and_not_what_is_late() -> None:
    p = planner(dwell_s=1.0)
    p.choose(forecast(flat(0.1), flat(5.0, _3=1.0)), 1.0, 0.0)
    better = forecast(flat(0.1), flat(5.0, _3=1.0, _5=0.9))
    assert p.choose(better, 1.0, 0.5).energy_j == 1.0
    assert p.choose(better, 1.0, 1.5).energy_j == 0.9
    late = forecast(flat(0.1, _5=2.0), flat(5.0, _3=1.0, _5=0.9))
    assert p.choose(late, 1.0, 1.6).energy_j == 1.0


def test_dwell_does_not_hold_what_costs_much_more() -> None:
    p = planner(dwell_s=1.0)
    p.choose(forecast(flat(0.1), flat(5.0, _3=1.0)), 1.0, 0.0)
    assert p.choose(forecast(flat(0.1), flat(5.0, _3=1.0, _5=0.5)), 1.0, 0.5).energy_j == 0.5


@pytest.mark.parametrize('spread_s, stays', [(0.35, True), (0.6, False)])
def test_part_of_the_margin_is_enough_to_stay(spread_s: float, stays: bool) -> None:
    p = planner(margin=2.0, hysteresis=0.5)
    first = p.choose(forecast(flat(0.2), flat(5.0, _3=1.0)), 0.8, 0.0)
    tighter = forecast(flat(0.2, _5=0.1), flat(9.0, _3=1.0, _5=1.2), spread_s=0.0)
    tighter.latency_spread_s[3] = spread_s  # outside the whole margin; 0.7 of it: 0.69 or 1.04
    second = p.choose(tighter, 0.8, 1.0)
    assert (second.option == first.option) == stays


def test_clock_that_jumps_back_does_not_hold_for_ever() -> None:
    p = planner(dwell_s=1.0)
    p.choose(forecast(flat(0.1), flat(5.0, _3=1.0)), 1.0, 1e6)
    better = forecast(flat(0.1), flat(5.0, _3=1.0, _5=0.9))
    p.choose(better, 1.0, 0.0)
    assert p.choose(better, 1.0, 1.5).energy_j == 0.9


def test_random_walk_of_energies_does_not_flap() -> None:
    rng, p = np.random.default_rng(1), planner(hysteresis=0.05, dwell_s=0.5)
    for i in range(500):
        p.choose(forecast(flat(0.1), 1.0 + 0.01 * rng.standard_normal(COUNT)), 1.0, 0.1 * i)
    assert p.changes < 25


def test_exploration_is_rare_bounded_and_accounted() -> None:
    p = planner(explore_every=10, explore_share=0.02)
    f = forecast(flat(0.1), flat(5.0, _3=1.0, _5=1.1), guessed=[i == 5 for i in range(COUNT)])
    decisions = [p.choose(f, 1.0, 0.1 * i) for i in range(1000)]
    explored = [d for d in decisions if d.explored]
    assert 0 < len(explored) == p.explored <= 100
    assert {d.energy_j for d in explored} == {1.1}
    assert 'never measured' in explored[0].reason
    assert p.explored_j <= 0.02 * p.spent_j + 0.1


def test_nothing_is_explored_that_is_expected_late() -> None:
    p = planner(explore_every=1, explore_share=1.0)
    f = forecast(flat(0.1, _5=2.0), flat(5.0, _3=1.0, _5=0.5),
                 guessed=[i == 5 for i in range(COUNT)])
    assert not any(p.choose(f, 1.0, 0.1 * i).explored for i in range(50))


def test_full_battery_buys_time() -> None:
    p = planner(latency_weight_w=10.0)
    f = forecast(flat(1.0, _3=0.1), flat(1.0, _3=2.0))
    assert p.choose(f, 0.0, 0.0, battery=1.0).latency_s == 0.1
    assert p.choose(f, 0.0, 1.0, battery=0.0).energy_j == 1.0


@pytest.mark.parametrize('name, value', [('margin', -1), ('agreement_floor', 1.1),
                                         ('hysteresis', nan), ('dwell_s', -0.1)])
def test_absurd_setting_is_named(name: str, value: Any) -> None:
    with pytest.raises(PlanError, match=name):
        PlannerSettings(**{name: value})


def hedge(seconds: float = 0.3, joules: float = 3.0) -> Any:
    """Return the same cost for each option but all on board, which has no hedge."""
    return HedgeCost(np.array([inf] + [seconds] * (COUNT - 1)), np.zeros(COUNT),
                np.array([0.0] + [joules] * (COUNT - 1)))


def test_what_may_be_late_is_hedged_in_time() -> None:
    f = forecast(flat(0.6, _0=0.4), flat(1.0, _0=4.0), spread_s=0.2, hedge=hedge())
    decision = planner(margin=1.5).choose(f, 0.8, 0.0)  # with its margin at 0.9 s
    assert not decision.option.local and decision.feasible
    assert decision.hedge_s == pytest.approx(0.5)
    assert 1.0 < decision.energy_j < 4.0 and 'finished on board' in decision.reason


def test_what_is_hardly_ever_in_time_is_not_sent() -> None:
    f = forecast(flat(0.85, _0=0.4), flat(1.0, _0=3.5), spread_s=0.1, hedge=hedge())
    assert planner(margin=1.5).choose(f, 0.8, 0.0).option.local


def test_nothing_is_hedged_by_a_board_that_is_late_itself() -> None:
    f = forecast(flat(0.7, _0=0.9), flat(1.0, _0=4.0), spread_s=0.1, hedge=hedge())
    decision = planner(margin=1.5).choose(f, 0.8, 0.0)
    assert not decision.feasible and 'least late' in decision.reason


def test_hedge_of_what_is_in_time_waits_for_the_last_moment() -> None:
    f = forecast(flat(0.1, _0=0.4), flat(1.0, _0=4.0), spread_s=0.01, hedge=hedge())
    decision = planner().choose(f, 0.8, 0.0)
    assert decision.hedge_s == pytest.approx(0.5) and decision.energy_j == pytest.approx(1.0)


def test_hedge_that_is_likely_for_nothing_waits_for_the_deadline() -> None:
    f = forecast(flat(0.6, _0=0.7), flat(1.0, _0=4.0), spread_s=0.02, hedge=hedge(0.7))
    decision = planner().choose(f, 0.8, 0.0)  # it would have to start at 0.1 s
    assert decision.hedge_s == 0.8 and decision.energy_j == 1.0


def test_hedge_is_not_worth_it_too_late() -> None:
    f = forecast(flat(0.4, _0=9.0), flat(1.0), hedge=hedge(0.6))
    assert planner().choose(f, 0.5, 0.0).hedge_s == inf


def hedged_by_brute_force(f: Any, hedge: Any, deadline_s: float) -> Iterator[Any]:
    """Yield energy, whether it is hedged and when that starts, of each option that is in time."""
    board_in_time = f.latency_s[0] + 1.5 * f.latency_spread_s[0] <= deadline_s
    for i in range(COUNT):
        upper_s = f.latency_s[i] + 1.5 * f.latency_spread_s[i]
        in_time, joules, hedged = upper_s <= deadline_s, f.energy_j[i], False
        start_s = deadline_s - hedge.seconds[i] - 3.0 * hedge.spread_s[i]
        if board_in_time and start_s > 0.0 and f.latency_s[i] <= deadline_s:
            extra_j = float(hedge.expected_j(np.full(COUNT, start_s), deadline_s, f.latency_s,
                                            f.latency_spread_s)[i])
            hedged = not in_time or start_s >= upper_s or extra_j <= 0.1 * f.energy_j[i]
            joules += extra_j * hedged
        if in_time or hedged:
            yield joules, hedged, start_s


def test_hedges_what_brute_force_hedges() -> None:
    rng = np.random.default_rng(4)
    seen: set[bool | tuple[bool, bool]] = set()
    for _ in range(1000):
        works_s = rng.uniform(0.0, 0.4, COUNT)
        hedge = HedgeCost(np.array([inf, *works_s[1:]]), 0.1 * works_s, 4.0 * works_s)
        f = forecast(rng.uniform(0.1, 1.0, COUNT), rng.uniform(0.5, 2.0, COUNT), hedge=hedge)
        f.latency_spread_s[:] = rng.uniform(0.0, 0.2, COUNT)
        f.energy_j[0] += 2.0
        deadline_s = rng.uniform(0.3, 1.2)
        rows = list(hedged_by_brute_force(f, hedge, deadline_s))
        decision = planner(margin=1.5).choose(f, deadline_s, 0.0)
        assert decision.feasible is bool(rows)
        if rows:
            least_j, hedged, start_s = min(rows)
            assert decision.energy_j == pytest.approx(least_j)
            if hedged:
                assert decision.hedge_s == pytest.approx(start_s)
            seen.add((hedged, decision.option.local))
        seen.add(bool(rows))
    assert seen == {True, False, (True, False), (False, False), (False, True)}
