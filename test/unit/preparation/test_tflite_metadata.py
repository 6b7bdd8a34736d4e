"""Metadata of a .tflite file: how pixels are scaled, and labels; broken ones are left out."""

import io
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from unit.networks import seeded

from offload_perception.network.flatbuffer import pack, schema, unpack
from offload_perception.network.operator_graph import Graph
from offload_perception.network.pixels import PixelRule
from offload_perception.preparation.prepare import prepare
from offload_perception.preparation.tflite_metadata import NAME, Metadata, read_metadata

TEN = tuple(f'class{i}' for i in range(10))


def table(builder: flatbuffers.Builder, fields: dict[int, int], kind: int = 0) -> int:
    """Return a table of offsets; `kind`, if not 0, is the type of a union in field 0."""
    builder.StartObject(max(fields) + 1)
    for field, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    if kind:
        builder.PrependUint8Slot(0, kind, 0)
    return builder.EndObject()


def tables(builder: flatbuffers.Builder, *offsets: int) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def normalisation(mean: list[float], std: list[float]) -> bytes:
    """Return metadata as tflite-support writes them, with its fields' numbers."""
    b = flatbuffers.Builder(0)
    means, stds = (b.CreateNumpyVector(np.array(v, np.float32)) for v in (mean, std))
    score_range = table(b, {0: means, 1: stds})  # options of another process unit, before ours
    options = table(b, {0: means, 1: stds})
    units = tables(b, table(b, {1: score_range}, kind=2), table(b, {1: options}, kind=1))
    image = table(b, {0: b.CreateString('image'), 4: units})
    graph = table(b, {2: tables(b, image)})
    b.Finish(table(b, {0: b.CreateString('net'), 3: tables(b, graph)}), b'M001')
    return bytes(b.Output())


def with_metadata(file: bytes, data: bytes) -> bytes:
    model, buffer, record = unpack(file, 'test'), schema().BufferT(), schema().MetadataT()
    buffer.data, record.name, record.buffer = np.frombuffer(data, np.uint8), NAME, len(
        model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), record]
    return pack(model)


def with_files(file: bytes, **files: str) -> bytes:
    """Return the file with a ZIP archive after it, as tflite-support appends it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as z:
        for name, text in files.items():
            z.writestr(f'{name}.txt', text)
    return file + archive.getvalue()


def found(file: bytes) -> Metadata:
    return read_metadata(Graph(file), file)


@pytest.mark.parametrize(('mean', 'std', 'rule'), [
    ([127.5], [127.5], PixelRule((127.5,) * 3, (127.5,) * 3)),
    ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], PixelRule((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))),
    ([1.0, 2.0], [4.0, 5.0], None), ([0.0], [0.0], None), ([], [], None),
    ([float('nan')], [1.0], None), ([0.0], [1e-42], None)])
def test_the_normalisation_is_read_and_one_that_is_none_is_not(
        mean: list[float], std: list[float], rule: PixelRule | None) -> None:
    assert found(with_metadata(seeded('float32'), normalisation(mean, std))).rule == rule


@pytest.mark.parametrize(('name', 'rule'), [
    ('float32', PixelRule((127.5,) * 3, (64.0,) * 3)),
    ('residual_int8', PixelRule((127.5,) * 3, (64.0,) * 3)),
    ('residual', PixelRule())])  # uint8 pixels are taken as they are
def test_a_network_that_says_how_pixels_are_scaled_needs_no_wish(tmp_path: Path, name: str,
                                                                 rule: PixelRule) -> None:
    file = tmp_path / 'net.tflite'
    file.write_bytes(with_metadata(seeded(name), normalisation([127.5], [64.0])))
    assert prepare(file, cache_dir=tmp_path).pixels.rule == rule
    assert prepare(file, preprocess='tf', cache_dir=tmp_path).pixels.rule == PixelRule.preset(
        'tf')  # a wish beats what the file says


def test_broken_metadata_are_none() -> None:
    good = normalisation([127.5], [127.5])
    for end in range(len(good)):
        assert found(with_metadata(seeded('residual'), good[:end])).rule in (
            None, PixelRule((127.5,) * 3, (127.5,) * 3))
    rng = np.random.default_rng(0)
    for _ in range(200):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] = rng.integers(256)
        found(with_metadata(seeded('residual'), bytes(bad)))


def test_labels_in_the_file_are_taken_if_there_is_one_for_each_class(tmp_path: Path) -> None:
    file = tmp_path / 'net.tflite'
    file.write_bytes(with_files(seeded('residual'), labels='\n'.join(TEN), readme='a\nb'))
    assert prepare(file, cache_dir=tmp_path).labels == TEN
    file.write_bytes(with_files(seeded('residual'), labels='\n'.join(TEN[1:])))
    assert prepare(file, cache_dir=tmp_path).labels == ()


def test_two_files_of_labels_are_none() -> None:
    assert found(with_files(seeded('residual'), labels='a', labels_de='b')).labels == ()


def test_a_terminal_escape_in_a_label_is_escaped() -> None:
    assert found(with_files(seeded('residual'), labels='\x1b[2Jcar')).labels == ('\\x1b[2Jcar',)


def test_a_broken_archive_has_no_labels() -> None:
    whole = with_files(seeded('residual'), labels='\n'.join(TEN * 20))
    start = len(seeded('residual'))
    assert found(whole).labels
    for at in range(start + 45, len(whole) - 100, 3):  # the packed labels
        bad = bytearray(whole)
        bad[at] ^= 0x5a
        assert found(bytes(bad)).labels == ()


def test_an_archive_that_unpacks_to_much_is_left_packed() -> None:
    bomb = with_files(seeded('residual'), labels='x' * (6 << 20))
    assert len(bomb) < len(seeded('residual')) + 20_000
    assert len(found(bomb).labels) == 0
