import array
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from offload_perception.errors import ImageError
from offload_perception.imaging.compressed import compressed_to_rgb, decode_image, encode_image
from offload_perception.imaging.encodings import ValueRange
from offload_perception.pictures import MAX_PIXELS
from offload_perception.pictures.jpeg import read_jpeg

KINDS = ('jpeg', 'png', 'webp')


def photo(height: int = 48, width: int = 64) -> np.ndarray:
    """Return a smooth picture with some texture and three unlike channels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([128 + 90 * np.sin(x / 9), 255 * y / height, 60 + 40 * np.cos((x + y) / 5)],
                    axis=2).astype(np.uint8)


FILES = {kind: encode_image(photo(), kind).tobytes() for kind in KINDS}
EXTENDED = cv2.imencode('.webp', np.dstack([photo(), photo()[..., 0]]), [
    cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()  # VP8X, for its transparency
WITHOUT_LOSS = cv2.imencode('.webp', photo()[..., ::-1].copy(), [cv2.IMWRITE_WEBP_QUALITY, 101])[
    1].tobytes()
PROGRESSIVE = cv2.imencode('.jpg', photo(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
ALL = [*FILES.values(), EXTENDED, WITHOUT_LOSS, PROGRESSIVE]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('buffer', [bytes, bytearray, memoryview, lambda b: array.array('B', b),
                                    lambda b: np.frombuffer(b, np.uint8)])
def test_a_picture_comes_back(kind: str, buffer: Callable[..., Any] | type[Any]) -> None:
    got = decode_image(buffer(FILES[kind]))
    error = np.abs(got.astype(int) - photo())
    assert error.mean() < (1e-9 if kind == 'png' else 6)


@pytest.mark.parametrize('file', ALL)
def test_every_kind_is_decoded(file: bytes) -> None:
    assert decode_image(file).shape == (48, 64, 3)


@pytest.mark.parametrize(('sides', 'wanted', 'got'), [
    ((480, 640), (224, 224), (240, 320)), ((480, 640), (48, 60), (60, 80)),
    ((480, 640), (241, 100), (480, 640)), ((90, 70), (1, 1), (12, 9)),
])
def test_a_large_jpeg_comes_reduced_but_not_too_small(sides: tuple[int, int],
                                                      wanted: tuple[int, int],
                                                      got: tuple[int, int]) -> None:
    file = encode_image(photo(*sides))
    assert decode_image(file, at_least=wanted).shape[:2] == got
    assert decode_image(encode_image(photo(*sides), 'png'), at_least=wanted).shape[:2] == sides


@pytest.mark.parametrize('format', ['png', 'rgb8; png compressed bgr8', 'png; compressed', ''])
def test_format_as_image_transport_writes_it(format: str) -> None:
    assert np.array_equal(compressed_to_rgb(FILES['png'], format), photo())


def test_a_file_with_red_and_blue_swapped_is_put_right() -> None:
    got = compressed_to_rgb(FILES['png'], 'bgr8; png compressed rgb8')
    assert np.array_equal(got, photo()[..., ::-1])


@pytest.mark.parametrize(('kind', 'middle'), [('16 bit', 127), ('grey', 0)])
def test_a_range_is_for_deep_pictures_only(kind: str, middle: int) -> None:
    thermal = np.full((4, 6), 8000, np.uint16) if kind == '16 bit' else np.zeros((4, 6), np.uint8)
    got = compressed_to_rgb(cv2.imencode('.png', thermal)[1], '16UC1; png compressed ',
                            values=ValueRange(7000, 9000))
    assert np.abs(got.astype(int) - middle).max() <= 1


@pytest.mark.parametrize('picture', [photo()[..., 0], (photo().astype(np.uint16) * 257)[..., 0],
                                     np.dstack([photo(), photo()[..., 0]])])
def test_grey_16_bit_and_transparent_files_become_8_bit_rgb(picture: np.ndarray) -> None:
    got = decode_image(cv2.imencode('.png', picture)[1])
    assert got.shape == (48, 64, 3)
    assert got.dtype == np.uint8


@settings(max_examples=200)
@given(st.sampled_from(ALL), st.data())
def test_truncated_data_is_refused(file: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(file) - 1))
    # All pixels are there without the end of a PNG; of a JPEG in one scan the last few bytes may
    # be missing, into which a decoder looks ahead.
    if cut >= len(file) - {b'PNG': 24, b'\xd8\xff\xe0': 40}.get(file[1:4], 0) and (
            file != PROGRESSIVE):
        return
    with pytest.raises(ImageError):
        compressed_to_rgb(file[:cut], 'jpeg')


@settings(max_examples=300)
@given(st.sampled_from(ALL), st.data())
def test_damaged_data_gives_a_picture_of_the_declared_size_or_an_image_error(
        file: bytes, data: st.DataObject) -> None:
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        got = compressed_to_rgb(damaged, 'png')
    except ImageError:
        return
    assert got.dtype == np.uint8
    assert got.ndim == 3 and got.shape[2] == 3 and got.size <= 3 * MAX_PIXELS


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n',
                                                 b'RIFF\x40\0\0\0WEBPVP8 ']))
def test_rubbish_is_refused(data: bytes, start: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(start + data)


def bombs() -> dict[str, bytes]:
    """Return small files that declare a gigapixel."""
    png = bytearray(FILES['png'])
    png[16:24] = struct.pack('>II', 40000, 40000)
    png[29:33] = struct.pack('>I', zlib.crc32(png[12:29]))
    jpeg = bytearray(FILES['jpeg'])
    at = jpeg.index(b'\xff\xc0') + 5
    jpeg[at:at + 4] = struct.pack('>HH', 40000, 40000)
    webp = bytearray(EXTENDED)
    assert webp[12:16] == b'VP8X'
    webp[24:30] = (39999).to_bytes(3, 'little') * 2
    return {'png': bytes(png), 'jpeg': bytes(jpeg), 'webp': bytes(webp)}


@pytest.mark.parametrize('kind', KINDS)
def test_a_bomb_is_refused_before_it_is_decoded(kind: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, 'load', lambda *_: pytest.fail('was decoded'))
    with pytest.raises(ImageError, match=r'40000 x 40000 .*limit'):
        decode_image(bombs()[kind])


@pytest.mark.parametrize('filler', [b'\xff', b'\xff\xe0\x00\x02', b'\0'])
def test_endless_headers_are_given_up(filler: bytes) -> None:
    with pytest.raises(ImageError, match=r'no picture size|neither'):
        decode_image(b'\xff\xd8' + filler * 1_000_000)


def test_a_size_after_too_many_segments_is_not_looked_for() -> None:
    file = FILES['jpeg']
    assert decode_image(file[:2] + b'\xff\xfe\x00\x02' * 100 + file[2:]).shape == (48, 64, 3)
    with pytest.raises(ImageError, match='no picture size in its first'):
        decode_image(file[:2] + b'\xff\xfe\x00\x02' * 2000 + file[2:])


HALF = FILES['jpeg'][:len(FILES['jpeg']) * 3 // 4]


@pytest.mark.parametrize('file', [
    HALF, HALF + b'\xff\xd9', HALF + b'\xff\xd9' + FILES['jpeg']], ids=['', 'end', 'another'])
def test_half_a_jpeg_is_incomplete_also_with_an_end_marker(file: bytes) -> None:
    with pytest.raises(ImageError, match='truncated'):
        decode_image(file)


def test_a_jpeg_that_ends_within_its_scan_header_is_incomplete() -> None:
    at = FILES['jpeg'].index(b'\xff\xda')
    for end in range(at, at + 5):
        with pytest.raises(ImageError, match='truncated'):
            read_jpeg(memoryview(FILES['jpeg'][:end]))
    for end in range(at + 5, at + 14):
        with pytest.raises(ImageError, match='truncated'):
            decode_image(FILES['jpeg'][:end])


def test_a_progressive_jpeg_without_its_last_scans_is_incomplete() -> None:
    last = PROGRESSIVE.rindex(b'\xff\xda')
    with pytest.raises(ImageError, match=r'truncated.*several scans'):
        decode_image(PROGRESSIVE[:last] + b'\xff\xd9')


@pytest.mark.parametrize('rest', [b'', bytes(5000), b'\xff\xd9' + HALF],
                         ids=['', 'padding', 'another'])
def test_a_whole_jpeg_needs_no_end_marker(rest: bytes) -> None:
    whole = FILES['jpeg'][:-2] + rest
    assert np.array_equal(decode_image(whole), decode_image(FILES['jpeg']))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', KINDS)
def test_every_turn_of_exif_is_undone(kind: str, orientation: int) -> None:
    stored = photo()
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(stored).save(file, kind, exif=exif, quality=95)
    turns: dict[int, Callable[..., np.ndarray]] = {
        1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud,
        5: lambda p: np.transpose(p, (1, 0, 2)), 6: lambda p: np.rot90(p, -1),
        7: lambda p: np.transpose(p[::-1, ::-1], (1, 0, 2)), 8: np.rot90}
    error = np.abs(decode_image(file.getvalue()).astype(int) - turns[orientation](stored))
    assert error.mean() < 6


def test_a_padded_camera_buffer_is_taken() -> None:
    assert decode_image(FILES['jpeg'] + bytes(5000)).shape == (48, 64, 3)


@pytest.mark.parametrize(('data', 'words'), [
    (b'', '0 bytes of unknown data are neither'),
    (b'GIF89a', 'gif data are neither jpeg nor png nor webp'),
    ('text', 'type str'), (FILES['jpeg'][:-300], "format 'jpeg'.*truncated jpeg"),
    (FILES['png'][:60] + b'abcd' + FILES['png'][64:], 'broken or truncated png'),
    (FILES['png'][:20], 'png picture of 64 x 0 pixels is empty'),
    (FILES['webp'][:20], 'truncated webp'), (FILES['jpeg'][:20], 'truncated jpeg'),
])
def test_an_error_says_what_is_wrong(data: bytes | str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        compressed_to_rgb(data, 'jpeg')


@pytest.mark.parametrize(('change', 'words'), [
    ({'format': 'gif'}, "'gif'.*jpeg, webp, png"), ({'quality': 0}, 'quality 0'),
    ({'rgb': photo()[..., 0]}, r'\(48, 64\)'), ({'rgb': photo().astype(float)}, 'float64'),
    ({'rgb': photo()[:0]}, r'\(0, 64, 3\)'),
    ({'rgb': np.zeros((1, 17000, 3), np.uint8), 'format': 'webp'}, 'webp'),
])
def test_what_cannot_be_encoded_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        encode_image(**({'rgb': photo()} | change))


def test_quality_matters_and_views_are_taken() -> None:
    sizes = [encode_image(photo()[:, ::-1], 'jpeg', q).size for q in (10, 50, 95)]
    assert sizes == sorted(set(sizes))
