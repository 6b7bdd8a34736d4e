import re
from collections.abc import Iterator
from dataclasses import replace
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.frames import DropReason, Outcome
from offload_perception.telemetry.found import Found
from offload_perception.telemetry.summary import (
    LOST_WITH_NODE,
    NOT_DELIVERED,
    FrameRecord,
    LabelRecord,
    PowerRecord,
    ResultRecord,
    Summary,
    percent,
)

ENDS = st.sampled_from([(Outcome.REMOTE, ''), (Outcome.LOCAL, ''),
                        *((Outcome.DROPPED, r.value) for r in DropReason)])
LINE = re.compile(r'frames: captured (\d+) = remote (\d+) \+ local (\d+) \+ dropped (\d+)'
                  r'(?: \(([^)]*)\))?(?: \+ under way (\d+))?$')


def records(ends: list[tuple[Outcome, str]], under_way: int = 0,
            before: tuple[int, int, int] = (0, 0, 0), from_s: float = 0.0) -> Iterator[Any]:
    """FrameRecords with counters as a drone keeps them; `before` ended unseen."""
    counts = dict(zip(Outcome, before, strict=True))
    for sequence, (outcome, reason) in enumerate(ends, 1 + sum(before)):
        counts[outcome] += 1
        yield FrameRecord(
            sum(counts.values()), outcome, reason, 'block4_pool', 'here', 0.1, True,
            outcome is not Outcome.DROPPED,
            captured=sum(counts.values()) + under_way, remote=counts[Outcome.REMOTE],
            local=counts[Outcome.LOCAL], dropped=counts[Outcome.DROPPED],
            sequence=sequence, end_s=from_s + 1e-6 * sequence)


def summary_of(frames: Iterator[Any] | list[FrameRecord]) -> Summary:
    summary = Summary()
    for frame in frames:
        summary.add_frame(frame)
    return summary


def forest(stamp: int, trained: bool = True) -> ResultRecord:
    return ResultRecord(stamp, 'classification', (Found(3, 'forest', 0.5),), trained)


def parsed(line: str) -> tuple[int, int, int, int, dict[str, int], int]:
    captured, remote, local, dropped, tally, under_way = LINE.match(line).groups()
    reasons = dict(item.rsplit(' ', 1) for item in tally.split(', ')) if tally else {}
    return (int(captured), int(remote), int(local), int(dropped),
            {r: int(n) for r, n in reasons.items()}, int(under_way or 0))


@given(st.lists(ENDS, max_size=60), st.integers(0, 3), st.integers(0, 80) | st.none())
def test_the_closing_line_adds_up(ends: list[tuple[Outcome, str]], under_way: int,
                                  published: int | None) -> None:
    summary = summary_of(records(ends, under_way))
    captured, remote, local, dropped, reasons, flying = parsed(summary.closing_lines(published)[0])
    assert captured == remote + local + dropped + flying
    assert (remote, local) == tuple(
        sum(o is wanted for o, _ in ends) for wanted in (Outcome.REMOTE, Outcome.LOCAL))
    assert sum(reasons.values()) == dropped
    lost = reasons.pop(NOT_DELIVERED, 0)
    assert lost == max(0, (published or 0) - len(ends) - (under_way if ends else 0))
    assert all(reasons[r] == sum(reason == r for _, reason in ends) for r in reasons)
    assert summary.adds_up()


@given(st.lists(ENDS, min_size=1, max_size=20), st.tuples(*[st.integers(0, 1000)] * 3))
def test_who_joins_late_counts_what_was_seen(ends: list[tuple[Outcome, str]],
                                             before: tuple[int, int, int]) -> None:
    summary = summary_of(records(ends, before=before))
    captured, *_, flying = parsed(summary.closing_lines()[0])
    assert (captured, flying, summary.under_way) == (len(ends), 0, 0)


@given(st.lists(ENDS, min_size=2, max_size=20), st.randoms(use_true_random=False))
def test_the_order_in_which_two_threads_publish_does_not_matter(
        ends: list[tuple[Outcome, str]], random: Any) -> None:
    frames = list(records(ends))
    random.shuffle(frames)
    summary = summary_of(frames)
    assert summary.adds_up() and summary.under_way == 0


