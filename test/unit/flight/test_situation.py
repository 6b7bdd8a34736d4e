from offload_perception.flight.situation import Situation
from offload_perception.flight.vehicle_state import Battery, Vehicle

FLYING = Vehicle(armed=True, returning=False, mode='POSCTL')


def test_nothing_is_known_before_the_first_message() -> None:
    assert Situation(5.0).vehicle(0.0) is None and Situation(5.0).battery(0.0) is None


def test_what_is_not_repeated_is_forgotten() -> None:
    s = Situation(5.0)
    s.see_vehicle(FLYING, 100.0)
    s.see_landed(False, 102.0)
    s.see_battery('', Battery(0.5), 100.0)
    assert s.vehicle(105.0) == Vehicle(True, False, 'POSCTL', landed=False)
    assert s.battery(105.0) == Battery(0.5)
    assert s.vehicle(105.1) is None and s.battery(105.1) is None
    s.see_vehicle(FLYING, 108.0)
    assert s.vehicle(108.0).landed is None, 'the land detector has been silent'


def test_an_autopilot_that_disconnects_is_not_known() -> None:
    s = Situation(5.0)
    s.see_vehicle(FLYING, 0.0)
    s.see_vehicle(None, 1.0)
    assert s.vehicle(1.0) is None


def test_the_emptiest_battery_counts() -> None:
    s = Situation(5.0)
    s.see_battery('id0', Battery(None, 11.0), 0.0)
    assert s.battery(0.0) == Battery(None, 11.0)
    s.see_battery('id1', Battery(0.7), 0.0)
    s.see_battery('id2', Battery(0.2), 0.0)
    assert s.battery(0.0) == Battery(0.2)
    s.see_battery('id2', Battery(0.9), 4.0)
    assert s.battery(4.0) == Battery(0.7)
