"""Labels files of networks of one's own, with a line for the background or without."""

from pathlib import Path
from typing import Any

import pytest
from unit.networks import real

from offload_perception.errors import ModelError
from offload_perception.network.output_meaning import (
    CLASSIFICATION,
    DETECTION,
    SEGMENTATION,
    Meaning,
)
from offload_perception.preparation import tflite_file
from offload_perception.preparation.prepare import prepare
from offload_perception.preparation.tflite_file import read_classes
from offload_perception.tensor import TensorSpec

SCORES = TensorSpec((4,), 'uint8', 1 / 256)
MAP = TensorSpec((8, 8), 'int64')


def labels(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / 'labels.txt'
    file.write_text('\n'.join(lines))
    return file


def not_asked() -> Any:
    raise AssertionError('only a detector is asked for its scores')


@pytest.mark.parametrize(('lines', 'found'), [
    (('none', 'cat', 'dog', 'kite'), ('none', 'cat', 'dog', 'kite')),
    (('cat', 'dog', 'kite'), ('background', 'cat', 'dog', 'kite')),
    (('3 kite', '1 cat', '0 none', '2 dog'), ('none', 'cat', 'dog', 'kite'))])
def test_labels_of_a_classifier_may_leave_out_the_background(
        tmp_path: Path, lines: tuple[str, ...], found: tuple[str, ...]) -> None:
    file = labels(tmp_path, *lines)
    assert read_classes(file, Meaning(CLASSIFICATION), [SCORES], not_asked) == found


def test_labels_of_another_classifier_are_refused(tmp_path: Path) -> None:
    file = labels(tmp_path, 'cat', 'dog')
    with pytest.raises(ModelError, match='2 lines, but the network has 4 classes'):
        read_classes(file, Meaning(CLASSIFICATION), [SCORES], not_asked)


@pytest.mark.parametrize(('lines', 'found'), [
    (('???', 'cat', 'dog'), ('cat', 'dog')), (('cat', 'dog'), ('cat', 'dog')),
    (('0 cat', '1 dog'), ('cat', 'dog'))])
def test_classes_of_a_detector_do_not_count_the_background(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...],
        found: tuple[str, ...]) -> None:
    monkeypatch.setattr(tflite_file, '_scored_classes', lambda graph: 3)
    file = labels(tmp_path, *lines)
    assert read_classes(file, Meaning(DETECTION), [], lambda: None) == found  # type: ignore


def test_labels_of_a_map_are_taken_as_they_are(tmp_path: Path) -> None:
    file = labels(tmp_path, 'background', 'bird')
    assert read_classes(file, Meaning(SEGMENTATION), [MAP], not_asked) == ('background', 'bird')


def test_a_prepared_detector_is_labelled_as_its_file_is(tmp_path: Path) -> None:
    file, named = real('ssd_mobilenet_v1_coco_quant.tflite'), real('coco_labels.txt')
    whole = prepare(file, labels=named, cache_dir=tmp_path)
    assert (whole.label(15), whole.label(16)) == ('bird', 'cat')
    plain = prepare(file, cache_dir=tmp_path)
    assert prepare(plain.path, labels=named).labels == whole.labels


def test_a_prepared_classifier_is_labelled_as_its_file_is(tmp_path: Path) -> None:
    plain = prepare(real('mobilenet_v1_0.25_128_quant.tflite'), cache_dir=tmp_path)
    file = labels(tmp_path, *(f'thing {n}' for n in range(1000)))
    assert prepare(plain.path, labels=file).label(1) == 'thing 0'
