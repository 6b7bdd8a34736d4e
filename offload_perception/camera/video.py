"""A video file, played once or over and over."""

import os
from pathlib import Path

import cv2
import numpy as np

from offload_perception.camera.source import Source, fit_bgr
from offload_perception.errors import SourceEnded, SourceError

_USUAL_HZ = 25.0  # of a video without a frame rate
_FASTEST_HZ = 240.0


class VideoSource(Source):
    """The frames of a video file, at its own speed or another one."""

    def __init__(self, path: str | Path, *, height: int, width: int, rate_hz: float = 0.0,
                 loop: bool = True) -> None:
        """Open the video; raises SourceError if OpenCV finds no frame in it.

        :param rate_hz: how fast to play; 0 takes the video's own speed.
        """
        super().__init__()
        self._path, self._size, self._endless = Path(path), (height, width), loop
        check_file(self._path)
        self._capture = cv2.VideoCapture(str(path))
        self._pending: tuple[np.ndarray] | None = self._read() or self._rewind()
        self.rate_hz = rate_hz or self._own_rate_hz()
        self.description = (f'video {self._path.name} at {self.rate_hz:.4g} Hz, '
                            f'{"looped" if loop else "once"}')

    def _own_rate_hz(self) -> float:
        reported_hz = self._capture.get(cv2.CAP_PROP_FPS)
        return min(reported_hz, _FASTEST_HZ) if reported_hz > 0.01 else _USUAL_HZ

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        frame = self._pending or self._read() or self._rewind()
        self._pending = None
        return frame[0], None

    def _read(self) -> tuple[np.ndarray] | None:
        """Return the next frame in a tuple of one, or None at the end."""
        done, bgr = self._capture.read()
        return (fit_bgr(bgr, *self._size),) if done else None

    def _rewind(self) -> tuple[np.ndarray]:
        """Return the first frame; opened again, as not every format can seek."""
        if self._index and not self._endless:
            raise SourceEnded(f'{self._path.name} was shown to its end')
        self._capture.release()
        self._capture = cv2.VideoCapture(str(self._path))
        if (frame := self._read()) is None:
            raise SourceError(f'{self._path} is no video that OpenCV can read; convert it, '
                              f'for example `ffmpeg -i {self._path.name} -c:v libx264 out.mp4`')
        return frame

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def check_file(path: Path) -> None:
    """Raise SourceError for a file on which OpenCV would block, or fail without a reason."""
    if not path.is_file():
        raise SourceError(f'{path} is not a video file; give the path of one')
    if not os.access(path, os.R_OK):
        raise SourceError(f'no permission to read {path}; run `chmod +r {path}`')
