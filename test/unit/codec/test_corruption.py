"""Whatever arrives, decode answers with a tensor within the bound or a DecodeError."""

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.codec.golden_streams import latent_tables

from offload_perception.codec import codecs, container, decode, encode
from offload_perception.codec.features import above_lowest
from offload_perception.codec.learn_transform import block_side, fit
from offload_perception.codec.registry import CODECS, Learned
from offload_perception.codec.transform import blocks
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

RGB = TensorSpec((16, 24, 3), 'uint8')
FEATURES = TensorSpec((6, 6, 16), 'int8', 0.1, -128)
LARGE = TensorSpec((16, 16, 40), 'int8', 0.1, -128)
SIGNED = replace(FEATURES, zero_point=-60)
REALS = TensorSpec((6, 6, 16), 'float32')


def features(spec: TensorSpec, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(-128, 40, spec.shape), -128).clip(-128, 127).astype(np.int8)


def basis_for(spec: Any) -> Any:
    side = block_side(spec.shape)
    return fit(np.concatenate([blocks(above_lowest(features(spec, seed)), side)
                               for seed in range(30)]), side)


BASIS = basis_for(FEATURES)
TABLES, LATENT = latent_tables(FEATURES.shape[-1]), 9


class Sample(NamedTuple):
    """A stream and the tensor that it holds."""

    data: bytes
    spec: TensorSpec

    @property
    def learned(self) -> Learned:
        return TABLES if self.data[1] == LATENT else BASIS


def samples() -> Iterator[Sample]:
    image = np.random.default_rng(3).integers(0, 256, RGB.shape, np.uint8)
    for name in codecs():
        for array, spec in ((image, RGB), (features(FEATURES), FEATURES),
                            (features(SIGNED), SIGNED), (features(REALS) / np.float32(3), REALS)):
            learned = TABLES if name == 'latent' else BASIS
            try:
                yield Sample(bytes(encode(array, spec, name, learned=learned)), spec)
            except ConfigError:
                continue


SAMPLES = tuple(samples())


def sealed(data: bytes, spec: TensorSpec) -> bytes:
    """Return `data` with a right checksum, as a forger would send it."""
    if len(data) < container._HEAD.size:
        return data
    crc = container._crc(memoryview(data), spec)
    return data[:2] + struct.pack('<I', crc) + data[6:]


def decodes_or_refuses(data: bytearray | bytes, spec: TensorSpec,
                       learned: Learned | None = None) -> bool:
    try:
        array = decode(data, spec, learned=learned).array
    except DecodeError:
        return False
    assert array.dtype == spec.dtype
    assert array.shape == spec.shape
    return True


def test_every_codec_is_under_test() -> None:
    assert {sample.data[1] for sample in SAMPLES} == {codec.number for codec in CODECS}


@given(st.sampled_from(SAMPLES), st.data())
def test_any_flipped_bit_is_found(sample: Sample, draw: st.DataObject) -> None:
    data, spec = sample
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    broken = bytearray(data)
    broken[bit // 8] ^= 1 << bit % 8
    assert not decodes_or_refuses(broken, spec, sample.learned)


@given(st.sampled_from(SAMPLES), st.data())
def test_any_truncation_is_found(sample: Sample, draw: st.DataObject) -> None:
    data, spec = sample
    assert not decodes_or_refuses(data[:draw.draw(st.integers(0, len(data) - 1))], spec,
                                  sample.learned)


@given(st.sampled_from(SAMPLES), st.binary(min_size=1, max_size=50))
def test_any_extension_is_found(sample: Sample, tail: bytes) -> None:
    assert not decodes_or_refuses(sample.data + tail, sample.spec, sample.learned)


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    for spec in (RGB, FEATURES, REALS):
        assert not decodes_or_refuses(data, spec)
        assert not decodes_or_refuses(b'\xa3' + data, spec)


@settings(max_examples=400)
@given(st.sampled_from(SAMPLES), st.data())
def test_forged_frames_never_crash(sample: Sample, draw: st.DataObject) -> None:
    """Mutated anywhere, cut or stretched, and sealed again: the codecs themselves must hold."""
    broken = bytearray(sample.data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(broken) - 1))
        length = draw.draw(st.integers(0, 4))
        broken[at:at + length] = draw.draw(st.binary(max_size=4))
    decodes_or_refuses(sealed(bytes(broken), sample.spec), sample.spec, sample.learned)


def test_a_bomb_allocates_nothing() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    frame = container.pack(FEATURES, 1, (1,), [bomb])
    tracemalloc.start()
    with pytest.raises(DecodeError, match=r'576.* expected'):
        decode(frame, FEATURES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize('codec', ['rans', 'adaptive'])
@pytest.mark.parametrize('spec', [FEATURES, LARGE], ids=['one state', 'several states'])
@pytest.mark.parametrize('change', [lambda s: s[:-2], lambda s: s + b'xx', lambda s: b'',
                                    lambda s: s[:3], lambda s: s[2:]])
def test_an_entropy_code_must_end_where_the_tensor_does(spec: TensorSpec, codec: str,
                                                        change: Callable[..., Any]) -> None:
    q = features(spec)
    found = container.unpack(encode(q, spec, codec), spec, 0)
    frame = container.pack(spec, found.codec, (), [change(bytes(found.payload))])
    with pytest.raises(DecodeError, match='entropy code'):
        decode(frame, spec)


@pytest.mark.parametrize('codec, parameters', [(99, ()), (1, (0,)), (1, (20,)),
                                               (4, (8, 100)), (4, (3, 0)), (5, (90,)), (8, ())])
def test_what_no_encoder_writes_is_refused(codec: int, parameters: tuple[int, ...]) -> None:
    with pytest.raises(DecodeError, match=r'cannot have made|unknown to this software'):
        decode(container.pack(FEATURES, codec, parameters, [bytes(576)]), FEATURES)


@pytest.mark.parametrize('payload', [b'', b'1234', struct.pack('<fB', float('nan'), 0),
                                     struct.pack('<fB', -1.0, 0), struct.pack('<fB', 0.0, 0)])
def test_an_affine_tensor_has_a_scale(payload: bytes) -> None:
    with pytest.raises(DecodeError, match='affine'):
        decode(container.pack(REALS, 8, (), [payload]), REALS)


def test_an_image_larger_than_its_header_says_is_not_decoded(
        monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.zeros((64, 64, 3), np.uint8)
    frames = []
    for name in ('jpeg', 'webp'):
        data = encode(large, TensorSpec(large.shape, 'uint8'), name)
        payload = container.unpack(data, TensorSpec(large.shape, 'uint8'), 1).payload
        frames.append(container.pack(RGB, data[1], (90,), [payload]))
    monkeypatch.delattr(cv2, 'imdecode')
    for frame in frames:
        with pytest.raises(DecodeError, match=r'64, 64'):
            decode(frame, RGB)
