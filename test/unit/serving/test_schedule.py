from collections import Counter
from itertools import count
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.frames import Status
from offload_perception.serving.fair_shares import ACTIVE_S, KNOWN_S, Shares
from offload_perception.serving.schedule import IDLE_PATIENCE_S, Refusal, Schedule, Waiting
from offload_perception.serving.tail_times import TailTimes

IMAGE, DENSE = 0, 2  # cuts before the join and at it
ALONE_S = {IMAGE: 0.04, 1: 0.02, DENSE: 0.002, 3: 0.001}
TOGETHER_S = {1: 0.010, 4: 0.013, 16: 0.025}
NUMBER = count()
KNOWN = ('a', 'b', 'c', 'flood', 'quiet', 'big', 'small', 'patient', 'busy')


def schedule(limit: int = 64, most: int = 16, weights: dict[str, float] | None = None,
             **bounds: int) -> Schedule[int]:
    times = TailTimes(cuts=4, join=DENSE, most=most)
    for cut, seconds in ALONE_S.items():
        times.observe_alone(cut, seconds)
    for n, seconds in TOGETHER_S.items():
        times.observe_together(DENSE, n, seconds)
    shares = Shares(weights)
    for at_s in (-100.0, -100.0 + KNOWN_S):
        for drone in KNOWN:
            shares.hear(f'/{drone}/edge', at_s)
    return Schedule(times, shares, limit=limit, **bounds)


def tensor(now_s: float = 0.0, left_s: float = inf, cut: int = DENSE, drone: str = 'a',
           size: int = 1000) -> Waiting[int]:
    return Waiting(f'/{drone}/edge', cut, now_s, now_s + left_s, size, next(NUMBER))


def refused(refusals: list[Refusal[int]]) -> list[tuple[Status, int]]:
    return [(r.status, r.tensor.item) for r in refusals]


def test_the_earliest_deadline_goes_first() -> None:
    s = schedule(most=1)
    tensors = [tensor(left_s=left, drone=d) for left, d in ((0.9, 'a'), (0.5, 'b'), (0.7, 'c'))]
    for t in tensors:
        assert not s.offer(t, 0.0)
    order = []
    while len(s):
        batch, late = s.take(0.0)
        order += batch
        assert not late
    assert order == [tensors[1], tensors[2], tensors[0]]


def test_a_batch_holds_frames_of_several_drones_and_cuts() -> None:
    s = schedule()
    tensors = [tensor(left_s=1.0, cut=cut, drone=d) for cut, d in
               ((IMAGE, 'a'), (DENSE, 'b'), (3, 'c'), (DENSE, 'd'))]
    for t in tensors:
        s.offer(t, 0.0)
    batch, _ = s.take(0.0)
    assert len(batch) > 1 and len(s) == 4 - len(batch)


def test_the_size_of_a_batch_is_that_which_keeps_most_deadlines() -> None:
    s = schedule()
    s.offer(tensor(left_s=0.0135, drone='urgent'), 0.0)  # alone it takes 12 ms, with others 16
    for n in range(3):
        s.offer(tensor(left_s=0.2, drone=f'd{n}'), 0.0)
    batch, _ = s.take(0.0)
    assert [t.drone for t in batch] == ['/urgent/edge']
    s.finish(batch, 0.0, 0.012)
    batch, _ = s.take(0.012)
    assert len(batch) == 3


def test_what_cannot_be_in_time_is_late_before_it_is_computed() -> None:
    s = schedule(most=1)
    s.offer(tensor(), 0.0)
    s.take(0.0)
    hopeless, good = tensor(0.0, 0.030), tensor(0.0, 0.5, drone='b')
    assert not s.offer(hopeless, 0.0) and not s.offer(good, 0.0)
    batch, late = s.take(0.025)  # the first took 13 ms longer than expected
    assert batch == [good] and refused(late) == [(Status.LATE, hopeless.item)]


def test_with_nothing_else_to_do_a_tensor_is_tried_until_its_deadline() -> None:
    s = schedule()
    t = tensor(left_s=0.005)  # it takes 12 ms, as far as is known
    assert not s.offer(t, 0.0)
    assert s.take(0.001)[0] == [t]
    late = tensor(1.0, 0.005)
    assert not s.offer(late, 1.0)
    batch, refusals = s.take(1.006)
    assert not batch and refused(refusals) == [(Status.LATE, late.item)]


