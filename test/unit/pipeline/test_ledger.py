from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.frames import DropReason, Outcome
from offload_perception.pipeline.ledger import FrameLedger

ENDS = st.sampled_from([(Outcome.REMOTE, None), (Outcome.LOCAL, None),
                        *((Outcome.DROPPED, reason) for reason in DropReason)])
STEPS = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 30), ENDS)), max_size=80)


@given(STEPS)
def test_any_interleaving_adds_up_and_no_frame_ends_twice(steps: list[Any]) -> None:
    ledger, frames, ended = FrameLedger(), [], {}
    for step in steps:
        if step is None:
            frames.append(ledger.open(1.0, 'header', 'image', 0.0))
            continue
        index, (outcome, reason) = step
        if index >= len(frames):
            continue
        counts = ledger.close(frames[index], outcome, 2.0, reason)
        assert (counts is None) == (index in ended)
        ended.setdefault(index, (outcome, reason))
    counts, ends = ledger.counts, list(ended.values())
    assert [f.sequence for f in frames] == list(range(1, len(frames) + 1))
    assert counts.captured == len(frames) == (
        counts.remote + counts.local + counts.dropped + counts.under_way)
    assert counts.under_way == len(frames) - len(ends)
    assert counts.remote == ends.count((Outcome.REMOTE, None))
    assert counts.local == ends.count((Outcome.LOCAL, None))
    assert counts.reasons.total() == counts.dropped
    assert all(counts.reasons[r.value] == ends.count((Outcome.DROPPED, r)) for r in DropReason)
    assert [f.outcome for i, f in enumerate(frames) if i in ended] == [
        ended[i][0] for i in sorted(ended)]


@pytest.mark.parametrize(('outcome', 'reason'), [
    (Outcome.DROPPED, None), (Outcome.REMOTE, DropReason.TIMEOUT)])
def test_a_drop_and_nothing_else_has_a_reason(outcome: Outcome, reason: DropReason | None) -> None:
    ledger = FrameLedger()
    frame = ledger.open(0.0, None, None, 0.0)
    with pytest.raises(ValueError, match='reason'):
        ledger.close(frame, outcome, 1.0, reason)
    assert ledger.counts.under_way == 1


def test_counts_handed_out_do_not_change_afterwards() -> None:
    ledger = FrameLedger()
    first, second = (ledger.open(0.0, None, None, 0.0) for _ in range(2))
    before = ledger.close(first, Outcome.DROPPED, 1.0, DropReason.TIMEOUT)
    ledger.close(second, Outcome.DROPPED, 1.0, DropReason.TIMEOUT)
    assert before.reasons == {'no reply': 1}


@pytest.mark.parametrize(('outcome', 'total_s', 'deadline_s', 'met'), [
    (Outcome.REMOTE, 0.2, 0.2, True), (Outcome.REMOTE, 0.21, 0.2, False),
    (Outcome.LOCAL, 9.0, 0.0, True), (Outcome.DROPPED, 0.1, 0.2, False)])
def test_deadline_is_met_by_a_result_in_time(outcome: Outcome, total_s: float, deadline_s: float,
                                             met: bool) -> None:
    ledger = FrameLedger()
    frame = ledger.open(0.0, None, None, deadline_s)
    assert not frame.deadline_met
    reason = DropReason.TIMEOUT if outcome is Outcome.DROPPED else None
    ledger.close(frame, outcome, total_s, reason)
    assert frame.deadline_met is met
