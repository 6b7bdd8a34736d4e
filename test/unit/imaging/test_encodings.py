import array
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offload_perception.errors import ConfigError, ImageError
from offload_perception.imaging.encodings import ENCODINGS, ValueRange, stored_pixels, to_rgb
from offload_perception.pictures import MAX_PIXELS

LOSSLESS: dict[str, list[int | None]] = {
    'rgb': [0, 1, 2], 'bgr': [2, 1, 0], 'rgba': [0, 1, 2, None], 'bgra': [2, 1, 0, None],
    'uc3': [2, 1, 0], 'uc4': [2, 1, 0, None]}
NAMES = {('uc3', 8): '8UC3', ('uc3', 16): '16UC3', ('uc4', 8): '8UC4', ('uc4', 16): '16UC4'}


def padded(rows: np.ndarray, padding: int) -> tuple[bytes, int]:
    """Return 2-D bytes with `padding` bytes of rubbish after each row, and the step."""
    full = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xA5)
    return full.tobytes(), full.shape[1]


def as_bytes(samples: np.ndarray, bits: int, big: bool) -> np.ndarray:
    """Return 8-bit samples, (H, N), as the bytes of rows of 8- or 16-bit samples."""
    if bits == 8:
        return samples
    return (samples.astype(np.uint16) * 257).astype('>u2' if big else '<u2').view(np.uint8)


pictures = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda s: arrays(np.uint8, (*s, 3)))


@given(pictures, st.sampled_from(sorted(LOSSLESS)), st.sampled_from([8, 16]), st.booleans(),
       st.integers(0, 5))
def test_packed_colours_come_back_exactly(rgb: np.ndarray, kind: str, bits: int, big: bool,
                                          padding: int) -> None:
    stored = np.stack([np.full(rgb.shape[:2], 77, np.uint8) if c is None else rgb[..., c]
                       for c in LOSSLESS[kind]], axis=2)
    rows = as_bytes(stored.reshape(len(rgb), -1), bits, big)
    data, step = padded(rows, padding)
    got = to_rgb(data, height=rgb.shape[0], width=rgb.shape[1], step=step, is_bigendian=big,
                 encoding=NAMES.get((kind, bits), f'{kind}{bits}'))
    assert np.array_equal(got, rgb)


@given(pictures, st.sampled_from(['mono{}', '{}UC1']), st.sampled_from([8, 16]), st.booleans(),
       st.integers(0, 5))
def test_grey_comes_back_exactly(rgb: np.ndarray, name: str, bits: int, big: bool,
                                 padding: int) -> None:
    grey = rgb[..., 0]
    data, step = padded(as_bytes(np.ascontiguousarray(grey), bits, big), padding)
    got = to_rgb(data, height=grey.shape[0], width=grey.shape[1], step=step, is_bigendian=big,
                 encoding=name.format(bits))
    assert np.array_equal(got, np.repeat(grey[..., None], 3, axis=2))


