from collections import Counter

import pytest

from offload_perception.errors import ConfigError
from offload_perception.load_test.load_plan import LoadPlan


def plan(**changes: object) -> LoadPlan:
    return LoadPlan(**{'drones': 4, 'rate': 40.0, 'seconds': 50.0, 'cuts': (1, 2),
                       'deadlines_s': (0.1, 0.2), **changes})  # type: ignore[arg-type]


def test_a_plan_is_the_same_each_time_and_another_with_another_seed() -> None:
    assert plan().arrivals() == plan().arrivals() != plan(seed=1).arrivals()


@pytest.mark.parametrize('steady', [False, True])
def test_drones_send_their_share_and_a_flood_its_own(steady: bool) -> None:
    arrivals = plan(flood=10.0, steady=steady).arrivals()
    sent = Counter(a.drone for a in arrivals)
    assert sent[0] == pytest.approx(5000, rel=0.05)
    assert all(sent[n] == pytest.approx(500, rel=0.15) for n in (1, 2, 3))
    assert [a.at_s for a in arrivals] == sorted(a.at_s for a in arrivals)
    assert [a.number for a in arrivals] == list(range(1, len(arrivals) + 1))
    assert {a.cut for a in arrivals} == {1, 2} and {a.deadline_s for a in arrivals} == {0.1, 0.2}
    assert arrivals[0].at_s >= 0.0 and arrivals[-1].at_s < 50.0


@pytest.mark.parametrize('wrong', [
    {'drones': 0}, {'drones': 1000}, {'rate': 0.0}, {'rate': float('nan')}, {'seconds': -1.0},
    {'flood': 0.5}, {'rate': 1e9}, {'cuts': ()}, {'deadlines_s': ()}, {'deadlines_s': (-1.0,)}])
def test_a_plan_that_cannot_be_sent_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match='a load'):
        plan(**wrong)
