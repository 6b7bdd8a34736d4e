import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offload_perception.errors import ModelError
from offload_perception.network.labels import read_labels
from offload_perception.network.vgg16 import VggSpec
from offload_perception.preparation import weight_files
from offload_perception.preparation.fill import class_count, load_weights
from offload_perception.preparation.keras_vgg import build
from offload_perception.preparation.model_source import Preset, open_source
from offload_perception.preparation.user_model import load
from offload_perception.preparation.weight_files import read_arrays

SPEC = VggSpec('small', input_size=16, width=1 / 16, classes=7, blocks=(2, 2, 3), fc=(64,))
keras = pytest.importorskip('keras')
h5py = pytest.importorskip('h5py')


@pytest.fixture(scope='module')
def trained() -> Any:
    model = build(SPEC)
    load_weights(model, SPEC, 'seed:1')
    return model


def bare_layers() -> list[Any]:
    layers = keras.layers
    return [layers.Conv2D(4, 3, padding='same', activation='relu', name='c1'),
            layers.MaxPooling2D(name='p1'), layers.Flatten(), layers.Dropout(0.5),
            layers.Dense(3, activation='softmax', name='out')]


def saved(path: Path, layers: list[Any],
          shape: tuple[int | None, int | None, int] = (16, 16, 3)) -> Path:
    keras.Sequential([keras.Input(shape), *layers]).save(path)
    return path


