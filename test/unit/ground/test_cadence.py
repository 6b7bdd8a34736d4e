from hypothesis import given
from hypothesis import strategies as st

from offload_perception.cadence import Cadence, RateLimit


@given(st.lists(st.floats(0.0, 0.24), min_size=1, max_size=200))
def test_work_shorter_than_the_period_does_not_shift_the_ticks(works_s: list[float]) -> None:
    cadence, now_s = Cadence(0.25, 100.0), 100.0
    for tick, work_s in enumerate(works_s):
        now_s += cadence.wait_s(now_s)
        assert abs(now_s - (100.0 + 0.25 * tick)) < 1e-9
        now_s += work_s
    assert cadence.missed == 0


def test_ticks_passed_unused_are_counted_and_not_made_up_for() -> None:
    cadence = Cadence(1.0, 0.0)
    assert cadence.wait_s(0.0) == 0.0
    assert cadence.wait_s(3.5) == 0.0  # late for tick 3; 1 and 2 are gone
    assert cadence.missed == 2
    assert cadence.wait_s(3.5) == 0.5


def test_a_rate_is_not_exceeded() -> None:
    limit = RateLimit(5.0)
    due_s = [t for t in (n / 30 for n in range(300)) if limit.due(t)]
    assert 49 <= len(due_s) <= 51


@given(st.lists(st.floats(-0.024, 0.024), min_size=20, max_size=100))
def test_a_source_of_the_same_rate_loses_no_frame_by_its_jitter(jitter_s: list[float]) -> None:
    limit = RateLimit(10.0)
    assert all(limit.due(100.0 + 0.1 * n + late_s) for n, late_s in enumerate(jitter_s))


def test_no_rate_is_no_limit() -> None:
    limit = RateLimit(0.0)
    assert all(limit.due(1.0) for _ in range(3))
