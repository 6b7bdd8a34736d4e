import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.planning.beat import BEAT_BYTES, BeatWatch, age_s

PERIOD_S, S_PER_BYTE = 0.1, 1e-5


class Air:
    """Sends beats to a watch: the server's clock runs at `rate` and started elsewhere."""

    def __init__(self, rate: float = 1.0, seed: int = 0) -> None:
        self.watch, self._rng, self._rate = BeatWatch(), np.random.default_rng(seed), rate
        self.now_s, self.offset_s = 1000.0, -400.0

    def beat(self, late_s: float = 0.0) -> float:
        """Send one a period after the last, and return what the watch says at once."""
        self.now_s += PERIOD_S
        heard_s = self.now_s + 2e-3 + self._rng.uniform(0.0, 2e-3) + late_s
        self.watch.observe(heard_s, (self.now_s + self.offset_s) * self._rate, PERIOD_S)
        return self.slowdown(heard_s - self.now_s)

    def beats(self, count: int, late_s: float = 0.0) -> list[float]:
        return [self.beat(late_s) for _ in range(count)]

    @property
    def in_doubt(self) -> bool:
        return self.watch.in_doubt(self.now_s)

    @property
    def late(self) -> bool:
        return self.watch.late(self.now_s)

    def slowdown(self, after_s: float) -> float:
        """Return what the watch says so long after the last beat was sent."""
        return self.watch.slowdown(self.now_s + after_s, S_PER_BYTE)


@pytest.fixture
def air() -> Air:
    air = Air()
    air.beats(100)
    return air


def test_without_beats_nothing_is_known() -> None:
    watch = BeatWatch()
    assert watch.slowdown(1e6, S_PER_BYTE) == 1.0
    assert not watch.in_doubt(1e6) and not watch.late(1e6)


def test_steady_beats_are_no_warning() -> None:
    air = Air()
    assert set(air.beats(1000)) == {1.0}
    assert not air.in_doubt


def test_one_late_beat_is_believed_less_the_more_such_were_accidents(air: Air) -> None:
    believed = []
    for _ in range(20):
        believed.append(air.beat(late_s=0.05))
        assert air.beat() == 1.0
    assert believed[0] > 5.0 and believed[2] < 0.7 * believed[0] and believed[-1] < 2.0


def test_late_beats_in_a_row_are_no_accident(air: Air) -> None:
    for _ in range(20):
        air.beat(late_s=0.05)
        air.beats(3)
    one = air.beat(late_s=0.05)
    assert not air.late
    assert air.beat(late_s=0.05) > 5.0 * one and air.late


def test_a_single_late_beat_is_believed_where_others_followed_such(air: Air) -> None:
    first = air.beat(late_s=0.05)
    air.beat(late_s=0.05)
    air.beats(50)
    assert air.beat(late_s=0.05) > 1.2 * first


def test_warnings_have_the_weight_that_frames_bore_out(air: Air) -> None:
    said = air.beats(2, late_s=0.05)[1]
    assert air.watch.warns(air.now_s + 0.06)
    for _ in range(10):
        air.watch.judge(right=False)
    doubted = air.slowdown(0.06)
    for _ in range(40):
        air.watch.judge(right=True)
    assert 1.0 < doubted < 0.3 * said and air.slowdown(0.06) > said


def test_a_slower_link_is_as_much_slower_as_beats_are_late(air: Air) -> None:
    for _ in range(200):
        air.watch.judge(right=True)
    one, two = air.beats(2, late_s=0.01)[1], air.beats(2, late_s=0.02)[1]
    assert one == pytest.approx(1 + 0.01 / (BEAT_BYTES * S_PER_BYTE), rel=0.25)
    assert two - 1 == pytest.approx(2 * (one - 1), rel=0.25)


def test_a_beat_that_does_not_come_is_a_warning(air: Air) -> None:
    assert air.slowdown(PERIOD_S + 3e-3) == 1.0
    assert air.slowdown(1.5 * PERIOD_S) > 2.0
    assert air.slowdown(3.0 * PERIOD_S) > air.slowdown(1.5 * PERIOD_S)
    for _ in range(20):  # single ones that were accidents
        air.beat(late_s=0.05)
        air.beat()
    assert air.slowdown(1.5 * PERIOD_S) < 2.0 < air.slowdown(2.5 * PERIOD_S)


def test_beats_that_stay_late_call_the_link_in_doubt_until_it_is_known(air: Air) -> None:
    assert air.beats(2, late_s=0.05) and air.in_doubt  # what they are worth is not known
    for _ in range(10):
        air.watch.judge(right=True)
    assert air.beats(7, late_s=0.05) and not air.in_doubt
    assert air.beat(late_s=0.05) and air.in_doubt
    air.watch.accept_level()
    assert not air.in_doubt and air.beats(20, late_s=0.05)[-1] == 1.0


@pytest.mark.parametrize('last', [0, 1, 3, 12])
def test_beats_that_stop_for_good_tell_nothing_in_the_end(air: Air, last: int) -> None:
    air.beats(last, late_s=0.05)
    assert air.slowdown(1.0) > 1.0
    air.now_s += 4.0
    assert air.slowdown(0.0) == 1.0 and not air.in_doubt and not air.late


def test_beats_that_come_early_again_tell_that_the_link_is_better(air: Air) -> None:
    air.beats(20, late_s=0.05)
    air.watch.accept_level()
    air.beats(3, late_s=0.05)
    assert not air.in_doubt
    air.beat()
    assert air.in_doubt and air.slowdown(0.0) == 1.0
    air.watch.accept_level()
    assert not air.in_doubt


def test_a_server_that_has_started_again_is_a_new_one(air: Air) -> None:
    air.offset_s = 5000.0
    assert set(air.beats(50)) == {1.0}
    air.offset_s = -5000.0
    assert set(air.beats(50)) == {1.0} and not air.in_doubt


def test_old_and_repeated_beats_are_ignored(air: Air) -> None:
    before = dict(vars(air.watch))
    clock_s = air.now_s + air.offset_s
    for at_s in (clock_s, clock_s - 0.05, clock_s - 0.1, clock_s):
        air.watch.observe(air.now_s + 0.3, at_s, PERIOD_S)
    assert vars(air.watch) == before


@pytest.mark.parametrize('rate', [1.0 - 50e-6, 1.0 + 50e-6])
def test_clocks_may_drift(rate: float) -> None:
    air = Air(rate)
    assert set(air.beats(6000)) == {1.0}
    assert not air.in_doubt and air.slowdown(PERIOD_S) == 1.0
    assert air.beats(2, late_s=6e-3)[1] > 2.0  # drift is not taken for delay


numbers = st.floats(allow_nan=False, allow_infinity=False)
near = st.floats(-1e3, 1e3)


@given(st.lists(st.tuples(near | numbers, near | numbers, near | numbers, near | numbers)),
       st.floats(1e-12, 1e3))
def test_any_beats_leave_a_sane_factor(beats: list[tuple[float, ...]], s_per_byte: float) -> None:
    watch = BeatWatch()
    for now_s, clock_s, period_s, ask_s in beats:
        watch.observe(now_s, clock_s, period_s)
        assert 1.0 <= watch.slowdown(ask_s, s_per_byte) <= 100.0


def test_age_is_that_of_a_message_by_the_clock_of_its_middleware() -> None:
    assert age_s(int(5e18), int(5e18) + 30_000_000) == pytest.approx(0.03)
    assert age_s(0, int(5e18)) == 0.0  # not told
    assert age_s(int(5e18), int(4e18)) == 0.0 and age_s(int(4e18), int(5e18)) == 1.0  # set
