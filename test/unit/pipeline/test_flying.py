"""The frames in flight: each is removed once, and each change wakes the waiting threads."""

from math import inf, nan
from threading import Condition, Thread

import pytest
from pipeline_fakes import WAIT_S

from offload_perception.frames import Frame
from offload_perception.pipeline.flying import Flying


def frame(sequence: int, hedge_at_s: float = inf, encoded_s: float = nan) -> Frame:
    return Frame(sequence, 0.0, None, None, hedged=hedge_at_s < inf, hedge_at_s=hedge_at_s,
                 encoded_s=encoded_s)


@pytest.fixture
def flying():
    return Flying(Condition())


def with_frames(flying: Flying, *frames: Frame) -> Flying:
    for f in frames:
        flying.take_off(f)
    return flying


def test_a_frame_is_removed_once_and_never_in_place_of_another(flying):
    one = frame(1)
    with_frames(flying, one)
    assert flying.find(1) is one and flying.find(2) is None and len(flying) == 1
    assert not flying.land(frame(1))  # of another activation
    assert one in flying and flying.land(one)
    assert not flying.land(one) and len(flying) == 0 and flying.find(1) is None


@pytest.mark.parametrize(('hedge_at_s', 'stays'), [(5.0, True), (inf, False)])
def test_a_frame_that_is_to_be_finished_on_board_may_stay(flying, hedge_at_s, stays):
    one = frame(1, hedge_at_s)
    with_frames(flying, one)
    assert flying.land(one, keep_hedged=True) and (one in flying) is stays
    assert flying.land(one) is stays and one not in flying


def test_only_those_that_were_sent_and_have_no_other_way_are_given_up(flying):
    old, new, unsent, hedged = (frame(1, encoded_s=1.0), frame(2, encoded_s=2.0), frame(3),
                                frame(4, 9.0, encoded_s=1.0))
    with_frames(flying, old, new, unsent, hedged)
    assert flying.land_unanswered(1.5) == [old]
    assert all(f in flying for f in (new, unsent, hedged)) and old not in flying
    assert flying.land_all() == [new, unsent, hedged] and len(flying) == 0


def test_overdue_frames_are_given_once_the_most_urgent_first(flying):
    late, later = frame(1, 7.0), frame(2, 5.0)
    with_frames(flying, late, later, frame(3))
    assert flying.next_hedge_s == 5.0 and flying.overdue(4.9) is None
    assert flying.overdue(8.0) is later and flying.next_hedge_s == 7.0
    assert flying.overdue(8.0) is late and flying.overdue(8.0) is None
    assert flying.next_hedge_s == inf and len(flying) == 3


def test_a_frame_in_a_hurry_is_overdue_at_once_and_none_is_put_off(flying):
    soon, late = frame(1, 5.0), frame(2, 9.0)
    with_frames(flying, soon, late)
    flying.hurry(late, 3.0)
    flying.hurry(soon, 99.0)
    assert flying.overdue(3.0) is late and flying.next_hedge_s == 5.0


@pytest.mark.parametrize('change', [
    lambda flying, f: flying.land(f), lambda flying, f: flying.hurry(f, 0.0),
    lambda flying, f: flying.land_unanswered(2.0)], ids=['land', 'hurry', 'give up'])
def test_waiting_threads_are_woken_by_room_and_by_hurry(change):
    changed, one = Condition(), frame(1, encoded_s=1.0)
    flying = with_frames(Flying(changed), one)
    with changed:
        thread = Thread(target=change, args=(flying, one))
        thread.start()
        assert changed.wait(WAIT_S)
    thread.join(WAIT_S)
