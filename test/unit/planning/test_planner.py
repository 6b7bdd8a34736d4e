"""The rule: the least expected cost of a camera frame, against plain loops."""

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import PlanError
from offload_perception.planning.decision import Option
from offload_perception.planning.forecast import Forecast, Options
from offload_perception.planning.hedge import HedgeCost, late_share
from offload_perception.planning.planner import Planner, PlannerSettings

LAST = 4
PAIRS = tuple((cut, codec) for cut in range(LAST) for codec in ('raw', 'auto'))
NAMES = ('input', 'a', 'b', 'c', 'd')
COUNT = 1 + len(PAIRS)
PRICE_J = 100.0


def forecast(latency_s: list[float] | np.ndarray, energy_j: list[float] | np.ndarray, *,
             spread_s: float = 0.0, **columns: Any) -> Forecast:
    def column(name: str, default: Any) -> Any:
        return np.asarray(columns.get(name, np.full(COUNT, default)))

    return Forecast(
        Options(LAST, PAIRS, ('/s',)), np.array(latency_s, float),
        np.full(COUNT, float(spread_s)), np.array(energy_j, float), np.full(COUNT, 0.2),
        column('head_s', 0.01), column('sending_s', 0.0), column('unanswered', 0.0),
        column('agreement', 1.0), column('usable', True), columns.get('hedge'))


def planner(**settings: Any) -> Planner:
    return Planner(PlannerSettings(**settings), NAMES, PRICE_J)


def flat(value: float, **at: Any) -> list[float]:
    values = [float(value)] * COUNT
    for place, other in at.items():
        values[int(place[1:])] = other
    return values


def hedge(seconds: float = 0.3, joules: float = 3.0) -> HedgeCost:
    """Return the same cost for each option but all on board, which has no hedge."""
    return HedgeCost(np.array([inf] + [seconds] * (COUNT - 1)), np.zeros(COUNT),
                     np.array([0.0] + [joules] * (COUNT - 1)))


def cost_by_hand(f: Forecast, i: int, deadline_s: float, period_s: float) -> float:
    """Return the cost of option i, term by term."""
    late = float(late_share(f.latency_s[i:i + 1], f.latency_spread_s[i:i + 1], deadline_s)[0])
    late += f.unanswered[i] * (1.0 - late)
    energy_j, working_s, hedged = f.energy_j[i], f.head_s[i], False
    if f.hedge is not None:
        start_s = deadline_s - f.hedge.seconds[i] - 3.0 * f.hedge.spread_s[i]
        if hedged := start_s >= f.head_s[i]:
            share = float(f.hedge.expected_share(np.full(COUNT, start_s), deadline_s, f.latency_s,
                                                 f.latency_spread_s)[i])
            share += f.unanswered[i] * (1.0 - share)
            energy_j += share * f.hedge.joules[i]
            working_s += share * f.hedge.seconds[i]
    excess = 0.0 if hedged else max(f.latency_s[i] / deadline_s - 1.0, 0.0)
    price_j = 0.0 if hedged else PRICE_J * (late + excess)
    waiting_s = min(f.latency_s[i], deadline_s) / 2 if i else 0.0
    busy_s = max(working_s, f.sending_s[i], waiting_s)
    lost = 1.0 - min(period_s / busy_s, 1.0) if period_s else 0.0
    return float((1.0 - lost) * (energy_j + price_j) + lost * PRICE_J)


@pytest.mark.parametrize('hedges', [True, False])
@pytest.mark.parametrize('period_s', [0.0, 0.3])
def test_picks_what_costs_least_term_by_term(hedges: bool, period_s: float) -> None:
    rng, chosen = np.random.default_rng(4), set()
    for _ in range(500):
        works_s = rng.uniform(0.0, 0.4, COUNT)
        cost = HedgeCost(np.array([inf, *works_s[1:]]), 0.1 * works_s, 4.0 * works_s)
        f = forecast(rng.uniform(0.1, 1.0, COUNT), rng.uniform(0.5, 2.0, COUNT),
                     head_s=rng.uniform(0.01, 0.4, COUNT), sending_s=rng.uniform(0.0, 0.5, COUNT),
                     unanswered=rng.choice([0.0, 0.5], COUNT), hedge=cost if hedges else None)
        f.latency_spread_s[:] = rng.uniform(0.0, 0.2, COUNT)
        deadline_s = rng.uniform(0.3, 1.2)
        by_hand = [cost_by_hand(f, i, deadline_s, period_s) for i in range(COUNT)]
        total_j = planner().cost(f, deadline_s, period_s).total_j
        np.testing.assert_allclose(total_j, by_hand)
        decision = planner().choose(f, deadline_s, period_s)
        assert f.options.place(decision.option) == int(np.argmin(by_hand))
        chosen.add(decision.option.local)
    assert chosen == {True, False}


@given(st.lists(st.booleans(), min_size=COUNT, max_size=COUNT))
def test_only_what_is_usable_is_chosen(usable: list[bool]) -> None:
    f = forecast(flat(0.1), list(range(COUNT)), usable=usable)
    decision = planner().choose(f, 1.0)
    assert decision.runnable is any(usable)
    if any(usable):
        assert f.options.place(decision.option) == usable.index(True)
    else:
        assert 'does not fit on board' in decision.reason


