import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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
    decoded = decode(encode(q, spec, name), spec)
    assert (decoded.array.shape, decoded.array.dtype) == (q.shape, q.dtype)
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


def of_both_signs(zero_point: int) -> tuple[np.ndarray, TensorSpec]:
    q = np.arange(-128, 128).astype(np.int8).reshape(8, 8, 4)
    return q, TensorSpec(q.shape, 'int8', 0.5, zero_point)


@given(bits=st.sampled_from(BITS), clip=st.integers(1, 255), zero_point=st.integers(-127, 127))
def test_of_both_signs_zero_stays_zero_and_the_clip_is_on_each_side(bits: int, clip: int,
                                                                    zero_point: int) -> None:
    q, spec = of_both_signs(zero_point)
    found = decode(encode(q, spec, f'lossy:{bits}:{clip}'), spec).array
    off, found_off = q.astype(int) - zero_point, found.astype(int) - zero_point
    assert (found_off[off == 0] == 0).all()
    assert (np.diff(found_off.reshape(-1)) >= 0).all()
    assert (abs(found_off) <= clip).all()
    levels_above = max(2 ** (bits - 1) - 1, 1)
    error = abs(found_off - off.clip(-clip, clip))
    assert error.max() <= clip / levels_above / 2 + 0.5


def test_of_both_signs_fewer_bits_cost_fewer_bytes() -> None:
    real = np.random.default_rng(1).normal(3, 20, (28, 28, 64))
    q = np.rint(real).clip(-128, 127).astype(np.int8)
    spec = TensorSpec(q.shape, 'int8', 0.5, 3)
    sizes = [len(encode(q, spec, f'lossy:{bits}:50')) for bits in (2, 3, 4, 5, 6)]
    assert sizes == sorted(sizes)
    assert 8 * sizes[0] / q.size < 1.5


@given(hnp.arrays(np.float32, (5, 4, 3), elements=st.floats(
    -2.0**100, 2.0**100, width=32, allow_subnormal=False)))
def test_floats_are_off_by_half_a_step_and_zero_is_exact(x: np.ndarray) -> None:
    spec = TensorSpec(x.shape, 'float32')
    found = decode(encode(x, spec, 'affine'), spec).array
    step = (max(float(x.max()), 0.0) - min(float(x.min()), 0.0)) / 255
    assert np.abs(found.astype(float) - x).max() <= 0.51 * step + 1e-35
    assert (found[x == 0] == 0).all()


def test_floats_that_are_no_numbers_are_sent_as_the_nearest() -> None:
    x = np.array([[[np.nan, np.inf, -np.inf, 1.0]]], np.float32)
    spec = TensorSpec(x.shape, 'float32')
    found = decode(encode(x, spec, 'affine'), spec).array
    assert np.isfinite(found).all()
    assert found[0, 0, 1] > 1e38
    assert found[0, 0, 2] < -1e38


def test_a_tensor_without_space_is_refused() -> None:
    with pytest.raises(ConfigError, match='zero point 3'):
        encode(np.zeros(8, np.int8), TensorSpec((8,), 'int8', 1.0, 3), 'lossy:3')
