import fcntl
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.digest import file_digest
from offload_perception.network.pixels import PixelInput
from offload_perception.network.vgg16 import SPECS, VggSpec
from offload_perception.preparation import prepare as prepare_module
from offload_perception.preparation.prepare import prepare
from offload_perception.sealed import sealed
from offload_perception.tensor import TensorSpec

TINY = VggSpec('tiny', input_size=32, width=1 / 16, classes=3, blocks=(1,), fc=(256,))


@pytest.fixture(autouse=True)
def presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPECS, 'tiny', TINY)


@pytest.fixture(scope='module')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('cache')


def visible(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if not p.name.startswith('.')]


def test_second_call_finds_the_first_and_builds_nothing(cache: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare('tiny', 'seed:0', cache_dir=cache)
    monkeypatch.setattr(prepare_module, 'build_model', None)
    assert prepare('tiny', 'seed:0', cache_dir=cache) == first
    assert (first.name, first.weights, first.trained) == ('tiny', 'seed:0', False)
    assert first.path.parent == cache


def test_ready_model_loads_without_tensorflow(cache: Path) -> None:
    artefact = prepare('tiny', 'seed:0', cache_dir=cache)
    code = ('import sys; sys.modules["tensorflow"] = sys.modules["keras"] = None\n'
            'from offload_perception.preparation.prepare import prepare\n'
            f'assert prepare({str(artefact.path)!r}).digest == {artefact.digest!r}')
    subprocess.run([sys.executable, '-c', code], check=True, env={**os.environ})


def test_same_seed_same_digest_other_seed_other_folder(cache: Path, tmp_path: Path) -> None:
    first = prepare('tiny', 'seed:0', cache_dir=cache)
    again = prepare('tiny', 'seed:0', cache_dir=tmp_path)
    other = prepare('tiny', 'seed:1', cache_dir=cache)
    assert again.digest == first.digest != other.digest
    assert other.path != first.path


def test_the_way_to_fit_pictures_travels_with_the_model(cache: Path, tmp_path: Path) -> None:
    plain = prepare('tiny', 'seed:0', cache_dir=cache)
    boxed = prepare('tiny', 'seed:0', fit='letterbox', cache_dir=cache)
    assert (plain.fit, boxed.fit) == ('crop', 'letterbox')
    elsewhere = shutil.copytree(boxed.path, tmp_path / 'copied')
    assert prepare(elsewhere).fit == 'letterbox'
    assert prepare(elsewhere, fit='stretch').fit == 'stretch'
    assert boxed.digest == plain.digest  # the network is the same one
    manifest = json.loads((elsewhere / 'manifest.json').read_text())
    (elsewhere / 'manifest.json').write_text(json.dumps(sealed(manifest | {'fit': 'squash'})))
    with pytest.raises(ModelError, match=r"fit is 'squash'.*crop, letterbox, stretch"):
        prepare(elsewhere)


def test_failed_build_leaves_nothing_behind(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model: Any, folder: Any, **kwargs: Any) -> None:
        folder.mkdir(parents=True)
        (folder / 'model.tflite').write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr('offload_perception.preparation.model_source.write_artefact', fail)
    with pytest.raises(KeyboardInterrupt):
        prepare('tiny', 'seed:0', cache_dir=tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_leftovers_of_a_killed_build_are_cleared(tmp_path: Path, cache: Path) -> None:
    name = prepare('tiny', 'seed:0', cache_dir=cache).path.name
    partial = tmp_path / f'.{name}.partial'
    partial.mkdir()
    (partial / 'junk').write_text('x')
    artefact = prepare('tiny', 'seed:0', cache_dir=tmp_path)
    assert not (artefact.path / 'junk').exists()
    assert visible(tmp_path) == [name]


class FakeSource:
    name, weights, trained = 'tiny', 'seed:0', False

    def identity(self) -> dict[str, Any]:
        return {}

    def write(self, folder: Path, wishes: Any, progress: Any) -> None:
        folder.mkdir()
        with open(folder.parent / 'builds', 'a') as log:
            log.write('built\n')
        (folder / 'model.tflite').touch()
        pixels = PixelInput(TensorSpec((1, 1, 3), 'uint8'))
        Artefact(folder, self.name, file_digest(folder / 'model.tflite'), self.weights,
                 self.trained, pixels, 0, (0,), {}, (), ()).save_manifest()


def _prepare_in_process(folder: Any, barrier: Any) -> None:
    replaced: Any = prepare_module
    replaced.open_source = lambda *args: FakeSource()
    barrier.wait()
    prepare('tiny', 'seed:0', cache_dir=folder)


def test_two_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context('spawn')
    barrier = context.Barrier(2)
    workers = [context.Process(target=_prepare_in_process, args=(tmp_path, barrier))
               for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0, 0]
    assert (tmp_path / 'builds').read_text() == 'built\n'


def test_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                       cache: Path) -> None:
    monkeypatch.setattr(prepare_module, 'build_model',
                        lambda source, folder, *rest, progress: folder.mkdir())
    monkeypatch.setattr(Artefact, 'load', lambda path: path)
    monkeypatch.setenv('OFFLOAD_PERCEPTION_MODELS', str(tmp_path / 'a'))
    monkeypatch.setenv('OFFLOAD_PERCEPTION_CACHE', str(tmp_path / 'c'))  # is of scripts/ alone
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'b'))
    prepared: Callable[..., Any] = prepare  # `load` gives the folder alone
    assert prepared('tiny', 'seed:0').parent == tmp_path / 'a'
    monkeypatch.delenv('OFFLOAD_PERCEPTION_MODELS')
    assert prepared('tiny', 'seed:0').parent == tmp_path / 'b' / 'offload_perception' / 'models'


