"""How each kind of terrain is drawn: one painter a class, sizes in metres, colours in RGB."""

from collections.abc import Callable

import numpy as np

from offload_perception.terrain.ground import Ground


def _vary(g: Ground, colour: tuple[float, ...], by: float = 14.0) -> np.ndarray:
    """Return `colour`, a little lighter or darker and a little off in hue."""
    return np.asarray(colour) + g.rng.normal(0, by) + g.rng.normal(0, by / 3, 3)


def _pick(g: Ground, *colours: tuple[float, ...]) -> np.ndarray:
    return _vary(g, colours[g.rng.integers(len(colours))])


def _grass(g: Ground) -> None:
    """Cover the canvas with grass: what lies between and around other things."""
    green = _pick(g, (96, 118, 62), (120, 126, 74), (84, 104, 62))
    g.fill(green * 0.82, green * 1.15, g.rough(g.rng.uniform(8, 30)))


def _some(g: Ground, points: np.ndarray, share: float) -> np.ndarray:
    return points[g.rng.random(len(points)) < share]


def water(g: Ground) -> None:
    """Lakes and the sea: smooth colour, waves, sometimes glint or algae."""
    deep = _pick(g, (28, 58, 84), (40, 72, 70), (58, 84, 92), (24, 44, 52), (84, 96, 84))
    g.fill(deep * 0.9, deep * 1.15, g.noise(g.rng.uniform(30, 90)))
    waves = g.rows(g.rng.uniform(2.5, 9), wobble_m=3) * g.noise(15) + 0.6 * g.noise(1.5)
    g.blend(deep + g.rng.uniform(25, 60), np.clip(g.rng.uniform(0.05, 0.3) * waves, 0, 1))
    if g.rng.random() < 0.3:
        g.blend(np.array((215, 222, 226)), np.clip(0.5 * (g.noise(1.2) + g.noise(40) - 1.9), 0, 1))


def forest(g: Ground) -> None:
    """Closed canopy: crowns that touch, conifers dark and small, broad leaves light and wide."""
    green = _pick(g, (58, 84, 48), (74, 98, 50), (48, 72, 52), (104, 100, 48))
    g.fill(green * 0.35, green * 0.5, g.noise(12))
    radius = g.rng.uniform(2.4, 5.0)
    points = g.scatter(1.5 * radius, 1.5 * radius, g.rng.uniform(0.3, 0.5))
    g.trees(_some(g, points, g.rng.uniform(0.8, 1)), 1.15 * radius, green)


def orchard(g: Ground) -> None:
    """Trees of one size in straight rows, on grass or bare ground."""
    if g.rng.random() < 0.5:
        _grass(g)
    else:
        soil = _pick(g, (150, 124, 92), (170, 150, 116))
        g.fill(soil * 0.9, soil * 1.1, g.rough(10))
    radius = g.rng.uniform(1.6, 2.8)
    points = g.scatter(radius * g.rng.uniform(2.7, 3.6), radius * g.rng.uniform(2.1, 2.9), 0.05)
    g.trees(_some(g, points, 0.96), radius, _pick(g, (66, 92, 46), (88, 108, 64), (60, 80, 56)))


def meadow(g: Ground) -> None:
    """Grassland: patchy, no rows, a few bushes, sometimes a trodden path."""
    _grass(g)
    g.blend(_pick(g, (150, 142, 92), (128, 136, 70)), np.clip(0.4 * g.rough(15), 0, 0.6))
    if g.rng.random() < 0.5:
        bend = np.abs(g.across() + 4 * g.noise(40) - g.rng.uniform(-30, 30))
        g.blend(np.array((168, 150, 116)), 0.8 * (bend < 0.9))
    bushes = _some(g, g.scatter(18, 18, 0.5), g.rng.uniform(0.05, 0.4))
    g.trees(bushes, g.rng.uniform(1.2, 2.4), _vary(g, (72, 92, 50)))


def crops(g: Ground) -> None:
    """A field in growth: crop rows over soil, tramlines of the tractor."""
    crop = _pick(g, (88, 124, 52), (128, 146, 60), (190, 168, 92), (176, 176, 58), (70, 108, 58))
    g.fill(crop * 0.9, crop * 1.08, g.rough(g.rng.uniform(20, 60)))
    soil = _pick(g, (124, 100, 72), (104, 88, 64))
    depth = g.rng.uniform(0.15, 0.5)
    g.blend(soil, depth * np.clip(0.5 + 0.5 * g.rows(g.rng.uniform(2.2, 5.0), 0.3), 0, 1))
    spacing = g.rng.uniform(12, 24)
    for side in (0.0, 2.0):
        off = np.abs((g.across() + side + 500) % spacing - spacing / 2)
        g.blend(soil, 0.7 * np.clip(1.0 - off / 0.6, 0, 1))


