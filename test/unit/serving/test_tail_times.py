import pytest

from offload_perception.serving.tail_times import TailTimes


def test_a_tensor_takes_what_its_cut_took_else_what_others_took() -> None:
    times = TailTimes(cuts=3, join=3, most=8)
    assert times.alone_s(0) == 0.0 and times.most == 1 and not times.known(0)
    times.observe_alone(1, 0.5)
    times.observe_alone(2, 0.1)
    assert [times.alone_s(cut) for cut in range(3)] == pytest.approx([0.3, 0.5, 0.1])
    times.observe_alone(1, 1.0)
    assert times.alone_s(1) == pytest.approx(0.55)  # as 0.75: no more than half as much again
    times.observe_alone(1, 0.05)
    assert times.alone_s(1) == pytest.approx(0.45)


def test_a_batch_takes_its_own_ways_to_the_join_and_one_from_there() -> None:
    times = TailTimes(cuts=4, join=2, most=8)
    for cut, seconds in ((0, 0.2), (2, 0.01), (3, 0.02)):
        times.observe_alone(cut, seconds)
    for n, seconds in ((1, 0.1), (4, 0.13)):
        times.observe_together(2, n, seconds)
    assert times.sizes == [1, 2, 4, 8]
    assert times.batch_s([0, 2, 3, 3]) == pytest.approx(0.2 + 0.01 + 0.02 + 0.02 + 0.13)
    assert times.batch_s([2, 2]) == pytest.approx(0.02 + 0.11)  # between those measured
    assert times.batch_s([2] * 8) == pytest.approx(0.08 + 0.26)  # above: proportional
    assert times.batch_s([3]) == pytest.approx(0.02 + 0.1)  # as from the join
    times.observe_together(3, 1, 0.05)
    assert times.batch_s([3]) == pytest.approx(0.02 + 0.05)
    assert times.batch_s([]) == 0.0
