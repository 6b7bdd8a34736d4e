from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offload_perception.errors import ConfigError, ImageError
from offload_perception.fitting import FITS
from offload_perception.imaging.encodings import ENCODINGS, to_rgb
from offload_perception.imaging.resize import centre_crop, fit, fit_message

sides = st.integers(1, 70)


def ramp(height: int, width: int) -> np.ndarray:
    """Return a picture whose red grows to the right and whose green grows downwards."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // max(1, width - 1), y * 255 // max(1, height - 1),
                     np.full_like(x, 90)], axis=2).astype(np.uint8)


@given(sides, sides, sides, sides)
def test_crop_is_a_centred_view_with_the_aspect(rows: int, cols: int, height: int,
                                                width: int) -> None:
    picture = np.zeros((rows, cols, 3), np.uint8)
    crop = centre_crop(picture, height, width)
    assert np.shares_memory(crop, picture)
    assert crop.shape[0] == rows or crop.shape[1] == cols
    ideal = min(rows, cols * height / width), min(cols, rows * width / height)
    assert abs(crop.shape[0] - ideal[0]) <= 1
    assert abs(crop.shape[1] - ideal[1]) <= 1


@settings(max_examples=60)
@given(sides, sides, sides, sides)
def test_any_size_becomes_any_other(rows: int, cols: int, height: int,
                                    width: int) -> None:
    out = np.zeros((height, width, 3), np.uint8)
    got = fit(np.full((rows, cols, 3), (9, 99, 199), np.uint8), height, width, out)
    assert np.shares_memory(got, out)
    assert np.array_equal(out, np.broadcast_to(np.array([9, 99, 199], np.uint8), out.shape))


@pytest.mark.parametrize('shape', [(480, 640), (427, 640), (1080, 1920), (100, 90), (224, 224)])
def test_the_picture_is_neither_shifted_nor_mirrored(shape: tuple[int, int]) -> None:
    got = fit(ramp(*shape), 224, 224).astype(int)
    crop = centre_crop(ramp(*shape), 224, 224).astype(int)
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert np.abs(got[corner] - crop[corner]).max() <= 4
    assert np.abs(got - got[::-1, ::-1])[112, 112].max() <= 4


def test_shrinking_takes_the_mean_and_does_not_alias() -> None:
    board = np.indices((480, 480)).sum(axis=0) % 2 * np.uint8(254)
    grey = fit(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), 224, 224)
    assert np.abs(grey.astype(int) - 127).max() <= 1


def test_whole_factors_equal_the_area_mean() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    assert np.array_equal(fit(picture, 32, 32), cv2.resize(
        picture[:, 32:128], (32, 32), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize('view', [
    lambda p: p[::2, ::2], lambda p: p[:, ::-1], lambda p: p[..., ::-1], lambda p: p[5:60, 3:71],
    lambda p: p.transpose(1, 0, 2),
])
def test_views_of_any_layout_are_taken(view: Callable[..., Any]) -> None:
    picture = view(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    assert np.array_equal(fit(picture, 20, 30), fit(np.ascontiguousarray(picture), 20, 30))


def test_out_may_be_one_of_a_batch_or_part_of_a_larger_picture() -> None:
    batch = np.zeros((2, 8, 8, 3), np.uint8)
    fit(ramp(20, 20), 8, 8, batch[1])
    assert batch[1].any()
    assert not batch[0].any()
    large = np.zeros((8, 12, 3), np.uint8)
    fit(ramp(20, 20), 8, 8, large[:, 2:10])
    assert np.array_equal(large[:, 2:10], batch[1])
    assert not large[:, :2].any()


@pytest.mark.parametrize('out', [np.zeros((8, 9, 3), np.uint8), np.zeros((8, 8, 3), np.float32),
                                 np.zeros((8, 8), np.uint8)])
def test_an_out_that_does_not_fit_is_refused(out: np.ndarray) -> None:
    with pytest.raises(ValueError, match='out must be uint8'):
        fit(ramp(20, 20), 8, 8, out)
    with pytest.raises(ValueError, match='out must be uint8'):
        fit_message(bytes(12), (8, 8), height=2, width=2, step=6, encoding='bgr8', out=out)


def test_the_result_is_never_a_view_of_the_input() -> None:
    picture = ramp(16, 16)
    assert not np.shares_memory(fit(picture, 16, 16), picture)


def test_a_letterbox_shows_the_whole_picture_with_black_beside_it() -> None:
    wide = np.full((20, 40, 3), 200, np.uint8)
    got = fit(wide, 16, 16, np.full((16, 16, 3), 9, np.uint8), how='letterbox')
    assert got[4:12].min() == 200 and got[:4].max() == got[12:].max() == 0
    assert np.array_equal(fit(wide.swapaxes(0, 1), 16, 16, how='letterbox'), got.swapaxes(0, 1))


def test_stretching_shows_the_whole_picture_and_nothing_else() -> None:
    got = fit(ramp(20, 60), 16, 16, how='stretch')
    assert np.abs(got[0, 0].astype(int) - [0, 0, 90]).max() <= 20
    assert np.abs(got[-1, -1].astype(int) - [255, 255, 90]).max() <= 20


def test_another_way_to_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match='crop, letterbox, stretch'):
        fit(ramp(4, 4), 2, 2, how='squash')


@settings(max_examples=150)
@given(st.sampled_from(sorted(ENCODINGS)), st.integers(1, 20), st.integers(1, 20),
       st.integers(0, 3), st.booleans(), st.integers(1, 24), st.integers(1, 24), st.randoms(),
       st.sampled_from(FITS))
def test_a_message_fits_as_its_picture_does(name: str, half_h: int, half_w: int, padding: int,
                                            big: bool, h: int, w: int, random: Any,
                                            how: str) -> None:
    layout, height, width = ENCODINGS[name], 2 * half_h, 2 * half_w
    step = width * layout.channels * layout.depth + padding
    data = random.randbytes(step * height * layout.planes[0] // layout.planes[1])
    message: dict[str, Any] = {'height': height, 'width': width, 'step': step,
                               'encoding': name, 'is_bigendian': big}
    out = np.zeros((h, w, 3), np.uint8)
    got = fit_message(data, (h, w), **message, out=out, how=how)
    assert np.shares_memory(got, out)
    assert np.array_equal(out, fit_message(data, (h, w), **message, how=how))
    whole = fit(to_rgb(data, **message), h, w, how=how)
    # OpenCV rounds otherwise for another number of channels, in each of two steps.
    tolerance = 2 if layout.per_pixel and layout.channels != 3 else 0
    assert np.abs(out.astype(int) - whole).max() <= tolerance


def test_a_broken_message_is_refused() -> None:
    with pytest.raises(ImageError, match='are 12 bytes'):
        fit_message(bytes(11), (8, 8), height=2, width=2, step=6, encoding='rgb8')
