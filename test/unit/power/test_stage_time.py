from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.power.energy.stage_time import Span, StageTime, shared_s

TIMES = st.floats(0.0, 10.0)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(sorted), min_size=1, max_size=20)


@given(SPANS, st.tuples(TIMES, TIMES).map(sorted))
def test_time_in_which_several_frames_are_in_a_stage_counts_once(spans: list[list[float]],
                                                                 stretch: list[float]) -> None:
    time = StageTime(100)
    for start_s, end_s in spans:
        time.add(Span('head', start_s, end_s))
    low_s, high_s = stretch
    edges_s = sorted({low_s, high_s, *(t for s in spans for t in s if low_s <= t <= high_s)})
    inside = sum(after - before for before, after in pairwise(edges_s)
                 if any(s <= (before + after) / 2 < e for s, e in spans))
    assert time.within('head', np.array([low_s]), np.array([high_s]))[0] == pytest.approx(
        inside, abs=1e-9)


@given(SPANS)
def test_frames_in_one_stage_share_its_time(spans: list[list[float]]) -> None:
    frames, time = [Span('link', *s) for s in spans], StageTime(100)
    for frame in frames:
        time.add(frame)
    shares_s = [shared_s(f, [o for o in frames if o is not f]) for f in frames]
    together_s = time.within('link', np.array([0.0]), np.array([10.0]))[0]
    assert sum(shares_s) == pytest.approx(together_s, abs=1e-9)


def test_other_stages_take_no_share() -> None:
    head, link = Span('head', 0.0, 1.0), Span('link', 0.0, 1.0)
    assert shared_s(head, [link]) == 1.0
    assert shared_s(link, [Span('link', 0.5, 2.0), head]) == pytest.approx(0.75)


def test_stages_are_apart() -> None:
    time = StageTime(10)
    time.add(Span('head', 0.0, 1.0))
    time.add(Span('encode', 1.0, 1.5))
    assert time.stages == ('encode', 'head')
    assert time.within('encode', np.array([0.0, 1.2]), np.array([2.0, 1.3])) == pytest.approx(
        [0.5, 0.1])


def test_forgotten_spans_are_known_to_be_unknown() -> None:
    time = StageTime(2)
    assert time.known_from_s == np.inf
    time.add(Span('head', 0.0, 1.0))
    assert time.known_from_s == 0.0
    time.add(Span('head', 1.0, 2.0))
    time.add(Span('head', 2.0, 3.0))
    assert time.known_from_s == 2.0
