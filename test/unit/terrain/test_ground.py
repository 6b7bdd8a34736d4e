import numpy as np
import pytest

from offload_perception.terrain.ground import Ground
from offload_perception.terrain.painters import CLASSES, PAINTERS


def ground(seed: int = 0, shape: tuple[int, int] = (80, 120), px_per_m: float = 2.0) -> Ground:
    return Ground(np.random.default_rng(seed), *shape, px_per_m)


def test_box_covers_its_area_in_square_metres() -> None:
    g = ground()
    g.box((0, 0), (10, 6), (255, 255, 255))
    assert g.rgb[..., 0].sum() / 255 / 2.0 ** 2 == pytest.approx(60, rel=0.2)


def test_box_with_height_casts_a_shadow() -> None:
    flat, tall = ground(), ground()
    flat.box((0, 0), (10, 6), (255, 255, 255))
    tall.box((0, 0), (10, 6), (255, 255, 255), height_m=5)
    assert (tall.rgb.any(-1)).sum() > (flat.rgb.any(-1)).sum() + 50


def test_scatter_reaches_every_corner() -> None:
    g = ground()
    g.boxes(g.scatter(5, 5, 0.0), (6, 6), np.array((9, 9, 9)))
    assert g.rgb.all()


def test_trees_stand_where_they_are_put() -> None:
    g = ground(shape=(81, 81))
    g.rgb[:] = 200
    g.trees(np.array([[0.0, 0.0]]), 5.0, (60, 90, 50))
    assert g.rgb[40, 40].max() < 160 and (g.rgb[0, 0] == 200).all()


def test_rows_finer_than_the_pixels_fade_out() -> None:
    assert np.abs(ground(px_per_m=0.1).rows(2.0)).max() == 0
    assert np.abs(ground(px_per_m=4.0).rows(2.0)).max() > 0.9


@pytest.mark.parametrize('name', CLASSES)
@pytest.mark.parametrize('shape', [(9, 9), (33, 120)])
def test_painters_cover_canvases_of_all_shapes(name: str, shape: tuple[int, int]) -> None:
    g = ground(shape=shape)
    PAINTERS[name](g)
    assert g.rgb.any(-1).mean() > 0.9
