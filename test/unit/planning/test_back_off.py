"""How long a server is left alone that turns frames away for what they are."""

import pytest

from offload_perception.planning.back_off import BackOff


def until_s(shut: BackOff, from_s: float) -> float:
    """Return when the pause is over, in tenths of a second."""
    tenths = round(10 * from_s)
    return next(t / 10 for t in range(tenths, tenths + 1000) if not shut.holds(t / 10))


def test_pauses_double_up_to_half_a_minute():
    shut, now_s, pauses = BackOff(), 0.0, []
    for _ in range(7):
        shut.refused(now_s, 'another model')
        pauses.append(until_s(shut, now_s) - now_s)
        now_s += pauses[-1]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30])


def test_frames_that_were_out_already_make_it_no_longer():
    shut = BackOff()
    for now_s in (0.0, 0.1, 0.2):
        shut.refused(now_s, 'the first reason' if not now_s else 'again')
    assert until_s(shut, 0.0) == pytest.approx(1.0) and shut.why == 'the first reason'


def test_a_result_ends_it_and_the_next_refusal_begins_anew():
    shut = BackOff()
    for now_s in (0.0, 2.0, 5.0):
        shut.refused(now_s, '')
    assert shut.why == 'without a word of why'
    shut.served()
    assert not shut.holds(5.1) and shut.why == ''
    shut.refused(5.2, 'x')
    assert until_s(shut, 5.2) == pytest.approx(6.2)


def test_a_clock_that_went_back_ends_it():
    shut = BackOff()
    shut.refused(1000.0, 'x')
    assert shut.holds(1000.5) and not shut.holds(3.0)
