import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.lib import format as npy

from offload_perception.codec.calibration import FILE, Calibration, best_clip, calibrate, check
from offload_perception.codec.measure import measure
from offload_perception.codec.transform import Basis
from offload_perception.errors import ConfigError, ModelError
from offload_perception.network.artefact import Artefact, Layer
from offload_perception.network.pixels import PixelInput
from offload_perception.network.runnable import Network
from offload_perception.npz import MOST_BYTES
from offload_perception.tensor import Tensors, TensorSpec

IMAGE = TensorSpec((8, 8, 3), 'uint8')
FEATURES = TensorSpec((4, 4, 3), 'int8', 1.0, -128)
SCORES = TensorSpec((3,), 'int8', 1.0, -128)


class MeanColour:
    """A network of two layers: average pooling, then the mean of each channel as its score."""

    def __init__(self, path: Path) -> None:
        layers = (Layer(1, 'pool', 'pool', 1, (0,), (1,), 0, 0, '', ''),
                  Layer(2, 'scores', 'fc', 2, (1,), (2,), 0, 0, '', ''))
        self.artefact = Artefact(path, 'mean', 'abc', 'none', False, PixelInput(IMAGE), 0, (2,),
                                 {1: FEATURES, 2: SCORES}, layers, ())

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        x, = xs
        for k in range(first, last + 1):
            x = self._pool(x) if k == 1 else x.mean((0, 1)).astype(np.int8)
        return (x,)

    def _pool(self, x: np.ndarray) -> np.ndarray:
        return (x.reshape(4, 2, 4, 2, 3).mean((1, 3)) - 128).astype(np.int8)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return cast(Network, MeanColour(tmp_path))  # it has what a calibration needs


def flat_image(*rgb: Any) -> Any:
    return np.full(IMAGE.shape, rgb, np.uint8)


IMAGES = [flat_image(100, 20, 30), flat_image(10, 90, 40), flat_image(20, 10, 100)]


def test_the_clip_follows_the_largest_values(network: Network) -> None:
    clips = calibrate(network, IMAGES).clips
    assert clips.keys() == {'pool'}
    assert 85 <= clips['pool'][2] <= 110
    assert 85 <= clips['pool'][7] <= 110


def test_rare_large_values_are_given_up_at_few_bits() -> None:
    counts = np.zeros(256, np.int64)
    counts[:40], counts[250] = 100, 1
    assert best_clip(counts, 2) < 60 < best_clip(counts, 7)


def test_settings_get_the_clip_of_their_cut(network: Network) -> None:
    calibration = Calibration('abc', 1, {'pool': {3: 96}}, {})
    assert calibration.setting('pool', 'lossy:3') == 'lossy:3:96'
    for untouched in ('lossy:3:40', 'lossy:4', 'zstd', 'zstd:3'):
        assert calibration.setting('pool', untouched) == untouched
    assert calibration.setting('elsewhere', 'lossy:3') == 'lossy:3'


def test_what_is_saved_is_loaded(network: Network) -> None:
    calibration = calibrate(network, IMAGES)
    calibration.save(network.artefact.path)
    loaded = Calibration.load(network.artefact)
    assert (loaded.digest, loaded.images, loaded.clips) == ('abc', 3, calibration.clips)
    assert loaded.bases.keys() == calibration.bases.keys() == {'pool'}
    for field in fields(Basis):
        assert np.array_equal(getattr(loaded.bases['pool'], field.name),
                              getattr(calibration.bases['pool'], field.name)), field.name
    assert loaded.bases['pool'].check == calibration.bases['pool'].check


def test_a_transform_is_only_for_cuts_that_were_calibrated(network: Network) -> None:
    elsewhere = replace(network.artefact, path=network.artefact.path / 'not calibrated')
    with pytest.raises(ConfigError, match='measure_codecs'):
        check('transform:16', elsewhere, 1)
    calibrate(network, IMAGES).save(network.artefact.path)
    check('transform:16', network.artefact, 1)


def test_a_calibration_of_another_model_is_refused(network: Network) -> None:
    calibrate(network, IMAGES).save(network.artefact.path)
    with pytest.raises(ModelError, match='another model'):
        Calibration.load(replace(network.artefact, digest='def'))


@pytest.mark.parametrize('damage', [lambda d: b'', lambda d: b'{}', lambda d: d[:len(d) // 2],
                                    lambda d: d.replace(b'about', b'abuot')])
def test_a_broken_file_is_named(network: Network, damage: Callable[..., Any]) -> None:
    calibrate(network, IMAGES).save(network.artefact.path)
    file = network.artefact.path / FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelError, match='calibrate the model again'):
        Calibration.load(network.artefact)


def rewritten(network: Network, change: Callable[[dict[str, bytes]], Any]) -> Path:
    """Return the file of a calibration after a change of its members."""
    calibrate(network, IMAGES).save(network.artefact.path)
    file = network.artefact.path / FILE
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


