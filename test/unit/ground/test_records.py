import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from offload_perception.frames import DROP_REASON_OF, Status, top_k

SCORES = npst.arrays(np.float32, st.integers(1, 50), elements=st.floats(0, 1, width=32))


@given(SCORES, st.integers(1, 60))
def test_top_k_are_the_best_in_order(scores: np.ndarray, k: int) -> None:
    top = top_k(scores, lambda i: f'label {i}', k)
    assert len(top.ids) == min(k, scores.size) == len(set(top.ids))
    assert list(top.scores) == sorted(scores.astype(float), reverse=True)[:k]
    assert top.scores == tuple(float(scores[i]) for i in top.ids)
    assert top.labels == tuple(f'label {i}' for i in top.ids)


def test_every_refusal_of_a_server_is_a_reason_for_a_drop() -> None:
    assert set(DROP_REASON_OF) == set(Status) - {Status.OK, Status.PROBE}
