"""What outputs say: classes, boxes, a class map."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from offload_perception.errors import ModelError
from offload_perception.imaging.resize import boxes_in_picture, fit
from offload_perception.network.artefact import Artefact
from offload_perception.network.interpret import interpret
from offload_perception.network.output_meaning import (
    DETECTION,
    SEGMENTATION,
    Meaning,
    meaning_of,
)
from offload_perception.tensor import TensorSpec

SCORES = npst.arrays(np.float32, st.integers(2, 50), elements=st.floats(0, 1, width=32))
DETECTOR = Meaning(DETECTION, scores=2, boxes=0, classes=1, count=3)


@given(scores=SCORES, k=st.integers(1, 60))
def test_the_best_classes_come_in_order(artefact: Artefact, scores: np.ndarray, k: int) -> None:
    found = interpret((scores,), artefact, top_k=k, min_score=0.0)
    assert len(found.ids) == min(k, scores.size) == len(set(found.ids))
    assert list(found.scores) == sorted(scores.astype(float), reverse=True)[:k]
    assert found.scores == tuple(float(scores[i]) for i in found.ids)
    assert found.labels == tuple(artefact.label(i) for i in found.ids)


def test_a_sigmoid_is_two_classes(artefact: Artefact) -> None:
    found = interpret((np.array([0.2], np.float32),), artefact, top_k=5, min_score=0.0)
    assert found.ids == (0, 1) and found.scores == pytest.approx((0.8, 0.2))


def detected(artefact: Artefact, scores: list[float], count: float,
             boxes: np.ndarray | None = None) -> tuple[int, ...]:
    """Return the places of the detections that are kept."""
    detector = replace(artefact, meaning=DETECTOR)
    n = len(scores)
    outputs = (np.zeros((n, 4), np.float32) if boxes is None else boxes,
               np.arange(n, dtype=np.float32), np.array(scores, np.float32),
               np.array([count], np.float32))
    return interpret(outputs, detector, top_k=5, min_score=0.4).ids


@pytest.mark.parametrize(('count', 'kept'), [
    (4, (2, 0, 3)), (2, (0,)), (0, ()), (99, (2, 0, 3)), (-1, ()), (float('nan'), ())])
def test_detections_come_best_first_over_a_score(artefact: Artefact, count: float,
                                                 kept: tuple[int, ...]) -> None:
    assert detected(artefact, [0.7, 0.3, 0.9, 0.4], count) == kept


def test_boxes_that_are_no_numbers_are_left_out(artefact: Artefact) -> None:
    boxes = np.zeros((2, 4), np.float32)
    boxes[0, 2] = np.nan
    assert detected(artefact, [0.7, 0.6], 2, boxes) == (1,)


def test_a_class_map_names_its_classes_by_their_share(artefact: Artefact) -> None:
    mapped = replace(artefact, meaning=Meaning(SEGMENTATION))
    found = interpret((np.array([[3, 3], [3, 1]]),), mapped, top_k=5, min_score=0.0)
    assert (found.ids, found.scores) == ((3, 1), (0.75, 0.25))
    assert found.tensors[0].dtype == np.uint8 and found.tensors[0].tolist() == [[3, 3], [3, 1]]
    with pytest.raises(ModelError, match='beyond 0'):
        interpret((np.array([[300, 3], [3, 1]]),), mapped, top_k=5, min_score=0.0)


def test_outputs_are_known_by_shape_and_by_their_operator() -> None:
    boxes, ten, one = TensorSpec((10, 4), 'float32'), TensorSpec((10,), 'float32'), TensorSpec(
        (), 'float32')
    names = ['d:3', 'scores', 'n', 'classes']
    assert meaning_of((boxes, ten, one, ten), names) == Meaning(DETECTION, 1, 0, 3, 2)
    assert meaning_of((boxes, ten, ten, one), ['a', 'a:1', 'a:2', 'a:3'],
                      post_process=(0, 1, 2, 3)) == DETECTOR
    assert meaning_of((TensorSpec((33, 33), 'int64'),), ['m']).kind == SEGMENTATION
    with pytest.raises(ModelError, match='are no detection'):
        meaning_of((ten,), ['x'], DETECTION)


@pytest.mark.parametrize('how', ['crop', 'letterbox', 'stretch'])
@pytest.mark.parametrize('size', [(480, 640), (640, 480), (100, 100), (97, 331)])
def test_a_box_lies_where_its_object_lies_in_the_picture(how: str, size: tuple[int, int]) -> None:
    rows, cols = size
    picture = np.zeros((rows, cols, 3), np.uint8)
    top, left = rows // 2 - 20, cols // 2 - 24
    picture[top:top + 40, left:left + 48] = 255
    seen = fit(picture, 96, 96, how=how)[:, :, 0] > 127
    ys, xs = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    box = np.array([[ys[0], xs[0], ys[-1] + 1, xs[-1] + 1]]) / 96
    found = boxes_in_picture(box, size, (96, 96), how)[0]
    scale = max(rows, cols) / 96
    np.testing.assert_allclose(found, [left, top, left + 48, top + 40], atol=1.5 * scale)
