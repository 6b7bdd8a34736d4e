"""How long a server is left alone that turns frames away for what they are."""

import pytest

from offload_perception.planning.back_off import BackOff


def until_s(back_off: BackOff, from_s: float) -> float:
    """Return when the pause is over, in tenths of a second."""
    tenths = round(10 * from_s)
    return next(t / 10 for t in range(tenths, tenths + 1000) if not back_off.holds(t / 10))


def test_pauses_double_up_to_half_a_minute() -> None:
    back_off, now_s, pauses = BackOff(), 0.0, []
    for _ in range(7):
        back_off.observe_refusal(now_s, 'another model')
        pauses.append(until_s(back_off, now_s) - now_s)
        now_s += pauses[-1]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30])


def test_frames_that_were_out_already_make_it_no_longer() -> None:
    back_off = BackOff()
    for now_s in (0.0, 0.1, 0.2):
        back_off.observe_refusal(now_s, 'the first reason' if not now_s else 'again')
    assert until_s(back_off, 0.0) == pytest.approx(1.0) and back_off.why == 'the first reason'


def test_a_result_ends_it_and_the_next_refusal_begins_anew() -> None:
    back_off = BackOff()
    for now_s in (0.0, 2.0, 5.0):
        back_off.observe_refusal(now_s, '')
    assert back_off.why == 'without a reason'
    back_off.reset()
    assert not back_off.holds(5.1) and back_off.why == ''
    back_off.observe_refusal(5.2, 'x')
    assert until_s(back_off, 5.2) == pytest.approx(6.2)


def test_a_clock_that_went_back_ends_it() -> None:
    back_off = BackOff()
    back_off.observe_refusal(1000.0, 'x')
    assert back_off.holds(1000.5) and not back_off.holds(3.0)