@pytest.mark.parametrize('from_s', [1000.0, -1000.0])  # the node is new, or the computer, too
@given(ends=st.lists(ENDS, min_size=1, max_size=20), again=st.lists(ENDS, min_size=1, max_size=40),
       under_way=st.integers(0, 3), random=st.randoms(use_true_random=False))
def test_a_node_that_was_killed_and_started_again_loses_what_was_under_way(
        from_s: float, ends: list[tuple[Outcome, str]], again: list[tuple[Outcome, str]],
        under_way: int, random: Any) -> None:
    first, second = list(records(ends, under_way)), list(records(again, from_s=from_s))
    random.shuffle(first)
    summary = summary_of(first + second)
    captured, *_, dropped, reasons, flying = parsed(summary.closing_lines()[0])
    assert captured == len(ends) + len(again) + under_way and flying == 0
    assert reasons.get(LOST_WITH_NODE, 0) == under_way and sum(reasons.values()) == dropped
    assert summary.adds_up()


def test_what_ended_before_a_viewer_came_is_counted_but_not_in_its_first_line() -> None:
    frames = [replace(f, end_s=0.1 * n) for n, f in enumerate(records([(Outcome.LOCAL, '')] * 50))]
    summary = summary_of(frames)
    assert summary.live_line(1.0).startswith(' 10.0 fps') and summary.results == 50


def test_a_record_that_got_lost_is_noticed() -> None:
    frames = list(records([(Outcome.REMOTE, ''), (Outcome.LOCAL, ''), (Outcome.LOCAL, '')]))
    assert not summary_of([frames[0], frames[2]]).adds_up()


def test_energy_counts_from_the_first_frame_and_says_when_it_is_emulated() -> None:
    summary = Summary()  # frames of 0.1 s end at 1, 2 and 3 s
    for at_s in range(-5, 1):
        summary.add_power(PowerRecord(at_s, 5.0, 25.0 + 5.0 * at_s, True))
    for n, frame in enumerate(records([(Outcome.REMOTE, ''), (Outcome.LOCAL, ''),
                                       (Outcome.DROPPED, 'x')]), 1):
        summary.add_frame(frame)
        summary.add_power(PowerRecord(n + 0.5, 5.0, 25.0 + 5.0 * (n + 0.5), True))
    for at_s in range(4, 60):  # the nodes are being shut down
        summary.add_power(PowerRecord(at_s, 5.0, 25.0 + 5.0 * at_s, True))
    assert summary.energy.per_result_j == pytest.approx(5.0 * 2.1 / 2)
    assert ('energy: 5.250 J per frame with a result, idle power included (EMULATED meter, '
            'metered 100 % of the time)') in summary.closing_lines()
    assert '(emulated)' in summary.live_line(1.0)


def test_what_a_meter_did_not_measure_is_not_metered() -> None:
    summary = Summary()
    for at_s, power_w in ((0.0, 5.0), (1.0, 5.0), (2.0, nan), (3.0, nan), (60.0, nan)):
        summary.add_power(PowerRecord(at_s, power_w, min(at_s, 1.0) * 5.0, False))
        for frame in records([(Outcome.LOCAL, '')]):
            summary.add_frame(replace(frame, at_s=at_s + 0.5))
    assert summary.energy.metered < 0.1 and 'nan' not in summary.live_line(1.0)


def test_a_metered_energy_does_not_say_emulated() -> None:
    summary = Summary()
    summary.add_power(PowerRecord(0.0, 5.0, 1.0, False))
    for frame in records([(Outcome.LOCAL, '')]):
        summary.add_frame(frame)
    summary.add_power(PowerRecord(2.0, 5.0, 2.0, False))
    assert 'metered' in summary.closing_lines()[2] and 'mulated' not in summary.live_line(1.0)


def test_a_silent_meter_is_reported() -> None:
    summary = Summary()
    summary.add_power(PowerRecord(0.0, 5.0, 0.0, False))
    for frame in records([(Outcome.LOCAL, '')] * 10):
        summary.add_frame(frame)
        if frame.at_s < 7:
            summary.add_power(PowerRecord(frame.at_s, 5.0, 5.0 * frame.at_s, False))
    assert any('(metered 56 % of the time)' in x for x in summary.closing_lines())