def test_who_would_wait_too_long_is_told_how_long_at_once() -> None:
    s = schedule(most=1)
    s.offer(tensor(cut=IMAGE), 0.0)
    s.take(0.0)  # busy until 50 ms
    t = tensor(0.01, left_s=0.03, drone='b')
    refusal, = s.offer(t, 0.01)
    assert refusal.status is Status.BUSY and 'wait would be 0.040 s' in refusal.why
    assert t.expected_wait_s == pytest.approx(0.04) and len(s) == 0
    t = tensor(0.01, left_s=0.06, drone='b')
    assert not s.offer(t, 0.01)
    assert t.expected_wait_s == pytest.approx(0.04)
    # With 36 ms left to its deadline, as is usual, a tensor would be too late: after that one.
    assert s._usual_left_s == pytest.approx(0.036)
    assert s.expected_wait_s(0.01) == pytest.approx(0.052)


def test_without_a_deadline_a_tensor_waits_for_idle_time_but_not_for_ever() -> None:
    s = schedule(most=1)
    patient = tensor(drone='patient')
    s.offer(patient, 0.0)
    now_s, batch = 0.0, []
    while patient not in batch:
        s.offer(tensor(now_s, 0.1, drone='busy'), now_s)
        batch, _ = s.take(now_s)
        s.finish(batch, now_s, now_s + 0.012)
        now_s += 0.012
        assert now_s < IDLE_PATIENCE_S + 0.1
    assert now_s > IDLE_PATIENCE_S


def test_a_full_queue_refuses_the_drone_with_the_most_waiting() -> None:
    s = schedule(limit=4)
    for _ in range(4):
        assert not s.offer(tensor(drone='flood'), 0.0)
    refusal, = s.offer(tensor(drone='quiet'), 0.0)
    assert refusal.tensor.drone == '/flood/edge' and refusal.status is Status.BUSY
    assert '4 tensors wait already, 3 of them' in refusal.why
    newest = tensor(drone='flood')
    assert refused(s.offer(newest, 0.0)) == [(Status.BUSY, newest.item)]
    assert s.waiting == {'/flood/edge': 3, '/quiet/edge': 1}


def test_the_weight_of_a_drone_counts_in_a_full_queue() -> None:
    s = schedule(limit=4, weights={'/big': 4.0})
    for _ in range(3):
        s.offer(tensor(drone='big'), 0.0)
    s.offer(tensor(drone='small'), 0.0)
    refusal, = s.offer(tensor(drone='small'), 0.0)
    assert refusal.tensor.drone == '/small/edge'


def test_the_bytes_of_a_queue_are_bounded() -> None:
    s = schedule(limit_bytes=2500)
    assert not s.offer(tensor(), 0.0) and not s.offer(tensor(), 0.0)
    assert s.offer(tensor(), 0.0)[0].status is Status.BUSY


def test_who_is_over_its_share_goes_after_the_others() -> None:
    s = schedule(most=1)
    now_s = 0.0
    for _ in range(400):  # it spends what was saved up
        s.offer(tensor(now_s, drone='flood'), now_s)
        batch, _ = s.take(now_s)
        s.finish(batch, now_s, now_s + 0.05)
        now_s += 0.05
        s._shares.hear('/quiet/edge', now_s)  # it is there, and takes nothing
    early = tensor(now_s, 0.1, drone='flood')
    later = tensor(now_s, 0.2, drone='quiet')
    assert not s.offer(early, now_s) and not s.offer(later, now_s)
    assert s.take(now_s)[0] == [later]


def test_newcomers_hold_half_of_the_queue_and_yield_the_rest() -> None:
    s = schedule(limit=4)
    assert not s.offer(tensor(drone='new1'), 0.0) and not s.offer(tensor(drone='new2'), 0.0)
    refusal, = s.offer(tensor(drone='new3'), 0.0)
    assert refusal.status is Status.BUSY and 'not heard of before' in refusal.why
    assert not s.offer(tensor(drone='a'), 0.0) and not s.offer(tensor(drone='a'), 0.0)
    for n in (2, 1):  # a known drone takes the place of a newcomer, though it has more waiting
        assert s.offer(tensor(drone='a'), 0.0)[0].tensor.drone.startswith('/new')
        assert sum(name.startswith('/new') for name in s.waiting) == n - 1


def test_a_flood_of_ever_new_names_costs_a_known_drone_nothing() -> None:
    """A tail takes 0.053 s: 19 a second. The flood: 500 a second, in as much of a hurry."""
    s = schedule(most=1)
    now_s, kept, lost = 0.0, 0, 0
    arrivals = sorted([(0.1 * n, True) for n in range(200)]
                      + [(0.002 * n, False) for n in range(10_000)])
    while arrivals:
        while arrivals and arrivals[0][0] <= now_s:
            at_s, genuine = arrivals.pop(0)
            drone = 'a' if genuine else f'forged{at_s}'
            refusals = s.offer(tensor(at_s, 0.15, cut=IMAGE, drone=drone), now_s)
            lost += any(r.tensor.drone == '/a/edge' for r in refusals)
        batch, _ = s.take(now_s)
        end_s = now_s + (0.053 if batch else 0.002)
        s.finish(batch, now_s, end_s)
        kept += sum(t.drone == '/a/edge' and end_s <= t.due_s for t in batch)
        now_s = end_s
    assert (kept, lost) == (200, 0)


