"""A small network with a learned bottleneck, from teacher to prepared model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from offload_perception.cli import measure_codecs, train_bottleneck
from offload_perception.codec.calibration import Calibration, check
from offload_perception.errors import ModelError
from offload_perception.network.artefact import BOTTLENECK, Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.network.vgg16 import PIXEL_SPREAD, VggSpec
from offload_perception.planning.sizes import SizeTable, load_costs
from offload_perception.terrain.tiles import tiles

pytest.importorskip('tensorflow')
pytest.importorskip('matplotlib')
SMALL = VggSpec('small', input_size=32, width=1 / 8, classes=3, blocks=(1, 1, 1), fc=(64,),
                pixel_gain=1 / PIXEL_SPREAD)
LABELS = ('field', 'lake', 'town')


@pytest.fixture(scope='module')
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an untrained network, which gives all of its classes."""
    import keras

    from offload_perception.preparation.keras_vgg import build

    keras.utils.set_random_seed(3)
    folder = tmp_path_factory.mktemp('teacher')
    build(SMALL).save(folder / 'small.keras')
    (folder / 'labels.txt').write_text('\n'.join(LABELS))
    return folder / 'small.keras'


@pytest.fixture(scope='module')
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 90 pictures in folders named as labels."""
    folder = tmp_path_factory.mktemp('pictures')
    images, _ = tiles('train', 90, size=32)
    for number, image in enumerate(images):
        own = folder / LABELS[number % 3]
        own.mkdir(exist_ok=True)
        cv2.imwrite(str(own / f'{number:02d}.png'), image)
    return folder


def arguments(teacher: Path, pictures: Path, out: Path, *more: str) -> list[str]:
    return ['--teacher', str(teacher), '--labels', str(teacher.with_name('labels.txt')),
            '--images', str(pictures), '--bytes', '80', '--macs', '0.5', '--epochs', '2',
            '--batch', '16', '--out', str(out), '--cache-dir', str(out.parent / 'cache'), *more]


@pytest.fixture(scope='module')
def trained(teacher: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('run') / 'out'
    assert train_bottleneck.main(arguments(teacher, pictures, out)) == 0
    return out


def test_it_is_a_network_like_any_other(trained: Path) -> None:
    artefact = Artefact.load(trained / 'artefact')
    assert artefact.labels == LABELS
    assert artefact.teacher is not None
    assert artefact.bottleneck == artefact.cut(BOTTLENECK)
    spec, = artefact.tensors(artefact.cut(BOTTLENECK))
    assert spec.shape == (8, 8, 12)
    assert artefact.cut_names[-2:] == ('fc1', 'predictions')
    assert 'block3_pool' in artefact.cut_names
    assert 'block2_pool' not in artefact.cut_names


def test_the_wished_share_is_kept_and_counted_as_the_graph_does(trained: Path) -> None:
    report, artefact = json.loads((trained / 'report.json').read_text()), Artefact.load(
        trained / 'artefact')
    head = artefact.layers[:artefact.bottleneck]
    assert report['encoder']['macs'] == sum(layer.macs for layer in head)
    teacher = Artefact.load(Path(artefact.teacher.model if artefact.teacher else ''))
    macs = sum(layer.macs for layer in teacher.layers)
    assert report['encoder']['share'] == pytest.approx(report['encoder']['macs'] / macs)
    assert 0.3 < report['encoder']['share'] <= 0.5


def test_every_quality_is_measured_and_the_planner_takes_them(trained: Path) -> None:
    artefact = Artefact.load(trained / 'artefact')
    rows = {row.codec: row for row in load_costs(artefact.path) if row.cut == BOTTLENECK}
    finest, coarsest = rows['latent:8'], rows['latent:90']
    assert finest.bytes > coarsest.bytes > 8
    assert finest.bytes_p95 is not None and finest.bytes_p95 >= finest.bytes
    assert finest.accuracy is not None
    check('latent:16', artefact, artefact.cut(BOTTLENECK))
    shape = NetworkShape.of(artefact)
    assert artefact.teacher is not None and shape.agreement == artefact.teacher.agreement
    sizes = SizeTable(shape)
    sizes.load(load_costs(artefact.path))
    assert (artefact.cut(BOTTLENECK), 'latent:16') in sizes.learned
    assert sizes.column(artefact.cut(BOTTLENECK), 'latent:16')[4] == rows['latent:16'].agreement
    plain = artefact.cut('block3_pool')
    assert sizes.column(plain, 'raw')[4] == artefact.teacher.agreement


def test_agreement_is_with_the_teacher(trained: Path) -> None:
    """With nothing lost at the bottleneck it is that of the network, hardly ever 1."""
    artefact = Artefact.load(trained / 'artefact')
    raw, = (row for row in load_costs(artefact.path)
            if (row.cut, row.codec) == (BOTTLENECK, 'raw'))
    assert artefact.teacher is not None
    assert raw.agreement == artefact.teacher.agreement < 1


def test_the_same_command_goes_on_where_it_was_stopped(
        teacher: Path, pictures: Path, trained: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    """The schedule is that of all epochs, so the first one is the same in both runs."""
    from offload_perception.training import bottleneck

    out, stop = tmp_path / 'out', RuntimeError('stopped')
    with pytest.MonkeyPatch.context() as patch:
        agreement = bottleneck.Training.agreement

        def stopping(self: Any, step: float) -> float:
            if (out / 'history.csv').is_file():
                raise stop
            return agreement(self, step)

        patch.setattr(bottleneck.Training, 'agreement', stopping)
        with pytest.raises(RuntimeError, match='stopped'):
            train_bottleneck.main(arguments(teacher, pictures, out))
    assert train_bottleneck.main(arguments(teacher, pictures, out)) == 0
    assert 'going on after epoch 1' in capsys.readouterr().err
    found, whole = ((folder / 'history.csv').read_text().splitlines()
                    for folder in (out, trained))
    assert [line.split(',')[0] for line in found] == ['epoch', '0', '1']
    resumed, direct = ([float(x) for x in lines[-1].split(',')] for lines in (found, whole))
    np.testing.assert_allclose(resumed, direct, rtol=1e-3, atol=1e-3)


def test_codecs_are_measured_again_against_the_same_teacher(trained: Path,
                                                            tmp_path: Path) -> None:
    """measure_codecs finds the teacher by the folder that the manifest names."""
    from offload_perception.evaluation.teacher import teacher_classes

    artefact = Artefact.load(trained / 'artefact')
    images, _ = tiles('test', 8, size=32)
    assert set(teacher_classes(artefact, images)) <= {0, 1, 2}
    with pytest.raises(ModelError, match='--teacher FOLDER'):
        teacher_classes(artefact, images, artefact.path)
    with pytest.raises(ModelError, match=r'cannot be loaded.*--teacher FOLDER'):
        teacher_classes(artefact, images, tmp_path / 'gone')
    assert measure_codecs.main(['--model', str(artefact.path), '--teacher', str(artefact.path),
                                '--images', '16', '--calibrate', '16']) == 2


@pytest.mark.parametrize(('more', 'said'), [
    (['--bytes', '3'], 'wish for 16 or more'), (['--macs', '0.001'], 'give a larger share'),
    (['--macs', '1.5'], 'between 0 and 1')])
def test_wishes_that_cannot_be_met_are_refused_with_what_can(
        teacher: Path, pictures: Path, trained: Path, more: Sequence[str], said: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert train_bottleneck.main(arguments(teacher, pictures, trained.parent / 'x', *more)) == 2
    assert said in capsys.readouterr().err
    assert not (trained.parent / 'x').exists()


def test_a_folder_with_another_training_is_refused(teacher: Path, pictures: Path, trained: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    assert train_bottleneck.main(arguments(teacher, pictures, trained, '--seed', '1')) == 2
    assert 'holds a training with other options' in capsys.readouterr().err


def test_a_folder_of_few_pictures_is_refused(teacher: Path, pictures: Path, trained: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    assert train_bottleneck.main(arguments(teacher, pictures / 'lake', trained.parent / 'y')) == 2
    assert 'holds 30 pictures; at least 64' in capsys.readouterr().err


def test_a_teacher_needs_a_keras_network(trained: Path, pictures: Path, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / 'net.tflite'
    file.write_bytes(Artefact.load(trained / 'artefact').model_file.read_bytes())
    out = tmp_path / 'z'
    assert train_bottleneck.main(['--teacher', str(file), '--images', str(pictures), '--out',
                                  str(out), '--cache-dir', str(tmp_path / 'cache')]) == 2
    assert 'no Keras network to learn from' in capsys.readouterr().err


def test_tables_are_kept_with_the_model(trained: Path) -> None:
    artefact = Artefact.load(trained / 'artefact')
    tables = Calibration.load(artefact).latents[BOTTLENECK]
    assert tables.weights.shape == (12, 2)
    assert tables.frequencies.max() > 0
