"""A camera of Linux (V4L2)."""

import os
from pathlib import Path

import cv2
import numpy as np

from offload_perception.camera.source import Source, fit_bgr
from offload_perception.errors import SourceError


class CameraSource(Source):
    """Frames of a V4L2 device, which sets the pace.

    The device is asked for the size and rate and may choose others: frames are fitted to the
    size, and `description` says what the device gives.
    """

    live = True

    def __init__(self, device: str, *, height: int, width: int, rate_hz: float) -> None:
        """Open `device`, such as '/dev/video0'; raises SourceError if that fails."""
        super().__init__()
        check_device(device)
        self._device, self._size = device, (height, width)
        self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise SourceError(f'{device} gives no video: it is in use by another program, or '
                              f'not a capture device (see `v4l2-ctl --list-devices`)')
        self.rate_hz = rate_hz
        self._ask_for(height, width, rate_hz)
        self.description = self._describe()

    def _ask_for(self, height: int, width: int, rate_hz: float) -> None:
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if rate_hz:
            self._capture.set(cv2.CAP_PROP_FPS, rate_hz)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest

    def _describe(self) -> str:
        width, height, rate = (self._capture.get(p) for p in (
            cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS))
        return f'camera {self._device}, {width:.0f} x {height:.0f} at {rate:g} Hz'

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        done, bgr = self._capture.read()
        if not done:
            raise SourceError(f'{self._device} stopped giving frames; check its cable')
        return fit_bgr(bgr, *self._size), None

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()


def check_device(device: str) -> None:
    """Raise SourceError with the remedy for a device that is missing or not permitted."""
    path = Path(device)
    if not path.exists():
        present = sorted(str(p) for p in Path('/dev').glob('video*'))
        raise SourceError(f'there is no camera {device}; present: '
                          f'{", ".join(present) or "none"}. Connect one, or use a video file, '
                          f"a folder of pictures, 'photos' or 'terrain' as the source")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f'no permission for {device}; run `sudo usermod -aG video $USER` '
                          f'and log in again')
    if not path.is_char_device():
        raise SourceError(f'{device} is not a camera device; for a file give its plain path')
