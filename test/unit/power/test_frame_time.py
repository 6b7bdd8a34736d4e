"""When the stages of a frame ran, as its FrameLatency tells."""

from math import nan
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.frames import Outcome
from offload_perception.power.energy.frame_time import TimedFrame, timed_frame

STAGES = ('queue', 'preprocess', 'head', 'encode', 'link', 'server_wait', 'decode', 'tail')
SECONDS = st.one_of(st.just(nan), st.floats(0.0, 100.0))


def timed(total: float, outcome: Outcome = Outcome.REMOTE, **fields: Any) -> TimedFrame:
    return timed_frame(SimpleNamespace(**{
        'end': 10.0, 'total': total, 'outcome': outcome, 'bytes': 1000,
        **dict.fromkeys(STAGES, nan), **fields}))


def spans(frame: TimedFrame) -> list[Any]:
    return [(s.stage, pytest.approx(s.start_s), pytest.approx(s.end_s)) for s in frame.spans]


def test_a_frame_is_away_from_its_sending_to_its_reply() -> None:
    frame = timed(0.5, queue=0.1, preprocess=0.02, head=0.1, encode=0.03, link=0.05,
                  server_wait=0.1, decode=0.01, tail=0.09)
    assert (frame.start_s, frame.end_s) == (9.5, 10.0)
    assert spans(frame) == [('preprocess', 9.6, 9.62), ('head', 9.62, 9.72),
                            ('encode', 9.72, 9.75), ('link', 9.75, 10.0)]


def test_a_frame_without_a_reply_ran_its_head_at_its_start_and_then_waited() -> None:
    frame = timed(1.0, Outcome.DROPPED, queue=0.0, preprocess=0.0, head=0.2, encode=0.1)
    assert spans(frame) == [('head', 9.0, 9.2), ('encode', 9.2, 9.3), ('link', 9.3, 10.0)]


def test_a_hedge_ends_the_wait() -> None:
    frame = timed(1.0, Outcome.LOCAL, queue=0.0, preprocess=0.0, head=0.2, encode=0.1, tail=0.4)
    assert spans(frame)[2:] == [('link', 9.3, 9.6), ('tail', 9.6, 10.0)]


def test_a_frame_that_was_never_sent_was_not_away() -> None:
    hedged = timed(1.0, Outcome.LOCAL, queue=0.0, head=0.2, encode=0.1, tail=0.4, bytes=0)
    assert spans(hedged) == [('head', 9.0, 9.2), ('encode', 9.2, 9.3), ('tail', 9.6, 10.0)]
    on_board = timed(0.5, Outcome.LOCAL, queue=0.1, preprocess=0.1, head=0.3, bytes=0)
    assert spans(on_board) == [('preprocess', 9.6, 9.7), ('head', 9.7, 10.0)]


def test_a_frame_that_was_dropped_at_once_has_no_stages() -> None:
    assert timed(0.0, Outcome.DROPPED, bytes=0).spans == ()


@given(st.sampled_from(Outcome), st.floats(0.0, 100.0),
       st.fixed_dictionaries(dict.fromkeys(STAGES, SECONDS)), st.integers(0, 1))
def test_stages_lie_one_after_the_other_within_the_frame(
        outcome: Outcome, total: float, stages: dict[str, float], size: int) -> None:
    frame = timed(total, outcome, **stages, bytes=size)
    at_s = frame.start_s
    for span in frame.spans:
        assert at_s <= span.start_s < span.end_s <= frame.end_s
        at_s = span.end_s
