from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from offload_perception.codec.calibration import FILE, Calibration, best_clip, calibrate, check
from offload_perception.codec.measure import measure
from offload_perception.codec.transform import Basis
from offload_perception.errors import ConfigError, ModelError
from offload_perception.network.artefact import Artefact, Layer
from offload_perception.network.pixels import PixelInput
from offload_perception.network.runnable import Network
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
