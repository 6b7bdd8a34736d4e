from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offload_perception.codec import codecs, decode, encode, parse, registry
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

DTYPES = ('int8', 'uint8', 'float32')
RGB = TensorSpec((24, 40, 3), 'uint8')


def spec_of(q: np.ndarray, scale: float = 0.25, zero_point: int = -128) -> TensorSpec:
    return TensorSpec(q.shape, str(q.dtype), scale, zero_point)


def lossless_for(spec: TensorSpec) -> list[str]:
    settings = []
    for name in codecs():
        try:
            settings.append(parse(name, spec))
        except ConfigError:
            continue
    return [str(s) for s in settings if s.codec.lossless]


def tensors() -> Any:
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=20)))


def activations(shape: tuple[int, ...], dtype: str = 'int8', seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    channel_scale = rng.lognormal(2.5, 1, shape[-1])
    real = np.maximum(rng.normal(-0.3, 1, shape) * channel_scale, 0)
    return (real + np.iinfo(dtype).min).clip(*_limits(dtype)).astype(dtype)


def _limits(dtype: str) -> tuple[int, int]:
    return np.iinfo(dtype).min, np.iinfo(dtype).max


@given(tensors(), st.integers(-300, 300))
def test_every_tensor_comes_back_bit_for_bit(q: np.ndarray, zero_point: int) -> None:
    spec = spec_of(q, zero_point=zero_point)
    for name in lossless_for(spec):
        decoded = decode(encode(q, spec, name), spec)
        assert decoded.array.shape == q.shape
        assert decoded.array.dtype == q.dtype
        assert decoded.array.tobytes() == q.tobytes(), name


@pytest.mark.parametrize('dtype', ['int8', 'uint8'])
@pytest.mark.parametrize('shape', [(28, 28, 256), (7, 7, 512), (14, 10, 33), (1, 1, 1), (4096,)])
def test_activations_come_back_and_shrink(shape: tuple[int, ...], dtype: str) -> None:
    q = activations(shape, dtype)
    spec = spec_of(q, zero_point=int(np.iinfo(dtype).min))
    for name in lossless_for(spec):
        data = encode(q, spec, name)
        assert np.array_equal(decode(data, spec).array, q), name
        if q.size > 10_000 and not name.startswith('raw'):
            assert len(data) < 0.75 * spec.nbytes, name


@pytest.mark.parametrize('name', ['rans', 'lossy:7:127'])
@pytest.mark.parametrize('shape', [(1, 1, 3), (6, 6, 16), (32, 32, 40)])
def test_noise_takes_no_more_than_its_elements(name: str, shape: tuple[int, ...]) -> None:
    q = np.random.default_rng(4).integers(-128, 128, shape, np.int8)
    data = encode(q, spec_of(q), name)
    assert q.nbytes <= len(data) <= q.nbytes + 8
    if name == 'rans':
        assert np.array_equal(decode(data, spec_of(q)).array, q)


def test_channels_of_like_statistics_are_coded_together() -> None:
    q = activations((28, 28, 256))
    assert len(encode(q, spec_of(q), 'rans')) < 0.97 * len(encode(q, spec_of(q), 'zstd'))


def test_neighbours_predict() -> None:
    fields = np.random.default_rng(2).normal(0, 60, (28, 28, 64)).astype(np.float32)
    smooth = np.maximum(cv2.GaussianBlur(fields, (9, 9), 2) * 6, 0).clip(0, 255).astype(np.uint8)
    mixed = np.random.default_rng(3).permuted(smooth.reshape(-1, 64), axis=0)
    mixed = mixed.reshape(smooth.shape)
    assert len(encode(smooth, spec_of(smooth))) < 0.75 * len(encode(mixed, spec_of(mixed)))


def test_activations_of_both_signs_cost_less_than_their_frequencies_in_each_channel() -> None:
    rng = np.random.default_rng(5)
    fields = rng.normal(0, 40, (28, 28, 32)).astype(np.float32)
    real = cv2.GaussianBlur(fields, (5, 5), 1) * rng.lognormal(0, 0.7, 32) + rng.normal(0, 9, 32)
    q = np.rint(real).clip(-128, 127).astype(np.int8)
    counts = [np.unique(plane, return_counts=True)[1] for plane in q.reshape(-1, 32).T]
    entropy = sum(float(n @ np.log2(n.sum() / n)) for n in counts) / 8
    assert len(encode(q, spec_of(q, zero_point=0))) < 0.95 * entropy


def test_the_value_of_a_channel_at_rest_costs_next_to_nothing() -> None:
    """Channels of a depthwise convolution rest at their bias, which is not zero."""
    q = np.broadcast_to(np.arange(100, dtype=np.uint8), (14, 14, 100)).copy()
    q[3, 5] += 7
    assert len(encode(q, spec_of(q, zero_point=0), 'adaptive')) < 0.06 * q.size


def test_the_header_is_small() -> None:
    q = activations((2, 2, 64))
    assert len(encode(q, spec_of(q), 'raw')) == q.size + 6


def test_auto_knows_activations_of_one_sign_and_of_both() -> None:
    for features in (TensorSpec((28, 28, 256), 'int8', 0.1, -128), TensorSpec((4096,), 'uint8')):
        assert str(parse('auto', features)) == 'rans'
    assert str(parse('auto', TensorSpec((28, 28, 24), 'int8', 0.1, 3))) == 'adaptive'
    for other in (RGB, TensorSpec((7, 7, 512), 'float32')):
        assert str(parse('auto', other)) == 'zstd:1'


def test_strided_input_is_accepted() -> None:
    q = activations((20, 20, 16))[::2, ::2]
    decoded = decode(encode(q, spec_of(q)), spec_of(q))
    assert np.array_equal(decoded.array, q)


def test_raw_decodes_to_a_view() -> None:
    q = activations((8, 8, 8))
    data = encode(q, spec_of(q), 'raw')
    assert np.shares_memory(decode(data, spec_of(q)).array, np.asarray(data))


@pytest.mark.parametrize('name', ['jpeg', 'webp', 'jpeg:60'])
def test_images_come_back_similar(name: str) -> None:
    gradient = np.linspace(0, 255, RGB.shape[0] * RGB.shape[1]).reshape(RGB.shape[:2])
    image = np.stack([gradient, gradient[::-1], np.full_like(gradient, 90)], -1).astype(np.uint8)
    decoded = decode(encode(image, RGB, name), RGB)
    assert decoded.codec.startswith(name)
    assert np.abs(decoded.array.astype(int) - image).mean() < 8


@pytest.mark.parametrize('name', ['zip', '', 'auto:2'])
def test_an_unknown_codec_is_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=r'raw.*zstd'):
        parse(name, RGB)