def test_16_bit_values_are_rounded_to_the_nearest() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    got = to_rgb(values, height=256, width=256, step=512, encoding='mono16')
    assert np.array_equal(got[..., 0], np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize('mosaic', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('channel', [0, 1, 2])
def test_bayer_sees_a_pure_colour(mosaic: str, bits: int, channel: int) -> None:
    square = [200 if c == 'rgb'[channel] else 0 for c in mosaic]
    plane = np.tile(np.array(square, np.uint8).reshape(2, 2), (4, 5))
    data, step = padded(as_bytes(plane, bits, True), 3)
    got = to_rgb(data, height=8, width=10, step=step, encoding=f'bayer_{mosaic}{bits}',
                 is_bigendian=True)
    assert np.array_equal(got, np.broadcast_to(np.eye(3)[channel] * 200, got.shape))


def yuv_of(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return video-range BT.601 Y, U, V; ITU-R BT.601-7, section 2.5.3."""
    r, g, b = (v / 255 for v in rgb)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return round(16 + 219 * y), round(128 + 224 * (b - y) / 1.772), round(
        128 + 224 * (r - y) / 1.402)


def yuv_message(encoding: str, yuv: tuple[int, int, int], height: int, width: int,
                padding: int) -> tuple[bytes, int]:
    y, u, v = yuv
    pairs = {'uyvy': [u, y, v, y], 'yuyv': [y, u, y, v], 'nv12': [u, v], 'nv21': [v, u],
             'nv24': [u, v]}
    order = pairs[{'yuv422': 'uyvy', 'yuv422_yuy2': 'yuyv'}.get(encoding, encoding)]
    samples = np.array(order, np.uint8)
    if len(order) == 4:
        return padded(np.tile(samples, (height, width // 2)), padding)
    luma, step = padded(np.full((height, width), y, np.uint8), padding)
    if encoding == 'nv24':
        return luma + padded(np.tile(samples, (height, width)), 2 * padding)[0], step
    return luma + padded(np.tile(samples, (height // 2, width // 2)), padding)[0], step


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 4), st.integers(1, 4),
       st.integers(0, 5), st.sampled_from([n for n in ENCODINGS if n[0] in 'yun' and n != 'yuv']))
def test_yuv_keeps_a_colour(rgb: tuple[int, int, int], half_height: int, half_width: int,
                            padding: int, encoding: str) -> None:
    height, width = 2 * half_height, 2 * half_width
    data, step = yuv_message(encoding, yuv_of(rgb), height, width, padding)
    got = to_rgb(data, height=height, width=width, step=step, encoding=encoding)
    assert got.shape == (height, width, 3)
    assert np.abs(got.astype(int) - rgb).max() <= 3  # 8-bit chroma


def test_yuv_luma_stays_at_its_place() -> None:
    y = np.arange(16, 16 + 4 * 48, 48, dtype=np.uint8)
    row = np.array([128, y[0], 128, y[1], 128, y[2], 128, y[3]], np.uint8)
    got = to_rgb(row, height=1, width=4, step=8, encoding='uyvy')
    assert np.array_equal(np.argsort(got[0, :, 1]), [0, 1, 2, 3])


@pytest.mark.parametrize(('encoding', 'planes'), [
    ('nv12', (3, 2)), ('nv21', (3, 2)), ('nv24', (3, 1))])
def test_planes_may_say_what_a_row_of_all_of_them_takes(encoding: str,
                                                        planes: tuple[int, int]) -> None:
    data = np.random.default_rng(1).integers(16, 235, 8 * 12 * planes[0] // planes[1], np.uint8)
    usual, packed = (to_rgb(data, height=8, width=12, step=step, encoding=encoding)
                     for step in (12, 12 * planes[0] // planes[1]))
    assert np.array_equal(usual, packed)


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(('encoding', 'kind'), [
    ('mono16', 'u2'), ('16UC1', 'u2'), ('32FC1', 'f4')])
def test_the_range_of_a_thermal_image_is_shown_from_black_to_white(
        encoding: str, kind: str, big: bool) -> None:
    kelvin = np.array([[0, 27315, 29815, 32315, 65535]])
    stored = kelvin.astype(f'{">" if big else "<"}{kind}')
    got = to_rgb(stored, height=1, width=5, step=stored.nbytes, encoding=encoding,
                 is_bigendian=big, values=ValueRange(27315, 32315))
    assert np.abs(got[0].astype(int) - [[0], [0], [128], [255], [255]]).max() <= 1


def test_what_is_no_number_is_black_and_infinity_white() -> None:
    stored = np.array([[np.nan, np.inf, -np.inf, 25.0]], np.float32)
    got = to_rgb(stored, height=1, width=4, step=16, encoding='32FC1', values=ValueRange(0, 100))
    assert got[0, :, 0].tolist() == [0, 255, 0, 64]


@pytest.mark.parametrize('limits', [(5, 5), (9, 2), (float('nan'), 3)])
def test_a_range_without_extent_is_refused(limits: tuple[float, int]) -> None:
    with pytest.raises(ConfigError, match='white'):
        ValueRange(*limits)


def test_nv24_has_chroma_for_every_pixel() -> None:
    luma = np.full((2, 3), 126, np.uint8)
    chroma = np.full((2, 3, 2), 128, np.uint8)
    chroma[1, 2] = 128, 220  # much V: red
    data = luma.tobytes() + chroma.tobytes()
    got = to_rgb(data, height=2, width=3, step=3, encoding='nv24').astype(int)
    red = got[..., 0] - got[..., 2] > 50
    assert np.array_equal(np.argwhere(red), [[1, 2]])


def test_rgb8_is_a_view_and_bytes_like_kinds_are_alike() -> None:
    data = np.arange(36, dtype=np.uint8)
    size: dict[str, Any] = {'height': 2, 'width': 5, 'step': 18, 'encoding': 'rgb8'}
    view = to_rgb(data, **size)
    assert np.shares_memory(view, data)
    for kind in (bytes(data), bytearray(data), memoryview(bytes(data)), array.array('B', data)):
        assert np.array_equal(to_rgb(kind, **size), view)


def test_foreign_endian_pixels_are_a_view_too() -> None:
    data = np.arange(16, dtype=np.uint8)
    view = stored_pixels(data, height=2, width=4, step=8, encoding='mono16', is_bigendian=True)
    assert np.shares_memory(view, data)
    assert view[0, 1] == 0x0203


names = st.sampled_from(sorted(ENCODINGS))


@settings(max_examples=300)
@given(names, st.integers(1, 8), st.integers(1, 8), st.integers(0, 3), st.integers(-40, 40),
       st.booleans())
@example('nv12', 2, 2, 1, -3, False)  # all planes in rows of one step, as many drivers say
def test_data_of_any_other_size_is_refused(name: str, height: int, width: int, padding: int,
                                           excess: int, big: bool) -> None:
    layout = ENCODINGS[name]
    step = width * layout.channels * layout.depth + padding
    size = step * (height * layout.planes[0] // layout.planes[1])
    uneven = (layout.even[0] and height % 2) or (layout.even[1] and width % 2)
    data = bytes(max(0, size + excess))
    message: dict[str, Any] = {'height': height, 'width': width, 'step': step, 'encoding': name}
    planes, parts = layout.planes
    joint = parts * step == planes * width != parts * width and len(data) == step * height
    if (len(data) == size or joint) and not uneven:
        got = to_rgb(data, **message, is_bigendian=big)
        assert got.shape == (height, width, 3)
        assert got.dtype == np.uint8
    else:
        with pytest.raises(ImageError):
            to_rgb(data, **message, is_bigendian=big)


whole = st.integers(-2**40, 2**40) | st.integers(-3, 12)


@settings(max_examples=300)
@given(names | st.text(max_size=8), whole, whole, whole, st.binary(max_size=200), st.booleans())
def test_arbitrary_messages_give_a_picture_or_an_image_error(
        name: str, height: int, width: int, step: int, data: bytes, big: bool) -> None:
    try:
        got = to_rgb(data, height=height, width=width, step=step, encoding=name,
                     is_bigendian=big)
    except ImageError:
        return
    assert got.shape == (height, width, 3)


@pytest.mark.parametrize(('change', 'words'), [
    ({'encoding': 'rgb9'}, "'rgb9'.*bgr8, "),
    ({'step': 11}, 'step 11.*4 pixels takes 12'),
    ({'step': 13}, '24 bytes.*2 rows of step 13 are 26'),
    ({'height': 0}, '4 x 0 .*empty'),
    ({'height': 10**6, 'width': 10**6}, f'limit of {MAX_PIXELS}'),
    ({'encoding': 'yuyv', 'width': 3}, '3 x 2 .*even'),
    ({'data': 'text'}, 'type str'),
    ({'data': np.zeros((4, 12), np.uint8)[::2]}, 'contiguous'),
])
def test_an_error_names_the_numbers(change: dict[str, Any], words: str) -> None:
    message: dict[str, Any] = {
        'data': bytes(24), 'height': 2, 'width': 4, 'step': 12, 'encoding': 'bgr8', **change}
    with pytest.raises(ImageError, match=words):
        to_rgb(message.pop('data'), **message)


def test_every_encoding_of_ros_that_is_a_picture_is_known() -> None:
    usual = {f'{n}{b}' for n in ('mono', 'rgb', 'bgr', 'rgba', 'bgra', 'bayer_rggb', 'bayer_bggr',
                                 'bayer_gbrg', 'bayer_grbg') for b in (8, 16)}
    usual |= {'yuv422', 'yuv422_yuy2', 'uyvy', 'yuyv', 'nv21', 'nv24', '8UC1', '8UC3', '8UC4',
              '16UC1'}
    assert usual <= set(ENCODINGS)


def test_yuv_range_agrees_with_opencv_for_the_encoding_that_is_ours() -> None:
    rng = np.random.default_rng(1)
    yuv = rng.integers(0, 256, (1, 512, 3), dtype=np.uint8)
    ours = to_rgb(np.concatenate([yuv[..., 0].ravel(), yuv[..., 1:].ravel()]),
                  height=1, width=512, step=512, encoding='nv24')
    pairs = np.stack([yuv[..., 1], yuv[..., 0], yuv[..., 2], yuv[..., 0]], axis=2)
    theirs = cv2.cvtColor(pairs.reshape(1, 1024, 2), cv2.COLOR_YUV2RGB_UYVY)[:, ::2]
    assert np.abs(ours.astype(int) - theirs).max() <= 2