def test_a_bomb_allocates_nothing(network: Network) -> None:
    def fill(members: dict[str, bytes]) -> None:
        members['pool.mean.npy'] = bytes(MOST_BYTES)
    file = rewritten(network, fill)
    assert file.stat().st_size < MOST_BYTES // 500
    tracemalloc.start()
    with pytest.raises(ModelError, match=f'bytes, more than {MOST_BYTES}'):
        Calibration.load(network.artefact)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_an_array_is_as_large_as_its_data_and_no_larger(network: Network) -> None:
    def claim(members: dict[str, bytes]) -> None:
        header = io.BytesIO()
        npy.write_array_header_1_0(header, {'shape': (1 << 40,), 'fortran_order': False,
                                            'descr': '<f4'})
        members['pool.mean.npy'] = header.getvalue() + bytes(16)
    rewritten(network, claim)
    with pytest.raises(ModelError, match='has 16 bytes'):
        Calibration.load(network.artefact)


def test_objects_are_never_unpickled(network: Network) -> None:
    def pickled(members: dict[str, bytes]) -> None:
        file = io.BytesIO()
        np.save(file, np.array([{}], object))
        members['pool.mean.npy'] = file.getvalue()
    rewritten(network, pickled)
    with pytest.raises(ModelError, match='calibrate the model again'):
        Calibration.load(network.artefact)


def test_arrays_that_are_not_those_that_were_written_are_found(network: Network) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = max((n for n in members if n.startswith('pool.')), key=lambda n: len(members[n]))
        members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])
    rewritten(network, change)  # with a checksum of its own in the archive
    with pytest.raises(ModelError, match='not those that were written'):
        Calibration.load(network.artefact)


def edited(network: Network, change: Callable[[dict[str, Any]], Any]) -> None:
    def edit(members: dict[str, bytes]) -> None:
        about = json.loads(str(np.load(io.BytesIO(members['about.npy']))))
        del about['sha256']  # as who edits it by hand does
        change(about)
        file = io.BytesIO()
        np.save(file, np.array(json.dumps(about)))
        members['about.npy'] = file.getvalue()
    rewritten(network, edit)


@pytest.mark.parametrize('change', [
    lambda d: d.update(digest=5), lambda d: d.update(clips={'pool': {'3': float('inf')}}),
    lambda d: d.update(clips={'pool': {'3': 0}}), lambda d: d.update(clips={'pool': {'3': 256}}),
    lambda d: d.update(clips={'pool': {'9': 96}}), lambda d: d.update(clips={'pool': []})])
def test_values_that_no_calibration_has_are_refused(network: Network,
                                                    change: Callable[..., Any]) -> None:
    edited(network, change)
    with pytest.raises(ModelError, match='calibrate the model again'):
        Calibration.load(network.artefact)


def header(text: str) -> bytes:
    return b'\x93NUMPY\1\0' + len(text).to_bytes(2, 'little') + text.encode()


@pytest.mark.parametrize('data', [
    header('{"descr": ('), header('(' * 5000), header('{"descr": "S0", "shape": (1,)}'),
    b'\x93NUM'])
def test_an_array_that_numpy_cannot_read_is_refused(network: Network, data: bytes) -> None:
    rewritten(network, lambda members: members.update({'pool.mean.npy': data}))
    with pytest.raises(ModelError, match='calibrate the model again'):
        Calibration.load(network.artefact)


@pytest.mark.parametrize(('at', 'value'), [(6, 1), (8, 99), (8, 12)])
def test_a_zip_that_is_encrypted_or_packed_in_another_way_is_refused(
        network: Network, at: int, value: int) -> None:
    calibrate(network, IMAGES).save(network.artefact.path)
    file = network.artefact.path / FILE
    data = bytearray(file.read_bytes())
    data[at] = value  # flags or method of the first member, and its entry in the directory
    data[data.index(b'PK\1\2') + at + 2] = value
    file.write_bytes(data)
    with pytest.raises(ModelError, match='calibrate the model again'):
        Calibration.load(network.artefact)


def test_measure_counts_bytes_and_agreement(network: Network) -> None:
    calibration = calibrate(network, IMAGES)
    rows = measure(network, {1: ['raw', 'lossy:4', 'lossy:2:1']}, IMAGES, [0, 1, 1], calibration)
    raw, fine, ruined = rows
    assert (raw.cut, raw.codec, raw.images, raw.agreement) == ('pool', 'raw', 3, 1.0)
    assert raw.bytes == FEATURES.size + 6
    assert raw.bits_per_element == pytest.approx(8 * raw.bytes / FEATURES.size)
    assert raw.accuracy == pytest.approx(2 / 3)
    assert fine.codec.startswith('lossy:4:')
    assert fine.agreement == 1.0
    assert ruined.agreement == pytest.approx(1 / 3)  # all channels saturate: class 0 for all