def bare_soil(g: Ground) -> None:
    """Ploughed or dry ground: brown to grey, damp patches, faint furrows, stones."""
    soil = _pick(g, (134, 104, 76), (164, 134, 98), (112, 92, 74), (150, 138, 122), (176, 116, 80))
    g.fill(soil * 0.86, soil * 1.12, g.rough(g.rng.uniform(12, 50)))
    g.blend(soil * 0.7, g.rng.uniform(0, 0.3) * np.clip(g.rows(g.rng.uniform(1.5, 4), 0.3), 0, 1))
    g.blend(soil * 0.72, np.clip(0.35 * g.noise(g.rng.uniform(10, 40)) - 0.1, 0, 0.5))
    g.blend(soil * 1.25, np.clip(0.5 * g.noise(0.8) - 0.7, 0, 0.7))


def road(g: Ground) -> None:
    """Carriageways with lane marks and traffic between verges; sometimes a crossing."""
    _grass(g)
    asphalt = _pick(g, (92, 92, 96), (118, 116, 114), (72, 74, 78))
    width, gap = g.rng.uniform(12, 26), g.rng.uniform(42, 64)
    offset = g.rng.uniform(-0.5, 0.5) * min(gap, 40)
    if g.rng.random() < 0.4:
        g.box((0, g.rng.uniform(-20, 20)), (2.4 * g.reach_m, g.rng.uniform(7, 14)), asphalt)
    steps = int(g.reach_m / gap) + 1
    for k in range(-steps, steps + 1):
        _carriageway(g, offset + k * gap, width, asphalt)
    trees = _some(g, g.scatter(14, 14, 0.4), 0.25)
    away = np.abs((trees[:, 0] - offset + gap / 2) % gap - gap / 2)
    g.trees(trees[away > width / 2 + 3], 2.2, _vary(g, (68, 92, 50)))


def _carriageway(g: Ground, u: float, width: float, asphalt: np.ndarray) -> None:
    white = (222, 222, 216)
    g.strip(u, width + 2, (150, 142, 126))
    g.strip(u, width, asphalt)
    lanes = max(2, round(width / 3.8))
    lane = (width - 1) / lanes
    first = u - (width - 1) / 2
    g.strip(first, 0.35, white)
    g.strip(first + lanes * lane, 0.35, white)
    g.boxes(_along(g, first + lane * np.arange(1, lanes), 9.0), (0.35, 4.0), np.array(white))
    cars = _some(g, _along(g, first + lane * (np.arange(lanes) + 0.5), 16.0), 0.3)
    _vehicles(g, cars, 1.9, 4.5)


def _along(g: Ground, lines_u: np.ndarray, step_m: float) -> np.ndarray:
    """Return points (N, 2) every `step_m` along the lines at `lines_u`."""
    v = np.arange(-g.reach_m, g.reach_m, step_m)
    return np.stack(np.meshgrid(lines_u, v, indexing='ij'), -1).reshape(-1, 2)


def _vehicles(g: Ground, at: np.ndarray, width_m: float, length_m: float) -> None:
    paint = g.rng.uniform(30, 240, (len(at), 1)) + g.rng.normal(0, 22, (len(at), 3))
    g.boxes(at, (width_m, length_m), paint, 1.2)


def houses(g: Ground) -> None:
    """A village: gabled roofs in gardens along streets, trees between them."""
    _grass(g)
    roof = _pick(g, (164, 84, 62), (140, 92, 76), (112, 84, 78), (104, 104, 110))
    du, dv = g.rng.uniform(19, 27), g.rng.uniform(15, 22)
    plots = g.scatter(du, dv, 0.0)
    for u in np.unique(np.round(plots[:, 0], 3))[::2]:
        g.strip(u - du / 2, 5.5, (124, 122, 120))
    g.trees(_some(g, g.scatter(8, 8, 0.5), g.rng.uniform(0.1, 0.35)), 2.0,
            _vary(g, (70, 94, 50)))
    plots = _some(g, plots, 0.92)
    plots = plots + g.rng.uniform(-1.5, 1.5, plots.shape)
    kinds = g.rng.integers(4, size=len(plots))
    for kind in range(4):
        _houses(g, plots[kinds == kind], roof, along_u=kind < 2)