@pytest.mark.parametrize('name', ['zstd:0', 'zstd:20', 'zstd:x', 'zstd:', 'raw:1'])
def test_a_wrong_parameter_is_answered_with_the_usage(name: str) -> None:
    with pytest.raises(ConfigError, match='usage is'):
        parse(name, RGB)


def test_a_codec_refuses_tensors_it_cannot_take() -> None:
    q = activations((8, 8, 4))
    with pytest.raises(ConfigError, match='jpeg'):
        encode(q, spec_of(q), 'jpeg')


@pytest.fixture
def without_zstandard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registry._lacking.cache_clear()
    monkeypatch.setattr(registry, 'find_spec', lambda name: None)
    yield
    registry._lacking.cache_clear()


def test_a_codec_whose_package_is_not_installed_says_which(without_zstandard: None) -> None:
    q = activations((8, 8, 4))
    decode(encode(q, spec_of(q), 'rans'), spec_of(q))
    with pytest.raises(ConfigError, match='pip install zstandard'):
        encode(q, spec_of(q), 'zstd')


def test_a_stream_of_such_a_codec_is_refused_with_the_remedy(
        request: pytest.FixtureRequest) -> None:
    q = activations((8, 8, 4))
    stream = encode(q, spec_of(q), 'zstd')
    request.getfixturevalue('without_zstandard')
    with pytest.raises(DecodeError, match='pip install zstandard'):
        decode(stream, spec_of(q))


def test_a_tensor_unlike_its_spec_is_refused() -> None:
    q = activations((8, 8, 4))
    with pytest.raises(ConfigError, match='batch'):
        encode(q[None], spec_of(q))
