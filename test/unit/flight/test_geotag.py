from math import inf

from offload_perception.flight.geotag import Geotagger
from offload_perception.flight.vehicle_state import Position, Quaternion

LEVEL = Quaternion(1.0, 0.0, 0.0, 0.0)


def tagger() -> Geotagger:
    return Geotagger(keep_s=10.0, max_gap_s=1.0, wait_s=0.5)


def fly(t: Geotagger, stamp_s: float) -> None:
    """Add a pose: a metre up a second."""
    t.position.add(stamp_s, Position(47.0, 8.0, stamp_s))
    t.attitude.add(stamp_s, LEVEL)


def test_a_result_waits_for_the_poses_around_its_image() -> None:
    t = tagger()
    fly(t, 10.0)
    t.add(10.2, 'result', now_s=0.0)
    assert t.ready(0.1) == []
    t.position.add(10.4, Position(47.0, 8.0, 10.4))
    assert t.ready(0.1) == [], 'the attitude is not there yet'
    t.attitude.add(10.4, LEVEL)
    (result, tag), = t.ready(0.1)
    assert result == 'result' and tag.reason == ''
    assert abs(tag.position.value.altitude - 10.2) < 1e-9 and tag.attitude.value == LEVEL
    assert t.ready(inf) == [], 'each result comes once'


def test_the_wait_is_bounded_and_the_reason_is_reported() -> None:
    t = tagger()
    t.add(10.2, 'early', now_s=0.0)
    t.add(10.3, 'late', now_s=0.2)
    t.position.add(10.25, Position(47.0, 8.0, 1.0))
    assert t.ready(0.49) == []
    (result, tag), = t.ready(0.5)
    assert result == 'early' and tag.position.value is None and tag.attitude.value is None
    assert tag.reason == ('no position: the image is 0.050 s older than the oldest one kept; '
                          'no attitude: none received')
    assert [r for r, _ in t.ready(0.7)] == ['late']


def test_results_keep_their_order() -> None:
    t = tagger()
    t.add(20.0, 'future', now_s=0.0)
    t.add(10.2, 'known', now_s=0.0)
    fly(t, 10.0)
    fly(t, 10.4)
    assert t.ready(0.1) == []
    assert [(r, bool(tag.reason)) for r, tag in t.ready(0.5)] == [
        ('future', True), ('known', False)]
