"""Files that are not those that were prepared do not load."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from offload_perception.errors import ModelError
from offload_perception.network.artefact import MANIFEST, Artefact
from offload_perception.network.digest import file_digest
from offload_perception.preparation.prepare import prepare


@pytest.fixture
def copy(artefact: Artefact, tmp_path: Path) -> Artefact:
    return Artefact.load(shutil.copytree(artefact.path, tmp_path / 'copy'))


def flip(file: Path, count: int = 24) -> None:
    data = bytearray(file.read_bytes())
    for k in range(1, count + 1):
        data[len(data) * k // (count + 1)] ^= 1 << k % 8
    file.write_bytes(data)


def test_what_was_prepared_loads(artefact: Artefact, copy: Artefact) -> None:
    assert copy.digest == artefact.digest
    assert len({layer.sha256 for layer in copy.layers}) > 20


@pytest.mark.parametrize('index', [None, 1, 5, 19])
def test_flipped_bits_are_found(copy: Artefact, index: int | None) -> None:
    file = copy.model_file if index is None else copy.segment_file(index)
    flip(file)
    with pytest.raises(ModelError, match=rf'{file.name} is damaged.*prepare the model again'):
        prepare(copy.path)


def test_a_single_bit_is_found(copy: Artefact) -> None:
    flip(copy.segment_file(12), 1)
    with pytest.raises(ModelError, match=r'block4_conv2\.tflite is damaged'):
        Artefact.load(copy.path)


def test_a_missing_segment_is_named(copy: Artefact) -> None:
    copy.segment_file(7).unlink()
    with pytest.raises(ModelError, match=r'07_block3_conv1\.tflite cannot be read'):
        Artefact.load(copy.path)


def test_a_manifest_that_was_damaged_on_its_way_is_refused(copy: Artefact) -> None:
    file = copy.path / MANIFEST
    copy.save_manifest()
    text = file.read_text()
    file.write_text(text.replace(f'"{copy.labels[0]}"', '"else"', 1))
    with pytest.raises(ModelError, match='not as it was written'):
        Artefact.load(copy.path)
    file.write_text(text)
    assert Artefact.load(copy.path).labels == copy.labels


def test_a_float32_network_is_verified_before_it_is_loaded(copy: Artefact) -> None:
    copy.keras_file.write_bytes(b'whole')
    named = replace(copy, keras_sha256=file_digest(copy.keras_file))
    named.save_manifest()
    loaded = Artefact.load(copy.path)
    assert loaded.verified_keras_file() == copy.keras_file
    copy.keras_file.write_bytes(b'swapped')
    with pytest.raises(ModelError, match=r'model\.keras is damaged'):
        loaded.verified_keras_file()
