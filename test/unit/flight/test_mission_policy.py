from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.flight.policy import (
    ECONOMY,
    FULL,
    GROUND,
    POLICIES,
    RETURN,
    Policy,
    PolicySettings,
    Verdict,
    decide,
)
from offload_perception.flight.vehicle_state import Battery, Vehicle

SETTINGS = PolicySettings(hold_s=2.0)
FLYING = Vehicle(armed=True, returning=False, mode='AUTO.MISSION', landed=False)
HOME = Vehicle(armed=True, returning=True, mode='AUTO.RTL', landed=False)
LANDED = Vehicle(armed=True, returning=False, mode='AUTO.LAND', landed=True)
DISARMED = Vehicle(armed=False, returning=True, mode='AUTO.RTL')
GOOD, LOW, EDGE, SILENT = Battery(0.8), Battery(0.2), Battery(0.32), Battery(None, 11.1)


def after(*steps: tuple[float, Vehicle | None, Battery | None]) -> Verdict:
    """Return the policy after some situations; each lasts until the next one's time."""
    verdict = Verdict()
    for now_s, vehicle, battery in steps:
        verdict = decide(verdict, vehicle, battery, now_s, SETTINGS)
    return verdict


@pytest.mark.parametrize(('vehicle', 'battery', 'duty', 'reason'), [
    (FLYING, GOOD, FULL, 'in flight'),
    (FLYING, None, FULL, 'in flight, battery not known'),
    (FLYING, SILENT, FULL, 'in flight, battery not known'),
    (Vehicle(True, False, 'POSCTL', None), GOOD, FULL, 'in flight'),
    (FLYING, LOW, ECONOMY, 'battery at 20%'),
    (HOME, GOOD, RETURN, 'it returns or comes down (mode AUTO.RTL)'),
    (HOME, LOW, RETURN, 'it returns or comes down (mode AUTO.RTL)'),
    (LANDED, LOW, GROUND, 'landed'), (DISARMED, LOW, GROUND, 'disarmed'),
    (None, LOW, FULL, 'the state of the vehicle is not known')])
def test_each_situation_has_its_policy(vehicle: Vehicle | None, battery: Battery | None,
                                       duty: Policy, reason: str) -> None:
    verdict = after((0.0, vehicle, battery), (2.0, vehicle, battery))
    assert (verdict.policy, verdict.reason) == (duty, reason)


def test_a_cheaper_policy_comes_late_and_a_dearer_one_at_once() -> None:
    assert after((0.0, FLYING, GOOD), (10.0, HOME, GOOD), (11.9, HOME, GOOD)).policy is FULL
    assert after((0.0, FLYING, GOOD), (10.0, HOME, GOOD), (12.0, HOME, GOOD)).policy is RETURN
    back = after((0.0, HOME, GOOD), (5.0, HOME, GOOD), (5.1, FLYING, GOOD))
    assert back.policy is FULL and back.reason == 'in flight'
    lost = after((0.0, HOME, GOOD), (5.0, HOME, GOOD), (5.1, None, GOOD))
    assert lost.policy is FULL and 'not known' in lost.reason


def test_a_flickering_land_detector_changes_nothing() -> None:
    steps = [(float(n), LANDED if n % 2 else FLYING, GOOD) for n in range(20)]
    verdict = Verdict()
    for step in steps:
        verdict = decide(verdict, *step[1:], step[0], SETTINGS)
        assert verdict.policy is FULL


def test_a_battery_near_the_threshold_does_not_flicker() -> None:
    low = ((0.0, FLYING, LOW), (2.0, FLYING, LOW))
    assert after(*low, (3.0, FLYING, EDGE)).policy is ECONOMY
    assert after(*low, (3.0, FLYING, GOOD)).policy is FULL
    assert after((0.0, FLYING, EDGE), (9.0, FLYING, EDGE)).policy is FULL
    assert after(*low, (3.0, FLYING, SILENT)).policy is FULL


VEHICLES = st.none() | st.builds(Vehicle, armed=st.booleans(), returning=st.booleans(),
                                 mode=st.just('m'), landed=st.none() | st.booleans())
BATTERIES = st.none() | st.builds(Battery, fraction=st.none() | st.floats(0, 1))


@given(st.lists(st.tuples(VEHICLES, BATTERIES), max_size=30), st.floats(0.1, 3.0))
def test_what_is_unknown_is_full_and_each_policy_can_be_explained(
        situations: list[tuple[Vehicle | None, Battery | None]], step_s: float) -> None:
    verdict, now_s = Verdict(), 0.0
    for vehicle, battery in situations:
        verdict, now_s = decide(verdict, vehicle, battery, now_s, SETTINGS), now_s + step_s
        if vehicle is None:
            assert verdict.policy is FULL
        assert verdict.reason
        again = decide(verdict, vehicle, battery, now_s + SETTINGS.hold_s, SETTINGS)
        assert again.policy is verdict.wanted, 'a situation that lasts gets its policy'


def test_the_terms_go_from_cheap_to_dear() -> None:
    terms = {p.name: p.terms(SETTINGS) for p in (RETURN, GROUND, ECONOMY, FULL)}
    assert len(terms) == len(POLICIES)
    assert [t[0] for t in terms.values()] == sorted((t[0] for t in terms.values()), reverse=True)
    assert all(scale >= 1 for _, scale in terms.values())
    assert terms['full'] == (0.0, 1.0) and terms['return'][0] > terms['ground'][0]
    assert all(a != b for a, b in pairwise(terms.values()))
