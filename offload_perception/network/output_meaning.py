"""What the outputs of a network mean: classes, detections, a map of classes, or just tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from offload_perception.errors import ModelError
from offload_perception.tensor import TensorSpec

CLASSIFICATION, DETECTION, SEGMENTATION, TENSORS = (
    'classification', 'detection', 'segmentation', 'tensors')
KINDS = (CLASSIFICATION, DETECTION, SEGMENTATION, TENSORS)
MOST_DETECTIONS = 1000


@dataclass(frozen=True)
class Meaning:
    """What the outputs mean, with their places among the outputs.

    Classification: `scores` is the place of one score for each class. Detection: `boxes`
    (n, 4) as ymin, xmin, ymax, xmax in 0..1 of the input, `classes` (n,), `scores` (n,) and
    `count`, -1 if there is none. Segmentation: `scores` is the place of the class map (H, W), or
    of one score for each class (H, W, C).
    """

    kind: str = CLASSIFICATION
    scores: int = 0
    boxes: int = -1
    classes: int = -1
    count: int = -1

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> 'Meaning':
        """Return what `to_dict` described; raises ModelError for an unknown kind."""
        meaning = cls(**d)
        if meaning.kind not in KINDS:
            raise ModelError(f"the outputs mean '{meaning.kind}'; use one of {', '.join(KINDS)}")
        return meaning


def meaning_of(outputs: Sequence[TensorSpec], names: Sequence[str], kind: str = '',
               post_process: Sequence[int] = ()) -> Meaning:
    """Return what outputs of these shapes and names mean; `kind` overrides what is found.

    :param post_process: the places of boxes, classes, scores and count, if the operator
        TFLite_Detection_PostProcess makes them.
    :raises ModelError: if they cannot mean `kind`.
    """
    found = {
        CLASSIFICATION: _classification(outputs),
        DETECTION: _detection(outputs, names, post_process),
        SEGMENTATION: _segmentation(outputs),
        TENSORS: Meaning(TENSORS, -1)}
    if kind:
        if kind not in KINDS:
            raise ModelError(f"task '{kind}' is unknown; use one of {', '.join(KINDS)}")
        if (meaning := found[kind]) is None:
            raise ModelError(f'outputs of shape {", ".join(str(s.shape) for s in outputs)} are no '
                             f'{kind}; leave the task out, or use {TENSORS}')
        return meaning
    return next(m for m in (found[k] for k in (CLASSIFICATION, DETECTION, SEGMENTATION, TENSORS))
                if m is not None)


def classes_of(meaning: Meaning, outputs: Sequence[TensorSpec]) -> int | None:
    """Return how many classes the outputs know, None if they do not say."""
    if meaning.kind == CLASSIFICATION:
        return max(outputs[meaning.scores].size, 2)  # a sigmoid's one output is two classes
    if meaning.kind == SEGMENTATION and len(outputs[meaning.scores].shape) == 3:
        channels = outputs[meaning.scores].shape[2]
        return channels if channels > 1 else None
    return None


def _classification(outputs: Sequence[TensorSpec]) -> Meaning | None:
    one = len(outputs) == 1 and sum(d > 1 for d in outputs[0].shape) <= 1
    return Meaning() if one and outputs[0].size >= 1 else None


def _segmentation(outputs: Sequence[TensorSpec]) -> Meaning | None:
    maps = [k for k, spec in enumerate(outputs)
            if len(spec.shape) in (2, 3) and min(spec.shape[:2], default=0) > 1]
    return Meaning(SEGMENTATION, maps[0]) if len(outputs) == 1 and maps else None


def _detection(outputs: Sequence[TensorSpec], names: Sequence[str],
               post_process: Sequence[int]) -> Meaning | None:
    """Find boxes (n, 4), classes and scores (n,), and one number, in whatever order they come.

    Without the operator itself, classes and scores are told apart by their names, or come in the
    operator's order.
    """
    if len(post_process) == 4:
        boxes_at, classes_at, scores_at, count_at = post_process
        return Meaning(DETECTION, scores_at, boxes_at, classes_at, count_at)
    if len(outputs) not in (3, 4):
        return None
    boxes = [k for k, s in enumerate(outputs) if len(s.shape) == 2 and s.shape[1] == 4]
    counts = [k for k, s in enumerate(outputs) if s.size == 1]
    lists = [k for k, s in enumerate(outputs) if len(s.shape) == 1 and s.size > 1]
    if len(boxes) != 1 or len(lists) != 2 or len(counts) != len(outputs) - 3:
        return None
    if any(outputs[k].size != outputs[boxes[0]].shape[0] for k in lists):
        return None
    classes, scores = _classes_and_scores(lists, names)
    return Meaning(DETECTION, scores, boxes[0], classes, counts[0] if counts else -1)


def _classes_and_scores(lists: Sequence[int], names: Sequence[str]) -> tuple[int, int]:
    by_name: Mapping[int, str] = {k: names[k].lower() for k in lists}
    for k, other in (lists, tuple(reversed(lists))):
        if 'class' in by_name[k] or 'score' in by_name[other]:
            return k, other
    first, second = sorted(lists, key=by_name.__getitem__)
    return first, second


