import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.codec import decode, encode
from offload_perception.codec.lossy import BITS
from offload_perception.errors import ConfigError
from offload_perception.tensor import TensorSpec

SHAPES = [(4, 4, 16), (1, 1, 1), (7, 5, 3), (28, 28, 256)]


def random_tensor(shape: tuple[int, int, int], dtype: str,
                  seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    steps = np.random.default_rng(seed).integers(0, 256, shape)
    return (steps + np.iinfo(dtype).min).astype(dtype), steps


def back(q: np.ndarray, name: str) -> np.ndarray:
    spec = TensorSpec(q.shape, str(q.dtype), 0.5, int(np.iinfo(q.dtype).min))
    decoded = decode(encode(q, spec, name), max_bytes=spec.nbytes)
    assert (decoded.spec, decoded.array.shape, decoded.array.dtype) == (spec, q.shape, q.dtype)
    return decoded.array.astype(int) - np.iinfo(q.dtype).min


@pytest.mark.parametrize('bits', BITS)
@pytest.mark.parametrize('dtype', ['int8', 'uint8'])
@pytest.mark.parametrize('shape', SHAPES)
def test_the_error_is_at_most_half_a_level(shape: tuple[int, int, int], dtype: str,
                                           bits: int) -> None:
    q, steps = random_tensor(shape, dtype)
    error = back(q, f'lossy:{bits}:200') - np.minimum(steps, 200)
    assert np.abs(error).max() <= 200 / (2**bits - 1) / 2 + 0.5


@given(bits=st.sampled_from(BITS), clip=st.integers(1, 255))
def test_zero_stays_zero_and_the_clip_is_the_largest(bits: int, clip: int) -> None:
    q = np.arange(256, dtype=np.uint8).reshape(8, 8, 4)
    steps = back(q, f'lossy:{bits}:{clip}').reshape(-1)
    assert steps[0] == 0
    assert (steps[clip:] == clip).all()
    assert (np.diff(steps) >= 0).all()


@pytest.mark.parametrize('bits', BITS)
def test_coding_again_changes_nothing(bits: int) -> None:
    once = back(random_tensor((6, 6, 8), 'uint8')[0], f'lossy:{bits}:77').astype(np.uint8)
    assert np.array_equal(back(once, f'lossy:{bits}:77'), once)


def test_sparse_activations_cost_less_than_a_bit() -> None:
    rng = np.random.default_rng(1)
    q = np.maximum(rng.normal(-40, 40, (28, 28, 64)), 0).astype(np.uint8)
    spec = TensorSpec(q.shape, 'uint8')
    assert 8 * len(encode(q, spec, 'lossy:2:96')) / q.size < 0.8


def test_a_tensor_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match='zero point 3'):
        encode(np.zeros((2, 2, 2), np.int8), TensorSpec((2, 2, 2), 'int8', 1.0, 3), 'lossy:3')
