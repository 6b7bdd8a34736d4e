"""What a flight node says of its autopilot."""

import pytest

from offload_perception.health.flight_watch import CLOCKS_APART_S, FlightWatch

TOPICS = {'state': '/state', 'position': '/fix', 'attitude': '/imu'}


@pytest.fixture
def watch() -> FlightWatch:
    watch = FlightWatch(TOPICS, started_s=100.0)
    for name in ('position', 'attitude'):
        watch.observe_pose(name, 0.1, True, 101.0)
    return watch


def texts(watch: FlightWatch, *, known: bool = True, now_s: float = 101.0) -> list[str]:
    return [f.text for f in watch.findings(known, now_s)]


def test_nothing_is_wrong_where_all_is_there(watch: FlightWatch) -> None:
    assert texts(watch) == []


def test_a_silent_autopilot_is_named_by_its_topic(watch: FlightWatch) -> None:
    found, = texts(watch, known=False)
    assert found.startswith('no recent message on /state') and 'policy full' in found


def test_a_pose_that_has_stopped_another_clock_and_no_fix_are_distinguished(
        watch: FlightWatch) -> None:
    assert all('for 60 s on' in text for text in texts(watch, now_s=161.0))
    watch.observe_pose('attitude', 2 * CLOCKS_APART_S, True, 101.0)
    watch.observe_pose('position', 0.1, False, 101.0)  # the fix is lost, after good ones
    fix, clock = texts(watch)
    assert fix.startswith('the position on /fix is not valid')
    assert clock.startswith('stamps on /imu are 2.0 s off')


def test_a_pose_that_never_came(watch: FlightWatch) -> None:
    assert 'no position yet on /fix' in texts(FlightWatch(TOPICS, 0.0), now_s=60.0)[0]
