import cv2
import numpy as np
import pytest

from offload_perception.cli.command import table
from offload_perception.errors import ModelError
from offload_perception.model.evaluate import Evaluation, read_folder


@pytest.fixture(scope='module')
def rows(artefact, images):
    evaluation = Evaluation(artefact, images[:6], np.zeros(6, np.int64))
    return {row.name: row for row in evaluation.rows([3, 20], lambda text: None)}


def test_every_cut_is_measured_and_changes_nothing(rows, artefact):
    cuts = [row for name, row in rows.items() if name.startswith('int8 cut at')]
    assert len(cuts) == artefact.last - 1
    assert [row.mismatches for row in cuts] == [0] * len(cuts)


def test_float_files_agree(rows):
    assert rows['Keras float32'].agreement == rows['float32 .tflite'].agreement == 1.0
    assert rows['Keras float32'].top1 <= rows['Keras float32'].top5


def test_float_tails_follow_int8_heads(rows):
    assert 'int8 to block1_pool, then float32' in rows
    assert rows['int8 to fc2, then float32'].mismatches is None


def test_a_changed_score_is_counted(artefact, images):
    evaluation = Evaluation(artefact, images[:3], np.zeros(3, np.int64))
    wrong = evaluation._int8.copy()
    wrong[1, 2] ^= 1
    assert evaluation._row('x', wrong, wrong).mismatches == 1


def test_labelled_folder(artefact, tmp_path):
    for label in ('c1', 'c7'):
        (tmp_path / label).mkdir()
        cv2.imwrite(str(tmp_path / label / 'a.png'), np.zeros((50, 40, 3), np.uint8))
    images, labels = read_folder(tmp_path, artefact)
    assert images.shape == (2, 32, 32, 3)
    assert labels.tolist() == [1, 7]
    (tmp_path / 'c7').rename(tmp_path / 'boat')
    with pytest.raises(ModelError, match='unknown: boat'):
        read_folder(tmp_path, artefact)


def test_images_of_another_size(artefact):
    with pytest.raises(ModelError, match='takes'):
        Evaluation(artefact, np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1))


def test_table_aligns_numbers_to_the_right():
    assert table(('a', 'bytes'), [('x', 5), ('yy', 1234)]) == (
        '| a  | bytes |\n| -- | ----: |\n| x  |     5 |\n| yy |  1234 |')
