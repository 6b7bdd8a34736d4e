"""Codec `latent`: rounding to steps, and tables that neighbours choose."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.codec.golden_streams import latent_tables, signed

from offload_perception.codec import container, decode, encode
from offload_perception.codec.latent import STEPS, LatentTables
from offload_perception.codec.learn_latent import fit
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

SPEC = TensorSpec((8, 8, 12), 'int8', 0.06, 7)


def latents(count: int, seed: int = 0, spec: TensorSpec = SPEC) -> np.ndarray:
    """Return tensors whose elements depend on those to the left and above."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 12, (count, *spec.shape))
    for i in range(1, spec.shape[0]):
        x[:, i] += 0.5 * x[:, i - 1]
    for j in range(1, spec.shape[1]):
        x[:, :, j] += 0.45 * x[:, :, j - 1]
    limits = np.iinfo(spec.dtype)
    return np.clip(np.rint(x + spec.zero_point), limits.min, limits.max).astype(spec.dtype)


TABLES = fit(latents(400), SPEC)


def rounded(q: np.ndarray, zero: int, step: int) -> np.ndarray:
    """Return each element as the nearest multiple of the step from zero, half away from it."""
    off = q.astype(int) - zero
    limits = np.iinfo(q.dtype)
    return np.clip(zero + np.sign(off) * ((2 * abs(off) + step) // (2 * step)) * step,
                   limits.min, limits.max)


@given(dtype=st.sampled_from(['int8', 'uint8']), zero=st.integers(-128, 127),
       step=st.sampled_from(STEPS), seed=st.integers(0, 2**32 - 1),
       shape=st.sampled_from([(1, 1, 12), (8, 8, 12), (5, 3, 12), (28, 28, 12)]))
def test_every_element_comes_back_as_its_level(dtype: str, zero: int, step: int, seed: int,
                                               shape: tuple[int, int, int]) -> None:
    zero -= int(np.iinfo('int8').min - np.iinfo(dtype).min)
    spec = TensorSpec(shape, dtype, 0.06, zero)
    q = np.random.default_rng(seed).integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape,
                                             dtype, endpoint=True)
    found = decode(encode(q, spec, f'latent:{step}', learned=TABLES), spec, learned=TABLES)
    assert found.codec == f'latent:{step}'
    assert found.array.dtype == q.dtype
    assert np.array_equal(found.array, rounded(q, zero, step))


def entropy_by_channel(planes: np.ndarray) -> float:
    """Return the order-0 entropy of levels (N, H, W, C), in bytes for each of N."""
    total = 0.0
    for channel in range(planes.shape[-1]):
        _, counts = np.unique(planes[..., channel], return_counts=True)
        share = counts / counts.sum()
        total -= planes[..., channel].size * float(share @ np.log2(share))
    return total / 8 / len(planes)


def test_neighbours_save_bytes_and_coarse_steps_more() -> None:
    unseen, sizes = latents(100, seed=1), []
    for step in STEPS:
        sizes.append(np.mean([len(encode(q, SPEC, f'latent:{step}', learned=TABLES))
                              for q in unseen]))
    assert sizes == sorted(sizes, reverse=True)
    entropy = entropy_by_channel(np.stack([rounded(q, 7, 8) for q in unseen]))
    assert sizes[0] - 8 < 0.95 * entropy


def test_the_header_and_all_else_that_is_no_entropy_code_are_few_bytes() -> None:
    q = np.full(SPEC.shape, SPEC.zero_point, np.int8)
    zeros = fit(np.stack([q] * 50), SPEC)
    assert len(encode(q, SPEC, 'latent:90', learned=zeros)) <= 8 + 4


@pytest.mark.parametrize('learned', [None, fit(latents(9, spec=replace(SPEC, shape=(8, 8, 3))),
                                                replace(SPEC, shape=(8, 8, 3)))])
def test_tables_of_another_cut_are_refused(learned: LatentTables | None) -> None:
    q = latents(1)[0]
    with pytest.raises(ConfigError, match='train_bottleneck'):
        encode(q, SPEC, 'latent:16', learned=learned)
    with pytest.raises(DecodeError, match='another calibration'):
        decode(encode(q, SPEC, 'latent:16', learned=TABLES), SPEC, learned=learned)


def test_a_step_without_tables_is_refused() -> None:
    with pytest.raises(ConfigError, match='one of the steps 8, 11'):
        encode(latents(1)[0], SPEC, 'latent:9', learned=TABLES)
    forged = container.pack(SPEC, 9, (9,), [bytes((TABLES.check,)), b'1234'])
    with pytest.raises(DecodeError, match='another calibration'):
        decode(forged, SPEC, learned=TABLES)


@given(st.binary(max_size=300), st.sampled_from(STEPS), st.sampled_from([SPEC, replace(
    SPEC, shape=(28, 28, 12))]))
def test_any_entropy_code_is_decoded_or_refused(code: bytes, step: int, spec: TensorSpec) -> None:
    """The checksum is right: a forger sends it."""
    stream = container.pack(spec, 9, (step,), [bytes((TABLES.check,)), code])
    try:
        assert decode(stream, spec, learned=TABLES).array.shape == spec.shape
    except DecodeError as e:
        assert 'wrong place' in str(e)


@pytest.mark.parametrize('change', [
    {'weights': np.zeros((12, 2), np.int64)}, {'weights': np.full((12, 2), 1 << 20, np.int32)},
    {'rows': np.full((8, 12, 256), 255, np.uint8)}, {'rows': np.zeros((8, 11, 256), np.uint8)},
    {'frequencies': np.ones((7, 192, 256), np.uint16)}])
def test_tables_out_of_range_never_reach_the_coder(change: dict[str, np.ndarray]) -> None:
    tables = latent_tables(12)
    with pytest.raises(ValueError, match='wrong shapes'):
        replace(tables, **change)


def test_channels_are_few() -> None:
    spec = TensorSpec((4, 4, 65), 'int8', 0.1, 0)
    with pytest.raises(ConfigError, match='cannot take'):
        encode(signed(spec.shape), spec, 'latent:16', learned=TABLES)


@pytest.mark.parametrize('weight', [-(1 << 31), -(1 << 15) - 1, (1 << 15) + 1])
def test_weights_that_the_coder_could_not_take_are_no_tables(weight: int) -> None:
    weights = TABLES.weights.copy()
    weights[3, 1] = weight
    with pytest.raises(ValueError, match='wrong shapes'):
        replace(TABLES, weights=weights)
