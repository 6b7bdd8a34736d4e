"""When the stages of a frame ran, as a meter's node reads it from the frame's message."""

from math import nan

import pytest
from offload_perception.msg import FrameLatency

from offload_perception.nodes.frame_energy import _timed
from offload_perception.power.energy.attribution import TimedFrame

STAGES = ('queue', 'preprocess', 'head', 'encode', 'link', 'server_wait', 'decode', 'tail')


def timed(total: float, **stages: float) -> TimedFrame:
    return _timed(FrameLatency(**{'total': total, **dict.fromkeys(STAGES, nan), **stages}), 10.0)


def test_stages_that_did_not_run_take_no_time() -> None:
    frame = timed(0.3, preprocess=0.1, link=0.05, tail=0.02)
    assert (frame.start_s, frame.end_s) == (9.7, 10.0)
    preprocess, link = frame.spans
    assert (preprocess.stage, link.stage) == ('preprocess', 'link')
    assert (preprocess.start_s, preprocess.end_s) == pytest.approx((9.83, 9.93))
    assert (link.start_s, link.end_s) == pytest.approx((9.93, 10.0))


def test_a_frame_is_away_from_its_sending_to_its_reply() -> None:
    _, head, encode, away = timed(0.5, preprocess=0.01, head=0.1, encode=0.02, link=0.05,
                                  server_wait=0.1, decode=0.01, tail=0.04).spans
    assert away.stage == 'link' and away.duration_s == pytest.approx(0.2)
    assert head.end_s == encode.start_s and encode.end_s == pytest.approx(away.start_s)


def test_a_frame_that_was_dropped_at_once_has_no_stages() -> None:
    assert timed(0.0).spans == ()