@pytest.mark.parametrize(('share', 'text'), [(1.0, '100 %'), (0.999, '99 %'), (0.92, '92 %'),
                                             (0.0, '0 %')])
def test_less_than_all_is_never_all(share: float, text: str) -> None:
    assert percent(share) == text


def test_the_live_line_covers_one_period_and_names_drops_and_untrained_labels() -> None:
    summary = summary_of(records([(Outcome.REMOTE, ''), (Outcome.DROPPED, 'no reply')]))
    summary.add_result(forest(1, trained=False))
    line = summary.live_line(0.5)
    for text in ('2.0 fps', 'split block4_pool', 'p50 100.0', 'dropped 1 (no reply 1)',
                 'forest 50% (untrained)'):
        assert text in line
    assert '0.0 fps' in summary.live_line(1.0) and 'dropped' not in summary.live_line(1.0)


def test_deadline_share_counts_every_frame_with_a_deadline() -> None:
    summary = summary_of(records([(Outcome.REMOTE, ''), (Outcome.DROPPED, 'no reply')]))
    assert 'deadline met: 50.0% of 2 frames' in summary.closing_lines()


def test_labels_are_judged_by_the_stamp_whichever_comes_first() -> None:
    summary = Summary()
    summary.add_result(forest(1))
    summary.add_truth(LabelRecord(1, 'forest'))
    summary.add_truth(LabelRecord(2, 'water'))
    summary.add_result(forest(2))
    summary.add_result(forest(3))
    assert (summary.right, summary.judged) == (1, 2)


def test_what_waits_for_its_counterpart_or_for_a_line_is_bounded() -> None:
    summary = Summary()
    for stamp in range(600):
        summary.add_result(forest(stamp))
    for stamp in (0, 599):
        summary.add_truth(LabelRecord(stamp, 'forest'))
    assert summary.judged == 1  # the oldest was given up
    for frame in records([(Outcome.LOCAL, '')] * 3000):
        summary.add_frame(frame)
    assert summary.live_line(1.0).startswith('2048.0 fps') and summary.results == 3000


def test_an_emulated_computer_is_a_property_of_the_run() -> None:
    frames = list(records([(Outcome.REMOTE, '')] * 3))
    summary = summary_of([frames[0], replace(frames[1], emulated='raspberry_pi_3b_plus'),
                          frames[2]])
    line, = (x for x in summary.closing_lines() if 'EMULATED computer' in x)
    assert line.endswith('paced as on raspberry_pi_3b_plus')
    assert not any('EMULATED' in x for x in summary_of(frames).closing_lines())


def found_by(kind: str, *results: list[Found]) -> Summary:
    summary = Summary()
    for stamp, found in enumerate(results):
        summary.add_result(ResultRecord(stamp, kind, tuple(found)))
        summary.add_truth(LabelRecord(stamp, 'cat'))
    return summary


def test_objects_are_counted_over_all_results_and_are_not_judged() -> None:
    summary = found_by('detection', [Found(1, 'cat', 0.9, 2), Found(2, 'dog', 0.8, 1)], [],
                       [Found(1, 'cat', 0.7, 1)])
    assert summary.closing_lines()[-1] == 'found: 4 objects in 3 results: cat 3, dog 1'
    assert summary.live_line(1.0).endswith('1 cat') and summary.judged == 0
    rows = [(r.label, r.results, r.amount) for r in summary.found['detection'].rows()]
    assert rows == [('cat', 2, 3), ('dog', 1, 1)]
    assert found_by('detection', []).closing_lines()[-1] == 'found: 0 objects in 1 results'


def test_shares_of_classes_are_means_over_all_pictures() -> None:
    summary = found_by('segmentation', [Found(0, 'background', 0.75), Found(8, 'cat', 0.25)],
                       [Found(0, 'background', 1.0)])
    assert summary.closing_lines()[-1] == (
        'found: shares of 2 pictures: background 87.5%, cat 12.5%')


def test_more_labels_than_a_line_holds_are_counted() -> None:
    summary = found_by('detection', [Found(n, f'thing{n}', 0.5, 1) for n in range(12)])
    assert summary.closing_lines()[-1].endswith('thing7 1 and 4 more labels')
    assert not found_by('tensors', []).closing_lines()[-1].startswith('found')