@pytest.mark.parametrize('name', ['a.keras', 'a.h5', 'a.weights.h5'])
def test_weights_of_any_file_and_class_count(trained: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    trained.save_weights(path) if 'weights' in name else trained.save(path)
    assert class_count(path) == 7
    other = build(SPEC)
    load_weights(other, SPEC, str(path))
    for ours, theirs in zip(other.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_class_count_of_the_file_becomes_that_of_the_network(trained: Any, tmp_path: Path) -> None:
    trained.save(tmp_path / 'w.h5')
    source = open_source('vgg16', str(tmp_path / 'w.h5'))
    assert isinstance(source, Preset) and source.spec.classes == 7


def test_weights_under_other_names_are_taken_in_order(trained: Any, tmp_path: Path) -> None:
    layers = [type(each).from_config({**each.get_config(), 'name': f'my{i}'})
              for i, each in enumerate(trained.layers[1:])]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    model.set_weights(trained.get_weights()[2:])
    model.save(tmp_path / 'renamed.h5')
    other = build(SPEC)
    load_weights(other, SPEC, str(tmp_path / 'renamed.h5'))
    np.testing.assert_array_equal(other.get_weights()[-2], trained.get_weights()[-2])
    np.testing.assert_array_equal(other.get_weights()[14], trained.get_weights()[14])


def test_weights_of_another_preprocessing_are_refused(trained: Any, tmp_path: Path) -> None:
    scaled = VggSpec(**{**vars(SPEC), 'pixel_gain': 1 / 64})
    trained.save_weights(tmp_path / 'a.weights.h5')
    with pytest.raises(ModelError, match='pixels prepared otherwise'):
        load_weights(build(scaled), scaled, str(tmp_path / 'a.weights.h5'))


def test_weights_of_another_size_are_refused(trained: Any, tmp_path: Path) -> None:
    wide = VggSpec(**{**vars(SPEC), 'width': 1 / 8})
    trained.save_weights(tmp_path / 'a.weights.h5')
    with pytest.raises(ModelError, match=r'do not fit.*block1_conv1 wants.*the file has'):
        load_weights(build(wide), wide, str(tmp_path / 'a.weights.h5'))


def test_broken_weights_file(tmp_path: Path) -> None:
    (tmp_path / 'a.h5').write_bytes(b'no hdf5')
    with pytest.raises(ModelError, match='not a Keras weights file'):
        read_arrays(tmp_path / 'a.h5')
    with zipfile.ZipFile(tmp_path / 'a.keras', 'w') as archive:
        archive.writestr('other', b'')
    with pytest.raises(ModelError, match='not a Keras weights file'):
        read_arrays(tmp_path / 'a.keras')


def test_model_without_preprocessing_must_say_how_it_was_trained(tmp_path: Path) -> None:
    path = saved(tmp_path / 'm.keras', bare_layers())
    with pytest.raises(ModelError, match=r'preprocess=inside.*caffe.*unit.*tf'):
        load(path)
    with pytest.raises(ModelError, match="unknown preprocess 'x'"):
        load(path, 'x')


@pytest.mark.parametrize(('preprocess', 'prepare'), [
    ('inside', lambda x: x),
    ('unit', lambda x: x / 255),
    ('tf', lambda x: x / 127.5 - 1),
    ('caffe', lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)),
])
def test_chosen_preprocessing_stands_in_front(tmp_path: Path, preprocess: str,
                                              prepare: Callable[..., Any]) -> None:
    path = saved(tmp_path / 'm.keras', bare_layers())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    expected = keras.models.load_model(path)(prepare(pixels))
    np.testing.assert_allclose(load(path, preprocess)(pixels), expected, rtol=1e-4, atol=1e-5)


def test_model_with_rescaling_and_a_model_inside(tmp_path: Path) -> None:
    base = keras.Sequential([keras.Input((16, 16, 3)), *bare_layers()[:2]], name='base')
    rest = bare_layers()[2:]
    path = saved(tmp_path / 'm.keras', [keras.layers.Rescaling(1 / 255), base, *rest])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(load(path)(pixels), keras.models.load_model(path)(pixels),
                               rtol=1e-5, atol=1e-6)


def test_branches_are_refused(tmp_path: Path) -> None:
    image = keras.Input((16, 16, 3))
    conv = keras.layers.Conv2D(3, 3, padding='same')(keras.layers.Rescaling(1 / 255)(image))
    keras.Model(image, keras.layers.Add()([conv, image])).save(tmp_path / 'm.keras')
    with pytest.raises(ModelError, match='branches at add'):
        load(tmp_path / 'm.keras')


@pytest.mark.parametrize(('shape', 'message'), [
    ((None, None, 3), 'open dimensions'), ((16, 16, 1), 'not one RGB image')])
def test_input_that_is_no_fixed_rgb_image(tmp_path: Path,
                                          shape: tuple[int | None, int | None, int],
                                          message: str) -> None:
    pool = keras.layers.GlobalAveragePooling2D()
    path = saved(tmp_path / 'm.keras', [*bare_layers()[:1], pool, bare_layers()[-1]], shape)
    with pytest.raises(ModelError, match=message):
        load(path, 'unit')


def test_missing_broken_and_weights_only_model_files(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='does not exist'):
        load(tmp_path / 'none.keras')
    (tmp_path / 'b.keras').write_bytes(b'junk')
    with pytest.raises(ModelError, match='not a whole Keras model'):
        load(tmp_path / 'b.keras')
    trained.save_weights(tmp_path / 'w.weights.h5')
    with pytest.raises(ModelError, match='give the file as weights'):
        load(tmp_path / 'w.weights.h5')


@pytest.mark.parametrize('name', ['m.keras', 'm.h5'])
def test_code_in_a_model_file_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    marker = tmp_path / 'it ran'
    code = eval(f'lambda x: (open({str(marker)!r}, "w").close(), x)[1]')
    path = saved(tmp_path / name, [keras.layers.Lambda(code), *bare_layers()])
    marker.unlink()  # Keras ran it while it was built
    with pytest.raises(ModelError):
        load(path, 'unit')
    assert not marker.exists()


def test_weights_that_claim_to_be_huge_are_refused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / 'a.h5', 'w') as file:  # of few bytes: nothing is stored
        file.create_dataset('conv1/kernel', (1 << 20, 1 << 20, 3, 3), np.float32, chunks=True)
    assert (tmp_path / 'a.h5').stat().st_size < 100_000
    with pytest.raises(ModelError, match='unpacks to 39582418599936 bytes'):
        read_arrays(tmp_path / 'a.h5')
    with zipfile.ZipFile(tmp_path / 'a.keras', 'w', zipfile.ZIP_DEFLATED) as archive, \
            archive.open('model.weights.h5', 'w', force_zip64=True) as member:
        for _ in range(5 << 4):
            member.write(bytes(1 << 20))
    monkeypatch.setattr(weight_files, 'MOST_BYTES', 64 << 20)
    with pytest.raises(ModelError, match='unpacks to 83886080 bytes'):
        read_arrays(tmp_path / 'a.keras')


def test_labels_file(tmp_path: Path) -> None:
    path = tmp_path / 'labels.txt'
    path.write_text('water\nforest\n\n')
    assert read_labels(path, 2) == ('water', 'forest')
    with pytest.raises(ModelError, match='has 2 lines, but the network has 7 classes'):
        read_labels(path, 7)
    with pytest.raises(ModelError, match='cannot be read'):
        read_labels(tmp_path / 'none', 7)
