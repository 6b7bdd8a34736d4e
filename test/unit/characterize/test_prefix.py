from pathlib import Path

import numpy as np
import pytest

from offload_perception.characterize.prefix import FloatPrefixes, OwnPrefixes, write_float
from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.select import Choice
from offload_perception.tensor import TensorSpec
from offload_perception.terrain.tiles import tiles


def images(artefact: Artefact) -> np.ndarray:
    return tiles('test', 8, size=artefact.input.shape[0])[0]


def run(file: Path, artefact: Artefact, last: int, dtype: str | None = None) -> np.ndarray:
    """Return the prefix's output for each image."""
    (given,), (wanted,) = artefact.end_specs(1, last)
    if dtype:
        given, wanted = TensorSpec(given.shape, dtype), TensorSpec(wanted.shape, dtype)
    runner = load_cpu('litert', file, (given,), (wanted,), threads=1)
    found = np.stack([runner.run((x.astype(given.dtype),))[0].copy() for x in images(artefact)])
    runner.close()
    return found


@pytest.mark.parametrize('last', [1, 3, -1])
def test_an_int8_prefix_is_the_head_of_the_network(artefact: Artefact, last: int) -> None:
    last = artefact.cut(last)
    chain = Chain(artefact, Choice('cpu', 'litert', ''), 1)
    with OwnPrefixes(artefact).file(last) as file:
        heads = np.stack([chain.head(last, x)[0] for x in images(artefact)])
        assert np.array_equal(run(file, artefact, last), heads)
    chain.close()


@pytest.fixture(scope='module')
def float_file(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip('tensorflow')
    if not artefact.keras_file.exists():
        pytest.skip('the float32 network is not bundled')
    return write_float(artefact, tmp_path_factory.mktemp('float') / 'float32.tflite')


@pytest.mark.parametrize('last', [1, 3, -1])
def test_a_float32_prefix_is_what_the_int8_one_approximates(artefact: Artefact, float_file: Path,
                                                            last: int) -> None:
    last = artefact.cut(last)
    with FloatPrefixes(artefact, float_file).file(last) as file:
        exact = run(file, artefact, last, 'float32')
    with OwnPrefixes(artefact).file(last) as file:
        spec, = artefact.tensors(last)
        rounded = spec.dequantise(run(file, artefact, last))
    assert np.abs(exact - rounded).mean() < 0.1 * (exact.std() + spec.scale)


def test_a_float32_file_of_another_network_is_refused(artefact: Artefact, float_file: Path,
                                                      tmp_path: Path) -> None:
    with FloatPrefixes(artefact, float_file).file(3) as part, \
            pytest.raises(ModelError, match='3_float32'):
        FloatPrefixes(artefact, part)


def test_a_float32_file_is_not_made_twice(artefact: Artefact, float_file: Path) -> None:
    before = float_file.stat().st_mtime_ns
    assert write_float(artefact, float_file).stat().st_mtime_ns == before


def test_a_missing_float32_file_is_named(artefact: Artefact, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'none\.tflite cannot be read'):
        FloatPrefixes(artefact, tmp_path / 'none.tflite')
