"""A piece of generated ground: the canvas that the painters of `painters` draw on."""

from collections.abc import Sequence
from math import cos, hypot, sin, tau

import cv2
import numpy as np

Pair = Sequence[float] | np.ndarray
Colour = Sequence[float] | np.ndarray
_SHIFT = 4  # fractional bits of the coordinates that OpenCV draws at


class Ground:
    """A canvas with a scale, a direction of its own and a sun.

    Positions are metres `(u, v)` from the middle, along axes that are turned against the image
    by a random angle, so that rows, roofs and roads come at every angle. `rgb` is uint8 of shape
    (height, width, 3). Every random choice comes out of `rng`.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int, px_per_m: float,
                 sun_rad: float | None = None) -> None:
        self.rng, self.px_per_m = rng, px_per_m
        self.rgb = np.zeros((height, width, 3), np.uint8)
        angle = rng.uniform(0, tau)
        self._axes = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])
        self._middle = np.array([width, height]) / 2
        sun = rng.uniform(0, tau) if sun_rad is None else sun_rad
        self._sun = np.array([cos(sun), sin(sun)])  # direction of the shadows, in image axes

    @property
    def reach_m(self) -> float:
        """Return the distance from the middle to a corner."""
        return hypot(*self._middle) / self.px_per_m

    def across(self) -> np.ndarray:
        """Return u of every pixel, float32 (height, width), metres."""
        height, width = self.rgb.shape[:2]
        x = (np.arange(width, dtype=np.float32) - self._middle[0]) / self.px_per_m
        y = (np.arange(height, dtype=np.float32) - self._middle[1]) / self.px_per_m
        (ux, uy), _ = self._axes.astype(np.float32)
        across: np.ndarray = (ux * x)[None, :] + (uy * y)[:, None]
        return across

    def noise(self, size_m: float) -> np.ndarray:
        """Return smooth noise with features of `size_m`, mean 0, deviation about 1."""
        height, width = self.rgb.shape[:2]
        size_px = max(size_m * self.px_per_m, 1.0)
        grid = (int(height / size_px) + 2, int(width / size_px) + 2)
        coarse = self.rng.standard_normal(grid, np.float32)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    def rough(self, size_m: float) -> np.ndarray:
        """Return noise of three octaves, from `size_m` down to a sixteenth of it."""
        return (self.noise(size_m) + 0.6 * self.noise(size_m / 4)
                + 0.4 * self.noise(size_m / 16)) / 1.23

    def rows(self, period_m: float, wobble_m: float = 0.0) -> np.ndarray:
        """Return parallel rows as a wave in -1..1; finer than two pixels it fades to 0."""
        u = self.across()
        if wobble_m:
            u = u + wobble_m * self.noise(30.0)
        sharpness = np.clip(period_m * self.px_per_m / 2 - 0.5, 0, 1)
        return np.sin(u * (tau / period_m)) * np.float32(sharpness)

    def fill(self, low: Colour, high: Colour, mix: np.ndarray) -> None:
        """Cover everything with the blend of two colours; `mix` is float (height, width)."""
        self.blend(np.asarray(low, np.float32), 1.0)
        self.blend(np.asarray(high, np.float32), np.clip(0.5 + 0.25 * mix, 0, 1))

    def blend(self, colour: np.ndarray, cover: np.ndarray | float) -> None:
        """Lay `colour` ((3,) or an image) over the canvas as far as `cover` (0..1) says."""
        cover = np.asarray(cover, np.float32)
        cover = cover[..., None] if cover.ndim else cover
        colour = np.asarray(colour, np.float32)
        self.rgb[:] = np.clip(self.rgb + (colour - self.rgb) * cover, 0, 255)

    def scatter(self, du_m: float, dv_m: float, jitter: float) -> np.ndarray:
        """Return points (N, 2) in metres on a grid over the canvas, moved by `jitter` cells."""
        u = np.arange(-self.reach_m, self.reach_m + du_m, du_m)
        v = np.arange(-self.reach_m, self.reach_m + dv_m, dv_m)
        points = np.stack(np.meshgrid(u, v, indexing='ij'), -1).reshape(-1, 2)
        points += self.rng.uniform(-0.5, 0.5, 2) * (du_m, dv_m)
        points += self.rng.uniform(-jitter, jitter, points.shape) * (du_m, dv_m)
        margin = 0.5 * max(du_m, dv_m) * self.px_per_m
        px = self._pixels(points)
        inside = (px > -margin) & (px < 2 * self._middle + margin)
        return points[inside.all(1)]

    def boxes(self, centres: np.ndarray, size: Pair, colour: np.ndarray,
              height_m: float = 0.0) -> None:
        """Draw rectangles of `size` (u, v) metres at `centres` (N, 2), one after the other.

        `colour` is one for all or (N, 3). With a height they cast shadows.
        """
        unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
        corners = self._pixels(unit * np.asarray(size))
        places = self._pixels(np.reshape(centres, (-1, 1, 2))) - self._middle
        if height_m:
            cast = corners + self._sun * (height_m * self.px_per_m)
            hull = cv2.convexHull(np.concatenate([corners, cast]).astype(np.float32))[:, 0]
            self._polygons(places + hull, np.array((38, 40, 46)))
        self._polygons(places + corners, colour)

    def box(self, centre: Pair, size: Pair, colour: Colour,
            height_m: float = 0.0) -> None:
        """Draw one rectangle, as `boxes` does."""
        self.boxes(np.asarray(centre), size, np.asarray(colour), height_m)

    def strip(self, u: float, width_m: float, colour: Colour) -> None:
        """Draw a straight strip along v through the whole canvas."""
        self.box((u, 0.0), (width_m, 2.4 * self.reach_m), colour)

    def trees(self, points: np.ndarray, radius_m: float, colour: Colour) -> None:
        """Draw crowns at `points` (N, 2), lit from the sun's side, with shadows."""
        if not len(points):
            return
        dome, tint = self._crowns(points, radius_m)
        shadow = self._shifted(dome, 0.8 * radius_m) > 0.05
        self.blend(np.array((25, 32, 26)), 0.75 * shadow)
        light = 0.75 + 0.9 * (dome - self._shifted(dome, 0.5 * radius_m)) + 0.12 * tint
        light += 0.15 * self.noise(0.6)
        self.blend(np.asarray(colour, np.float32) * light[..., None], dome > 0.05)

    def discs(self, points: np.ndarray, radius_m: float, colour: Colour) -> None:
        """Draw flat discs at `points` (N, 2): tanks, silos."""
        turn = np.linspace(0, tau, 24, endpoint=False)
        rim = np.stack([np.cos(turn), np.sin(turn)], 1) * (radius_m * self.px_per_m)
        self._polygons(self._pixels(np.reshape(points, (-1, 1, 2))) + rim, np.asarray(colour))

    def _crowns(self, points: np.ndarray, radius_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the height (0..1) of the nearest crown and its tint, for every pixel."""
        height, width = self.rgb.shape[:2]
        free = np.ones((height, width), np.uint8)
        x, y = self._pixels(points).astype(int).T
        free[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] = 0
        away, nearest = cv2.distanceTransformWithLabels(
            free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        count = int(nearest.max()) + 1
        radius = self.rng.uniform(0.7, 1.2, count).astype(np.float32) * radius_m * self.px_per_m
        away += 0.2 * radius_m * self.px_per_m * self.noise(radius_m / 3)
        dome = np.clip(1 - (away / radius[nearest]) ** 2, 0, 1)
        return dome, self.rng.standard_normal(count, np.float32)[nearest]

    def _shifted(self, image: np.ndarray, distance_m: float) -> np.ndarray:
        """Return `image` moved away from the sun."""
        dx, dy = self._sun * (distance_m * self.px_per_m)
        return cv2.warpAffine(image, np.array([[1, 0, dx], [0, 1, dy]]), image.shape[::-1],
                              borderMode=cv2.BORDER_REPLICATE)

    def _pixels(self, metres: np.ndarray) -> np.ndarray:
        pixels: np.ndarray = np.asarray(metres) @ self._axes * self.px_per_m + self._middle
        return pixels

    def _polygons(self, pixels: np.ndarray, colour: np.ndarray) -> None:
        """Draw convex polygons (N, K, 2), in turn, so that later ones lie on top."""
        fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
        colours = np.broadcast_to(np.clip(colour, 0, 255).astype(float), (len(fixed), 3))
        for polygon, shade in zip(fixed, colours, strict=True):
            cv2.fillConvexPoly(self.rgb, polygon, tuple(shade), cv2.LINE_AA, _SHIFT)
