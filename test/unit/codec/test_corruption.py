"""Whatever arrives, decode answers with a tensor within the bound or a DecodeError."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from offload_perception.codec import codecs, container, decode, encode, image
from offload_perception.codec.registry import CODECS
from offload_perception.errors import ConfigError, DecodeError
from offload_perception.tensor import TensorSpec

LIMIT = 4096
RGB = TensorSpec((16, 24, 3), 'uint8')
FEATURES = TensorSpec((6, 6, 16), 'int8', 0.1, -128)


def samples():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, RGB.shape, np.uint8)
    q = np.maximum(rng.normal(-128, 40, FEATURES.shape), -128).clip(-128, 127).astype(np.int8)
    for name in codecs():
        for array, spec in ((image, RGB), (q, FEATURES)):
            try:
                yield bytes(encode(array, spec, name))
            except ConfigError:
                continue


SAMPLES = tuple(samples())


def sealed(data):
    """Return `data` with a right checksum, as a forger would send it."""
    head = container._HEAD.size
    if len(data) < head:
        return data
    crc = zlib.crc32(data[head:], zlib.crc32(data[:head - 4]))
    return data[:head - 4] + struct.pack('<I', crc) + data[head:]


def decodes_or_refuses(data):
    try:
        decoded = decode(data, max_bytes=LIMIT)
    except DecodeError:
        return False
    assert decoded.array.nbytes == decoded.spec.nbytes <= LIMIT
    assert decoded.array.shape == decoded.spec.shape
    return True


def test_every_codec_is_under_test():
    assert {data[3] for data in SAMPLES} == {codec.number for codec in CODECS}


@given(st.sampled_from(SAMPLES), st.data())
def test_any_flipped_bit_is_found(data, draw):
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    broken = bytearray(data)
    broken[bit // 8] ^= 1 << bit % 8
    assert not decodes_or_refuses(broken)


@given(st.sampled_from(SAMPLES), st.data())
def test_any_truncation_is_found(data, draw):
    assert not decodes_or_refuses(data[:draw.draw(st.integers(0, len(data) - 1))])


@given(st.sampled_from(SAMPLES), st.binary(min_size=1, max_size=50))
def test_any_extension_is_found(data, tail):
    assert not decodes_or_refuses(data + tail)


@given(st.binary(max_size=200))
def test_noise_is_refused(data):
    assert not decodes_or_refuses(data)
    assert not decodes_or_refuses(b'OT\x01' + data)


@settings(max_examples=400)
@given(st.sampled_from(SAMPLES), st.data())
def test_forged_frames_never_crash(data, draw):
    """Mutated anywhere, cut or stretched, and sealed again: the codecs themselves must hold."""
    broken = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(broken) - 1))
        length = draw.draw(st.integers(0, 4))
        broken[at:at + length] = draw.draw(st.binary(max_size=4))
    decodes_or_refuses(sealed(bytes(broken)))


@pytest.mark.parametrize('sample', SAMPLES, ids=lambda data: f'codec{data[3]}')
def test_a_forged_shape_allocates_nothing(sample):
    head = container._HEAD.size
    frame = sealed(sample[:head] + b'\xff\xff\xff\xff' + sample[head + 4:])
    tracemalloc.start()
    with pytest.raises(DecodeError, match='exceeds the bound'):
        decode(frame, max_bytes=LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def deflate(data):
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


@pytest.mark.parametrize('codec, parameters, bomb', [
    (1, (1,), zstandard.ZstdCompressor().compress(bytes(50_000_000))),
    (2, (), deflate(bytes(5_000_000)))], ids=['zstd', 'deflate'])
def test_a_bomb_allocates_nothing(codec, parameters, bomb):
    frame = container.pack(FEATURES, codec, parameters, [bomb])
    tracemalloc.start()
    with pytest.raises(DecodeError, match=r'576.* due'):
        decode(frame, max_bytes=LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize('stream', [deflate(bytes(576))[:-1], deflate(bytes(576)) + b'x',
                                    deflate(bytes(575)), deflate(bytes(577))])
def test_a_deflate_stream_must_end_where_the_tensor_does(stream):
    with pytest.raises(DecodeError, match='deflate'):
        decode(container.pack(FEATURES, 2, (), [stream]), max_bytes=LIMIT)


@pytest.mark.parametrize('codec, parameters', [(99, ()), (1, (0,)), (1, (20,)), (2, (1,)),
                                               (4, (8, 100)), (4, (3, 0)), (5, (90,))])
def test_what_no_encoder_writes_is_refused(codec, parameters):
    with pytest.raises(DecodeError, match=r'cannot have made|unknown to this software'):
        decode(container.pack(FEATURES, codec, parameters, [bytes(576)]), max_bytes=LIMIT)


def test_an_image_larger_than_its_header_says_is_not_decoded(monkeypatch):
    large = np.zeros((64, 64, 3), np.uint8)
    frames = []
    for name in ('jpeg', 'webp'):
        data = encode(large, TensorSpec(large.shape, 'uint8'), name)
        payload = container.unpack(data, large.nbytes).payload
        frames.append(container.pack(RGB, data[3], (90,), [payload]))
    monkeypatch.delattr(image.cv2, 'imdecode')
    for frame in frames:
        with pytest.raises(DecodeError, match=r'64, 64'):
            decode(frame, max_bytes=LIMIT)