def _houses(g: Ground, at: np.ndarray, roof: np.ndarray, along_u: bool) -> None:
    """Draw gabled roofs of one size: one side in the light, the other not."""
    length, depth = g.rng.uniform(10, 15), g.rng.uniform(8, 11)
    size = np.array((length, depth) if along_u else (depth, length))
    step = np.array((0, depth / 4) if along_u else (depth / 4, 0))
    roofs = roof + g.rng.normal(0, 5, (len(at), 3)) + g.rng.normal(0, 14, (len(at), 1))
    g.boxes(at, size, roofs * 0.82, g.rng.uniform(3, 6))
    g.boxes(at - step, size - 2 * step, roofs * 1.18)
    garden = _some(g, at, 0.2) + g.rng.uniform(6, 8, 2)
    g.boxes(garden, (4, 7), np.array((92, 170, 190) if g.rng.random() < 0.3 else (176, 172, 164)))


def industry(g: Ground) -> None:
    """Sheds with flat roofs on paved yards: roof lights, vents, lorries, tanks."""
    yard = _pick(g, (146, 144, 140), (122, 122, 122), (164, 156, 144))
    g.fill(yard * 0.92, yard * 1.06, g.rough(20))
    du, dv = g.rng.uniform(38, 60), g.rng.uniform(30, 50)
    lorries = _some(g, g.scatter(9, 14, 0.3), 0.2)
    _vehicles(g, lorries[::2], 2.6, 12.0)
    _vehicles(g, lorries[1::2], 2.0, 5.0)
    for at in g.scatter(du, dv, 0.06):
        if g.rng.random() < 0.15:
            _tanks(g, at)
        else:
            _shed(g, at, np.array((du, dv)) * g.rng.uniform(0.6, 0.82, 2))


def _shed(g: Ground, at: np.ndarray, size: np.ndarray) -> None:
    roof = _pick(g, (196, 198, 200), (156, 160, 166), (112, 126, 146), (206, 202, 190),
                 (138, 104, 92))
    g.box(at, size, roof, g.rng.uniform(6, 10))
    g.box(at, size - 1.2, roof * 0.95)
    lights = np.arange(-0.5 * size[0] + 3, 0.5 * size[0] - 2, g.rng.uniform(5, 8))
    g.boxes(at + np.stack([lights, 0 * lights], 1), (1.0, 0.8 * size[1]),
            roof * g.rng.choice([0.78, 1.15]))
    vents = g.rng.uniform(-0.4, 0.4, (g.rng.integers(6), 2)) * size
    g.boxes(at + vents, (2.2, 2.2), roof * 0.7, 1.2)


def _tanks(g: Ground, at: np.ndarray) -> None:
    corners = at + np.array([(-8.0, -8.0), (8.0, -8.0), (-8.0, 8.0), (8.0, 8.0)])
    paint = _vary(g, (196, 198, 196))
    g.boxes(corners, (9, 9), paint * 0.6, 6.0)
    g.discs(corners, 7.0, paint * 0.8)
    g.discs(corners, 6.3, paint)


def solar_field(g: Ground) -> None:
    """Rows of blue-black panels with bright frames, on grass or gravel."""
    if g.rng.random() < 0.7:
        _grass(g)
    else:
        g.fill((150, 140, 124), (176, 166, 148), g.rough(12))
    panel = _pick(g, (32, 44, 82), (26, 30, 48), (48, 62, 98))
    pitch, table = g.rng.uniform(6.0, 10.0), g.rng.uniform(24, 60)
    depth = pitch * g.rng.uniform(0.45, 0.65)
    at = g.scatter(pitch, table + 2.5, 0.0)
    g.boxes(at, (depth, table), panel + 70, 1.4)
    g.boxes(at, (depth - 0.5, table - 0.5), panel + g.rng.normal(0, 4, (len(at), 1)))
    g.boxes(at, (0.25, table), panel + 55)


PAINTERS: dict[str, Callable[[Ground], None]] = {
    'water': water, 'forest': forest, 'orchard': orchard, 'meadow': meadow, 'crops': crops,
    'bare soil': bare_soil, 'road': road, 'houses': houses, 'industry': industry,
    'solar field': solar_field,
}
CLASSES: tuple[str, ...] = tuple(PAINTERS)
