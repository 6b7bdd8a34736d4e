import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from offload_perception.cli import evaluate_model, measure_codecs
from offload_perception.codec.calibration import FILE as CALIBRATION_FILE
from offload_perception.console import table
from offload_perception.errors import ModelError
from offload_perception.evaluation.evaluate import Evaluation, Row, read_folder
from offload_perception.imaging.resize import fit
from offload_perception.network.artefact import Artefact
from offload_perception.planning.sizes import load_costs
from offload_perception.preparation.prepare import BUNDLED
from offload_perception.preparation.representative import folder_images, read_image
from offload_perception.tensor import Tensors


@pytest.fixture(scope='module')
def rows(artefact: Artefact, images: np.ndarray) -> dict[str, Row]:
    evaluation = Evaluation(artefact, images[:6], np.zeros(6, np.int64))
    return {row.name: row for row in evaluation.rows([2, 3], lambda text: None)}


def test_every_cut_is_measured_and_changes_nothing(rows: dict[str, Row],
                                                   artefact: Artefact) -> None:
    cuts = [row for name, row in rows.items() if name.startswith('int8 cut at')]
    assert len(cuts) == artefact.last - 1
    assert [row.mismatches for row in cuts] == [0] * len(cuts)


def test_float_files_agree(rows: dict[str, Row]) -> None:
    assert rows['Keras float32'].agreement == rows['float32 .tflite'].agreement == 1.0
    top1, top5 = rows['Keras float32'].top1, rows['Keras float32'].top5
    assert top1 is not None and top5 is not None and top1 <= top5


def test_float_tails_follow_int8_heads(rows: dict[str, Row]) -> None:
    assert 'int8 to block1_pool, then float32' in rows
    assert rows['int8 to fc1, then float32'].mismatches is None


def test_a_changed_score_is_counted(artefact: Artefact, images: np.ndarray) -> None:
    evaluation = Evaluation(artefact, images[:3], np.zeros(3, np.int64))
    wrong: list[Tensors] = [(scores.copy(),) for scores, in evaluation._whole]
    wrong[1][0][2] ^= 1
    assert evaluation._cut_row('x', wrong).mismatches == 1


def test_labelled_folder(artefact: Artefact, tmp_path: Path) -> None:
    for label in ('c1', 'c7'):
        (tmp_path / label).mkdir()
        cv2.imwrite(str(tmp_path / label / 'a.png'), np.zeros((50, 40, 3), np.uint8))
    images, labels = read_folder(tmp_path, artefact)
    assert images.shape == (2, 32, 32, 3)
    assert labels.tolist() == [1, 7]
    (tmp_path / 'c7').rename(tmp_path / 'boat')
    with pytest.raises(ModelError, match='unknown: boat'):
        read_folder(tmp_path, artefact)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of 40 pictures of two classes that differ in their centre only."""
    rng = np.random.default_rng(0)
    for label in ('c1', 'c7'):
        (tmp_path / label).mkdir()
        for i in range(20):
            picture = rng.integers(0, 256, (60, 120, 3), np.uint8)
            cv2.imwrite(str(tmp_path / label / f'{i}.png'), picture)
    (tmp_path / 'c1' / 'notes.txt').write_text('no picture')
    return tmp_path


def test_pictures_are_taken_at_random_and_the_same_ones_again(
        pictures: Path, artefact: Artefact) -> None:
    images, labels = read_folder(pictures, artefact, 20, seed=3)
    assert len(images) == len(labels) == 20
    assert 4 <= (labels == 1).sum() <= 16  # not the first class alone
    again, _ = read_folder(pictures, artefact, 20, seed=3)
    assert np.array_equal(images, again)
    assert not np.array_equal(labels, read_folder(pictures, artefact, 20, seed=4)[1])


def test_every_command_sees_a_picture_as_the_drone_does(pictures: Path,
                                                        artefact: Artefact) -> None:
    bgr = cv2.imread(str(pictures / 'c7' / '3.png'))
    assert bgr is not None
    stored = bgr[..., ::-1]
    flown = fit(stored, 32, 32)
    assert np.array_equal(read_image(pictures / 'c7' / '3.png', (32, 32, 3)), flown)
    whole = replace(artefact, fit='letterbox')
    assert any(np.array_equal(image, fit(stored, 32, 32, how='letterbox'))
               for image in read_folder(pictures, whole)[0])
    for images in (read_folder(pictures, artefact)[0], folder_images(pictures, (32, 32, 3))):
        assert any(np.array_equal(image, flown) for image in images)


def test_representative_pictures_are_of_all_folders(pictures: Path) -> None:
    few = folder_images(pictures, (32, 32, 3), 20)
    first = [read_image(pictures / 'c1' / f'{i}.png', (32, 32, 3)) for i in range(20)]
    of_first = sum(any(np.array_equal(a, b) for b in first) for a in few)
    assert 4 <= of_first <= 16


def test_some_codecs_are_measured_with_the_calibration_that_is_there(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / 'model'
    shutil.copytree(BUNDLED / 'aerial', model)
    calibration = (model / CALIBRATION_FILE).read_bytes()
    before = {(row.cut, row.codec): row for row in load_costs(model)}
    assert measure_codecs.main(['--model', str(model), '--codecs', 'adaptive,raw', '--images', '2',
                                '--calibrate', '2']) == 0
    after = {(row.cut, row.codec): row for row in load_costs(model)}
    assert (model / CALIBRATION_FILE).read_bytes() == calibration
    assert after.keys() == before.keys()
    assert {codec for (_, codec), row in after.items() if row.images == 2} == {'adaptive', 'raw'}
    assert all(after[key] == before[key] for key in before if key[1] not in ('adaptive', 'raw'))
    assert measure_codecs.main(['--model', str(model), '--codecs', 'gzip', '--images', '2',
                                '--calibrate', '2']) == 2
    assert 'none of gzip is weighed' in capsys.readouterr().err


@pytest.mark.parametrize('command', [evaluate_model, measure_codecs])
def test_a_wrong_folder_is_reported_before_the_work(command: ModuleType, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, 'prepared', lambda args: pytest.fail('has begun'))
    assert command.main(['--data', str(tmp_path)]) == 2
    assert 'folders named as labels' in capsys.readouterr().err


def test_too_few_pictures_to_measure_are_reported_before_the_work(
        pictures: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    for file in sorted(pictures.glob('*/*.png'))[15:]:
        file.unlink()
    monkeypatch.setattr(measure_codecs, 'prepared', lambda args: pytest.fail('has begun'))
    assert measure_codecs.main(['--data', str(pictures)]) == 2
    assert '15 images are too few' in capsys.readouterr().err


@pytest.mark.parametrize(('asked', 'found', 'wanted'), [
    ((400, 2000), None, (400, 2000)), ((400, 2000), 2400, (400, 2000)),
    ((400, 2000), 2000, (400, 1600)), ((20, 2000), 120, (20, 100)), ((400, 2000), 16, (8, 8)),
    ((400, 10), 60, (30, 10))])
def test_both_get_their_share_of_few_pictures(asked: tuple[int, int], found: int | None,
                                              wanted: tuple[int, int]) -> None:
    assert measure_codecs.shares(*asked, found) == wanted


def test_images_of_another_size(artefact: Artefact) -> None:
    with pytest.raises(ModelError, match='takes'):
        Evaluation(artefact, np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1))


def test_table_aligns_numbers_to_the_right() -> None:
    assert table(('a', 'bytes'), [('x', 5), ('yy', 1234)]) == (
        '| a  | bytes |\n| -- | ----: |\n| x  |     5 |\n| yy |  1234 |')
