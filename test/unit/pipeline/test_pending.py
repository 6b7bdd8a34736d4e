"""The frames in flight: each is removed once, and each change wakes the waiting threads."""

from collections.abc import Callable
from math import inf, nan
from threading import Condition, Thread
from typing import Any

import pytest
from unit.pipeline.pipeline_fakes import WAIT_S

from offload_perception.frames import Frame
from offload_perception.pipeline.pending import PendingFrames


def frame(sequence: int, hedge_at_s: float = inf, encoded_s: float = nan) -> Frame:
    return Frame(sequence, 0.0, None, None, hedged=hedge_at_s < inf, hedge_at_s=hedge_at_s,
                 encoded_s=encoded_s)


@pytest.fixture
def pending() -> PendingFrames:
    return PendingFrames(Condition())


def with_frames(pending: PendingFrames, *frames: Frame) -> PendingFrames:
    for f in frames:
        pending.add(f)
    return pending


def test_a_frame_is_removed_once_and_never_in_place_of_another(pending: PendingFrames) -> None:
    one = frame(1)
    with_frames(pending, one)
    assert pending.find(1) is one and pending.find(2) is None and len(pending) == 1
    assert not pending.remove(frame(1))  # of another activation
    assert one in pending and pending.remove(one)
    assert not pending.remove(one) and len(pending) == 0 and pending.find(1) is None


@pytest.mark.parametrize(('hedge_at_s', 'stays'), [(5.0, True), (inf, False)])
def test_a_frame_that_is_to_be_finished_on_board_may_stay(pending: PendingFrames,
                                                          hedge_at_s: float, stays: bool) -> None:
    one = frame(1, hedge_at_s)
    with_frames(pending, one)
    assert pending.remove(one, keep_hedged=True) and (one in pending) is stays
    assert pending.remove(one) is stays and one not in pending


def test_only_those_that_were_sent_and_have_no_other_way_are_given_up(
        pending: PendingFrames) -> None:
    old, new, unsent, hedged = (frame(1, encoded_s=1.0), frame(2, encoded_s=2.0), frame(3),
                                frame(4, 9.0, encoded_s=1.0))
    with_frames(pending, old, new, unsent, hedged)
    assert pending.remove_unanswered(1.5) == [old]
    assert all(f in pending for f in (new, unsent, hedged)) and old not in pending
    assert pending.remove_all() == [new, unsent, hedged] and len(pending) == 0


def test_overdue_frames_are_given_once_the_most_urgent_first(pending: PendingFrames) -> None:
    late, later = frame(1, 7.0), frame(2, 5.0)
    with_frames(pending, late, later, frame(3))
    assert pending.next_hedge_s == 5.0 and pending.overdue(4.9) is None
    assert pending.overdue(8.0) is later and pending.next_hedge_s == 7.0
    assert pending.overdue(8.0) is late and pending.overdue(8.0) is None
    assert pending.next_hedge_s == inf and len(pending) == 3


def test_a_frame_in_a_hurry_is_overdue_at_once_and_none_is_put_off(pending: PendingFrames) -> None:
    soon, late = frame(1, 5.0), frame(2, 9.0)
    with_frames(pending, soon, late)
    pending.hedge_now(late, 3.0)
    pending.hedge_now(soon, 99.0)
    assert pending.overdue(3.0) is late and pending.next_hedge_s == 5.0


@pytest.mark.parametrize('change', [
    lambda pending, f: pending.remove(f), lambda pending, f: pending.hedge_now(f, 0.0),
    lambda pending, f: pending.remove_unanswered(2.0)], ids=['land', 'hurry', 'give up'])
def test_waiting_threads_are_woken_by_room_and_by_hurry(change: Callable[..., Any]) -> None:
    changed, one = Condition(), frame(1, encoded_s=1.0)
    pending = with_frames(PendingFrames(changed), one)
    with changed:
        thread = Thread(target=change, args=(pending, one))
        thread.start()
        assert changed.wait(WAIT_S)
    thread.join(WAIT_S)