def test_bundled_folder_is_used_as_it_is(artefact: Artefact, monkeypatch: pytest.MonkeyPatch,
                                         tmp_path: Path) -> None:
    (tmp_path / 'aerial').symlink_to(artefact.path)
    monkeypatch.setattr(prepare_module, 'BUNDLED', tmp_path)
    assert prepare('aerial', 'bundled').digest == artefact.digest


def labels_file(folder: Path, count: int) -> Path:
    (folder / 'labels.txt').write_text(''.join(f'{i}  mine {i}\n' for i in range(count)))
    return folder / 'labels.txt'


def test_labels_of_ones_own_for_models_that_are_ready(artefact: Artefact, tmp_path: Path) -> None:
    bundled = prepare('aerial', labels=labels_file(tmp_path, 10))
    assert bundled.label(3) == 'mine 3' and prepare('aerial').label(3) == 'meadow'
    assert prepare(artefact.path, labels=labels_file(tmp_path, 10)).labels[9] == 'mine 9'
    with pytest.raises(ModelError, match='ends with class 3, but the network has 10 classes'):
        prepare('aerial', labels=labels_file(tmp_path, 4))


@pytest.mark.parametrize(('options', 'message'), [
    ({'weights': 'seed:0'}, 'weights: .* prepared already'),
    ({'preprocess': 'caffe'}, 'preprocess: .* prepared already'),
    ({'representative': '/somewhere'}, 'representative: .* prepared already'),
    ({'weight_bits': 7}, r'weight_bits: .* prepared already.*model\.keras'),
])
def test_what_a_ready_model_cannot_take_is_refused_by_name(artefact: Artefact,
                                                           options: dict[str, Any],
                                                           message: str) -> None:
    with pytest.raises(ModelError, match=message):
        prepare(artefact.path, **options)
    if 'weights' not in options:
        with pytest.raises(ModelError, match=message):
            prepare('aerial', **options)


def test_a_model_file_brings_its_own_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'weights=imagenet: .*m\.keras brings its own'):
        prepare(tmp_path / 'm.keras', 'imagenet', cache_dir=tmp_path)


@pytest.mark.parametrize('name', ['gone.keras', 'gone.h5'])
def test_a_wrong_path_is_called_that(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=f'{name} .*check the path'):
        prepare(tmp_path / name, cache_dir=tmp_path)


def test_a_network_that_lost_its_classes_in_int8_says_so(artefact: Artefact) -> None:
    lossy = replace(artefact, trained=True, agreement=0.11)
    assert 'only 11% of the images' in lossy.doubt and '--representative' in lossy.doubt
    assert not replace(lossy, agreement=0.95).doubt
    assert not replace(lossy, trained=False).doubt  # random weights agree on nothing worth it


@pytest.mark.parametrize(('model', 'weights', 'message'), [
    ('resnet', 'seed:0', r"no model is called 'resnet'.*vgg16"),
    ('vgg16', 'bundled', 'no weights for .vgg16. are bundled.*imagenet'),
    ('tiny', 'seed:x', 'a seed is a number'),
    ('tiny', 'imagenet', 'ImageNet weights fit only vgg16'),
    ('tiny', '/nowhere/w.h5', 'neither a name nor a file.*seed:0'),
])
def test_unknown_model_or_weights(tmp_path: Path, model: str, weights: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        prepare(model, weights, cache_dir=tmp_path)


def test_failed_download_names_every_remedy(tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    def offline(**kwargs: Any) -> None:
        raise Exception('URL fetch failure: Name or service not known')  # as Keras raises it

    monkeypatch.setattr(keras.applications, 'VGG16', offline)
    monkeypatch.setattr('offload_perception.preparation.model_source.build', lambda spec: None)
    with pytest.raises(ModelError, match=r'URL fetch.*file.*aerial.*bundled.*seed:0') as e:
        prepare('vgg16', 'imagenet', cache_dir=tmp_path)
    assert '\n' not in str(e.value)


def test_manifest_of_another_format(artefact: Artefact, tmp_path: Path) -> None:
    manifest = json.loads((artefact.path / 'manifest.json').read_text())
    (tmp_path / 'manifest.json').write_text(json.dumps({**manifest, 'format': 99}))
    with pytest.raises(ModelError, match='format 99'):
        prepare(tmp_path)


def test_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(ModelError, match='OFFLOAD_PERCEPTION_MODELS'):
        prepare('tiny', 'seed:0', cache_dir=tmp_path / 'file' / 'below')


def test_a_wait_for_another_program_that_builds_the_model_is_reported(tmp_path: Path) -> None:
    asked, told = Event(), []

    def progress(text: str) -> None:
        told.append(text)
        asked.set()

    def build(*args: Any, **kwargs: Any) -> None:
        raise ModelError('built after the wait')

    prepare_it = partial(prepare, 'aerial', 'seed:0', cache_dir=tmp_path, build=build,
                         progress=progress)
    with pytest.raises(ModelError):
        prepare_it()
    lock, = tmp_path.glob('.*.lock')
    with open(lock, 'w') as held, ThreadPoolExecutor() as threads:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threads.submit(prepare_it)
        assert asked.wait(20)
        fcntl.flock(held, fcntl.LOCK_UN)
        with pytest.raises(ModelError, match='built after the wait'):
            waiting.result(20)
    assert 'another program builds aerial' in told[0]
