import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.power.energy.stage_time import Span, StageTime

TIMES = st.floats(0.0, 10.0)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(sorted), min_size=1, max_size=20)


@given(SPANS, st.tuples(TIMES, TIMES).map(sorted))
def test_time_within_a_stretch_is_the_sum_of_the_overlaps(spans: list[list[float]],
                                                          stretch: list[float]) -> None:
    time = StageTime(100)
    for start_s, end_s in spans:
        time.add(Span('head', start_s, end_s))
    low_s, high_s = stretch
    overlaps = sum(max(0.0, min(e, high_s) - max(s, low_s)) for s, e in spans)
    assert time.within('head', np.array([low_s]), np.array([high_s]))[0] == pytest.approx(
        overlaps, abs=1e-9)


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