LEFT_S = st.one_of(st.just(inf), st.floats(-0.01, 0.3))


@given(st.lists(st.tuples(st.sampled_from('abc'), st.sampled_from(list(ALONE_S)), LEFT_S,
                          st.floats(0.0, 0.05)), max_size=60),
       st.integers(1, 8), st.sampled_from([1, 3, 16]))
def test_every_tensor_is_computed_or_refused_once(
        arrivals: list[tuple[str, int, float, float]], limit: int, most: int) -> None:
    s, now_s, free_s = schedule(limit, most), 0.0, 0.0
    computed: Counter[int] = Counter()
    gone: Counter[int] = Counter()
    offered: list[Waiting[Any]] = []

    def work() -> None:
        nonlocal free_s
        batch, late = s.take(now_s)
        gone.update(r.tensor.item for r in late)
        computed.update(t.item for t in batch)
        assert len(batch) <= most
        free_s = now_s + s._times.batch_s(t.cut for t in batch)
        s.finish(batch, now_s, free_s)

    for drone, cut, left_s, gap_s in arrivals:
        now_s += gap_s
        while len(s) and free_s <= now_s:
            work()
        t = tensor(now_s, left_s, cut, drone)
        offered.append(t)
        gone.update(r.tensor.item for r in s.offer(t, now_s))
        assert len(s) <= limit and t.expected_wait_s >= 0.0
    for _ in range(1000):
        now_s = max(now_s, free_s)
        if not len(s):
            break
        work()
    assert not len(s)
    assert computed + gone == Counter(t.item for t in offered)


def test_a_tensor_that_would_push_out_another_is_refused() -> None:
    s = schedule(most=1)
    s.offer(tensor(), 0.0)
    s.take(0.0)  # busy until 12 ms
    first = tensor(left_s=0.030, drone='b')
    assert not s.offer(first, 0.0)
    urgent = tensor(left_s=0.025, drone='c')  # in time if it goes first; then the other is late
    assert refused(s.offer(urgent, 0.0)) == [(Status.BUSY, urgent.item)]
    assert s.take(0.012)[0] == [first]


def test_of_several_that_are_too_late_one_is_tried() -> None:
    s = schedule()
    s.offer(tensor(), 0.0)
    s.take(0.0)
    doomed = [tensor(left_s=left, drone=d) for left, d in ((0.05, 'b'), (0.06, 'c'))]
    for t in doomed:
        assert not s.offer(t, 0.0)
    batch, late = s.take(0.055)  # what was computed took 43 ms longer than expected
    assert batch == [doomed[1]] and refused(late) == [(Status.LATE, doomed[0].item)]


def test_the_first_deadlines_of_a_drone_are_within_its_share() -> None:
    s = schedule(most=1)
    s._shares.hear('/a/edge', 0.0)
    s._shares.hear('/b/edge', 0.0)
    s._shares.pay('/a/edge', 0.5 * ACTIVE_S - 0.001, 0.0)  # of its half: enough for one tensor
    later, sooner = tensor(left_s=0.9), tensor(left_s=0.5)
    other = tensor(left_s=0.7, drone='b')
    for t in (later, sooner, other):
        assert not s.offer(t, 0.0)
    order = [s.take(0.0)[0][0] for _ in range(3)]
    assert order == [sooner, other, later]


def test_a_wait_is_expected_as_others_did_wait_by_what_was_planned() -> None:
    s = schedule(most=1)
    for _ in range(400):
        first, second = tensor(), tensor()
        s.offer(first, 0.0)
        s.take(0.0)
        s.offer(second, 0.0)  # it waits for the first one
        s.observe_wait(second, 1.5 * second.planned_wait_s)
        s.take(0.0)
        s.finish([first, second], 0.0, 0.0)
    t = tensor()
    s.offer(tensor(), 0.0)
    s.take(0.0)
    s.offer(t, 0.0)
    assert t.planned_wait_s == pytest.approx(ALONE_S[DENSE] + TOGETHER_S[1])
    assert t.expected_wait_s == pytest.approx(1.5 * t.planned_wait_s)


def test_answering_takes_time_before_the_next_batch() -> None:
    times = TailTimes(cuts=4, join=DENSE, most=1)
    times.observe_alone(DENSE, 0.002)
    times.observe_together(DENSE, 1, 0.010)
    times.observe_reply(0.005)
    s = Schedule[int](times, Shares(), limit=8)
    s.offer(tensor(), 0.0)
    s.take(0.0)
    t = tensor()
    s.offer(t, 0.0)
    assert t.planned_wait_s == pytest.approx(0.002 + 0.010 + 0.005)
