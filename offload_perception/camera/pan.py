"""Photographs seen through a moving window, as a camera in flight would see them."""

from importlib.util import find_spec
from math import ceil, cos, pi, sin
from pathlib import Path

import cv2
import numpy as np

from offload_perception.camera.folder import FilesSource, PictureLoop
from offload_perception.errors import SourceError
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.imaging.resize import fit

_LEG_S = 20.0  # how long each picture is flown over
_ZOOM = (0.55, 0.95)  # side of the window as a share of the largest that fits


class PanSource(FilesSource):
    """A window that glides and zooms over one picture after the other, looped.

    The path depends on the frame number and rate only, so that runs can be compared.
    """

    def __init__(self, path: str | Path, *, height: int, width: int, rate_hz: float,
                 name: str = '', values: ValueRange = FULL_RANGE) -> None:
        """Fly over the folder or picture `path`; raises SourceError if it has none."""
        super().__init__()
        self._size, self._leg_frames = (height, width), max(1, round(_LEG_S * rate_hz))
        self.rate_hz = rate_hz
        self._loop = PictureLoop(path, at_least=(ceil(height / _ZOOM[0]), ceil(width / _ZOOM[0])),
                                 values=values)
        self.description = f'flight over {len(self._loop.files)} photograph(s) of {name or path}'

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        step = index % self._leg_frames
        if step == 0:
            self._below = _prepare(self._loop.next(), *self._size)
        return _window(self._below, step / self._leg_frames, *self._size), None


def photos_source(*, height: int, width: int, rate_hz: float) -> PanSource:
    """Return a flight over the two photographs that scikit-learn ships as samples."""
    source = PanSource(photos_folder(), height=height, width=width, rate_hz=rate_hz,
                       name='the scikit-learn samples')
    source._loop.left_out.clear()  # scikit-learn's own text files are of no interest
    return source


def photos_folder() -> Path:
    """Return the folder of scikit-learn's sample photographs.

    Only its files are used: importing it would cost a second and much memory.

    :raises SourceError: if scikit-learn is not installed.
    """
    spec = find_spec('sklearn')
    if spec is None or spec.origin is None:
        raise SourceError('the sample photographs come with scikit-learn: `pip install '
                          "scikit-learn`, or fly over your own with 'pan:FOLDER'")
    return Path(spec.origin).parent / 'datasets' / 'images'


def _prepare(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the picture reduced to the resolution of the window, against flicker."""
    scale = max(height / rgb.shape[0], width / rgb.shape[1]) / _ZOOM[0]
    if scale >= 1:
        return rgb
    return fit(rgb, round(rgb.shape[0] * scale), round(rgb.shape[1] * scale))


def _window(picture: np.ndarray, phase: float, height: int, width: int) -> np.ndarray:
    """Return what the window shows at `phase` 0..1 of its closed path over the picture."""
    rows, cols = picture.shape[:2]
    near, far = _ZOOM
    share = (near + far) / 2 + (far - near) / 2 * cos(2 * pi * phase)
    scale = share * min(rows / height, cols / width)
    left = (cols - scale * width) * (1 + sin(2 * pi * phase)) / 2
    top = (rows - scale * height) * (1 + sin(4 * pi * phase)) / 2
    # Fractions of a pixel count: whole steps would make a slow flight jerk.
    to_picture = np.array([[scale, 0, left], [0, scale, top]])
    return cv2.warpAffine(picture, to_picture, (width, height), borderMode=cv2.BORDER_REPLICATE,
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
