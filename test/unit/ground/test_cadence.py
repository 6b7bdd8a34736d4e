from hypothesis import given
from hypothesis import strategies as st

from offload_perception.cadence import Cadence


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