def test_runner_up_is_the_second_best() -> None:
    decision = planner().choose(forecast(flat(0.1), flat(5.0, _3=1.0, _5=2.0)), 1.0)
    assert decision.option == Option(1, 'raw', '/s')
    assert decision.runner_up == Option(2, 'raw', '/s')
    assert decision.runner_up_energy_j == 2.0 and decision.candidates == COUNT
    assert decision.runner_up_reason == '+1000.0 mJ'


def test_a_runner_up_that_is_late_more_often_is_said_to_be() -> None:
    f = forecast(flat(9.0, _3=0.1, _5=0.9), flat(5.0, _3=1.0, _5=0.9), spread_s=0.1)
    decision = planner().choose(f, 1.0)
    assert decision.option == Option(1, 'raw', '/s')
    assert decision.runner_up_reason.startswith('-100.0 mJ, +14.0 points more late')


@pytest.mark.parametrize('deadline_s', [0.0, -1.0, inf, nan])
def test_no_deadline_means_least_energy(deadline_s: float) -> None:
    decision = planner().choose(forecast(flat(100.0), flat(2.0, _4=1.0)), deadline_s)
    assert decision.energy_j == 1.0 and decision.feasible and decision.deadline_s == 0.0


def test_the_least_late_is_taken_where_all_are_late() -> None:
    decision = planner().choose(forecast(flat(5.0, _4=2.0), flat(1.0)), 1.0)
    assert decision.latency_s == 2.0 and not decision.feasible
    assert 'nothing keeps the deadline' in decision.reason


def test_floor_keeps_out_what_agrees_less_or_was_never_measured() -> None:
    f = forecast(flat(0.1), flat(5.0, _1=1.0, _2=2.0, _3=3.0),
                 agreement=flat(1.0, _1=nan, _2=0.9, _3=0.96))
    assert planner(agreement_floor=0.95).choose(f, 1.0).energy_j == 3.0
    assert planner(agreement_floor=0.0).choose(f, 1.0).energy_j == 1.0


def test_floor_that_excludes_everything_is_named_and_the_best_is_taken() -> None:
    f = forecast(flat(0.1), flat(1.0), usable=[i > 0 for i in range(COUNT)],
                 agreement=flat(0.5, _4=0.8, _5=nan))
    decision = planner(agreement_floor=0.99).choose(f, 1.0)
    assert decision.option == f.options[4] and 'agreement floor of 0.99' in decision.reason


@pytest.mark.parametrize(('name', 'value'), [
    ('late_price', -1), ('agreement_floor', 1.1), ('agreement_floor', nan), ('max_in_flight', 0)])
def test_absurd_setting_is_named(name: str, value: Any) -> None:
    with pytest.raises(PlanError, match=name):
        PlannerSettings(**{name: value})


def test_what_may_be_late_is_finished_on_board_from_the_last_moment() -> None:
    f = forecast(flat(0.6, _0=0.4), flat(1.0, _0=4.0), spread_s=0.2, hedge=hedge())
    decision = planner().choose(f, 0.8)
    assert not decision.option.local and decision.feasible
    assert decision.hedge_s == pytest.approx(0.5) and 1.0 < decision.energy_j < 4.0


def test_what_is_hardly_ever_in_time_is_not_sent() -> None:
    f = forecast(flat(0.95, _0=0.4), flat(1.0, _0=3.5), spread_s=0.1, hedge=hedge())
    assert planner().choose(f, 0.8).option.local


@pytest.mark.parametrize('work_s', [0.79, 0.9])
def test_a_hedge_that_cannot_meet_the_deadline_never_starts(work_s: float) -> None:
    """It would only make the frames after it late too."""
    f = forecast(flat(0.1, _0=0.9), flat(1.0, _0=4.0), hedge=hedge(work_s))
    assert planner().choose(f, 0.8, waited_s=0.05).hedge_s == inf


def test_a_frame_without_a_deadline_is_finished_on_board_when_its_reply_is_overdue() -> None:
    f = forecast(flat(0.1, _0=0.9), flat(1.0, _0=4.0), spread_s=0.01, hedge=hedge())
    assert planner().choose(f, 0.0).hedge_s == pytest.approx(0.13)


def test_a_worker_that_would_be_busy_for_longer_than_a_period_costs_frames() -> None:
    f = forecast(flat(0.33, _1=0.12), flat(1.0, _0=1.0, _1=2.0), head_s=flat(0.33, _1=0.02))
    assert planner().choose(f, 1.0).option.local
    decision = planner().choose(f, 1.0, period_s=0.25)
    assert decision.option == f.options[1]
    f = forecast(flat(0.33), flat(1.0), head_s=flat(0.5))
    assert '50% of the frames come while the drone is busy' in planner().choose(
        f, 1.0, period_s=0.25).reason


def test_a_server_that_may_not_answer_costs_the_hedge_or_the_price() -> None:
    plain = forecast(flat(0.1, _0=0.4), flat(1.0, _0=2.0), unanswered=flat(0.5, _0=0.0))
    assert planner().choose(plain, 0.8).option.local
    cheap = forecast(flat(0.1, _0=0.4), flat(1.0, _0=2.0), unanswered=flat(0.5, _0=0.0),
                     hedge=hedge(joules=1.0))
    decision = planner().choose(cheap, 0.8)
    assert not decision.option.local and decision.energy_j == pytest.approx(1.5, rel=0.01)
