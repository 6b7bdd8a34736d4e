from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unit.codec.golden_streams import basis

from offload_perception.codec import decode, encode
from offload_perception.codec.learn_transform import block_side, fit
from offload_perception.codec.transform import STEPS, Basis, blocks, tables, unblocked
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

SPEC = TensorSpec((4, 4, 8), 'int8', 0.1, -128)


def mixed(count: int, seed: int = 0) -> np.ndarray:
    """Return tensors of 8 channels that three causes explain, and a little noise."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(0, 25, (3, 8))
    causes = rng.normal(0, 1, (count, 4, 4, 3))
    real = causes @ mixing + 40 + rng.normal(0, 1, (count, *SPEC.shape))
    return (np.maximum(real, 0).clip(0, 255) - 128).astype(np.int8)


def learned(side: int = 1, metric: np.ndarray | None = None) -> Basis:
    samples = np.concatenate([blocks(q.view(np.uint8) ^ 0x80, side) for q in mixed(200, 1)])
    return fit(samples, side, metric)


BASIS = learned()


def trip(q: np.ndarray, step: int, basis: Basis = BASIS) -> tuple[np.ndarray, int]:
    data = encode(q, SPEC, f'transform:{step}', learned=basis)
    decoded = decode(data, SPEC, learned=basis)
    assert (decoded.array.shape, decoded.array.dtype) == (q.shape, q.dtype)
    return decoded.array.astype(int), len(data)


def test_fewer_bytes_at_coarser_steps_and_larger_errors() -> None:
    tensors = mixed(20)
    errors, sizes = zip(*((np.mean([np.square(trip(q, step)[0] - q).mean() for q in tensors]),
                           np.mean([trip(q, step)[1] for q in tensors])) for step in STEPS),
                        strict=True)
    assert list(errors) == sorted(errors)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert errors[0] < STEPS[0] ** 2 / 4


def test_what_is_decoded_is_right_on_average() -> None:
    tensors = mixed(100)
    for step in STEPS[:5]:
        decoded = np.stack([trip(q, step)[0] for q in tensors])
        assert np.abs((decoded - tensors).mean((0, 1, 2))).max() < 3, step


def test_elements_that_count_are_kept_better() -> None:
    metric = np.diag([50.0] + 7 * [0.1])
    error = [np.square(np.stack([trip(q, 32, learned(metric=m))[0] - q for q in mixed(50)]))
             .mean((0, 1, 2)) for m in (None, metric)]
    assert error[1][0] < 0.5 * error[0][0]


def test_blocks_come_back() -> None:
    steps = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    assert np.array_equal(unblocked(blocks(steps, 4), steps.shape, 4), steps)
    assert block_side((8, 12, 3)) == 4
    assert block_side((7, 7, 512)) == 1


def test_another_calibration_is_found() -> None:
    data = encode(mixed(1)[0], SPEC, 'transform:16', learned=BASIS)
    for other in (learned(side=2), None):
        with pytest.raises(DecodeError, match='calibration'):
            decode(data, SPEC, learned=other)


@pytest.mark.parametrize('step', [9, 12])
def test_only_calibrated_steps_are_taken(step: int) -> None:
    with pytest.raises(ConfigError, match='8, 11'):
        encode(mixed(1)[0], SPEC, f'transform:{step}', learned=BASIS)


def test_a_basis_does_not_fit_other_shapes() -> None:
    assert BASIS.fits((4, 4, 8))
    assert not BASIS.fits((4, 4, 9))
    assert not basis(2, 8).fits((3, 4, 8))


@pytest.mark.parametrize('changes', [
    {'rows': np.full_like(BASIS.rows, len(tables().start))},  # a table beyond the last one
    {'rows': BASIS.rows.astype(np.int64)}, {'rows': BASIS.rows[:, 1:]}, {'side': 0}, {'side': 3},
    {'mean': BASIS.mean[1:]}, {'inverse': BASIS.inverse[:, 1:]}, {'forward': BASIS.forward.T[1:]},
    {'offsets': BASIS.offsets.astype(float)}, {'inverse': BASIS.inverse * np.float32(np.inf)}])
def test_what_the_coder_could_not_take_is_no_basis(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='wrong shapes or numbers'):
        replace(BASIS, **changes)


def test_tables_are_whole() -> None:
    start = tables().start.astype(int)
    assert (start[:, -1] == 1 << 15).all()
    assert (np.diff(start) > 0).all()
