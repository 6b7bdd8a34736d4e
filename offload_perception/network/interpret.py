"""What the outputs of a network say about an image."""

import numpy as np

from offload_perception.errors import ModelError
from offload_perception.frames import Result
from offload_perception.network.artefact import Artefact
from offload_perception.network.labels import MOST_CLASSES
from offload_perception.network.output_meaning import (
    CLASSIFICATION,
    DETECTION,
    MOST_DETECTIONS,
    SEGMENTATION,
    TENSORS,
)
from offload_perception.tensor import Tensors, TensorSpec


def interpret(outputs: Tensors, artefact: Artefact, *, top_k: int, min_score: float) -> Result:
    """Return what dequantised outputs, in the network's order, mean.

    :param top_k: the most classes that are named.
    :param min_score: detections below it are left out.
    :raises ModelError: if they cannot mean what the artefact says.
    """
    return _READERS[artefact.meaning.kind](outputs, artefact, top_k, min_score)


def result_specs(artefact: Artefact) -> tuple[TensorSpec, ...]:
    """Return the tensors that a `Result` of this network holds."""
    outputs = [artefact.spec(i) for i in artefact.outputs]
    if artefact.meaning.kind == SEGMENTATION:
        return (TensorSpec(outputs[artefact.meaning.scores].shape[:2], 'uint8'),)
    if artefact.meaning.kind == TENSORS:
        return tuple(TensorSpec(o.shape, 'float32' if o.quantised else o.dtype) for o in outputs)
    return ()


def _classes(outputs: Tensors, artefact: Artefact, top_k: int, _: float) -> Result:
    scores = outputs[artefact.meaning.scores].reshape(-1)
    if scores.size == 1:  # a sigmoid's one output is two classes
        scores = np.array([1.0 - scores[0], scores[0]], np.float32)
    return best(scores, artefact, top_k)


def best(scores: np.ndarray, artefact: Artefact, k: int,
         kind: str = CLASSIFICATION) -> Result:
    """Return the `k` best of `scores`, one for each class, best first."""
    k = min(k, scores.size)
    ids = np.argpartition(scores, -k)[-k:]
    ids = ids[np.argsort(-scores[ids], kind='stable')]
    return Result(tuple(map(int, ids)), tuple(artefact.label(int(i)) for i in ids),
                  tuple(map(float, scores[ids])), kind=kind)


def _detections(outputs: Tensors, artefact: Artefact, _: int, min_score: float) -> Result:
    meaning = artefact.meaning
    boxes, scores = outputs[meaning.boxes], outputs[meaning.scores].reshape(-1)
    classes = outputs[meaning.classes].reshape(-1)
    count = len(scores)
    if meaning.count >= 0:
        found = float(outputs[meaning.count].reshape(-1)[0])
        count = int(min(max(found, 0.0), count)) if np.isfinite(found) else 0
    usable = (np.isfinite(boxes).all(axis=1) & (classes >= 0) & (classes < MOST_CLASSES)
              & (scores >= min_score))
    usable[min(count, MOST_DETECTIONS):] = False
    order = np.flatnonzero(usable)
    order = order[np.argsort(-scores[order], kind='stable')]
    ids = tuple(map(int, classes[order]))
    return Result(ids, tuple(map(artefact.label, ids)), tuple(map(float, scores[order])),
                  tuple((float(y0), float(x0), float(y1), float(x1))
                        for y0, x0, y1, x1 in boxes[order]), kind=DETECTION)


def _class_map(outputs: Tensors, artefact: Artefact, top_k: int, _: float) -> Result:
    found = outputs[artefact.meaning.scores]
    if found.ndim == 3:
        found = found.argmax(axis=2) if found.shape[2] > 1 else found[:, :, 0] > 0.5
    if found.size and not 0 <= found.min() <= found.max() <= 255:
        raise ModelError('the class map has numbers beyond 0..255')
    found = found.astype(np.uint8)
    shares = np.bincount(found.reshape(-1), minlength=1) / found.size
    named = best(shares, artefact, min(top_k, int(np.count_nonzero(shares))), SEGMENTATION)
    return Result(named.ids, named.labels, named.scores, tensors=(found,), kind=SEGMENTATION)


def _tensors(outputs: Tensors, artefact: Artefact, _: int, __: float) -> Result:
    return Result(tensors=outputs, kind=TENSORS)


_READERS = {CLASSIFICATION: _classes, DETECTION: _detections, SEGMENTATION: _class_map,
            TENSORS: _tensors}
