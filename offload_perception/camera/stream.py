"""Live streams: RTSP, MJPEG over HTTP, UDP, and GStreamer pipelines, through OpenCV."""

import re
from threading import Condition

import cv2
import numpy as np

from offload_perception.camera.source import Source, fit_bgr
from offload_perception.errors import SourceError
from offload_perception.threads import Worker

SCHEMES = ('rtsp', 'rtsps', 'http', 'https', 'udp', 'rtp', 'tcp', 'srt', 'rtmp')
OPEN_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 5.0
_SINK = ' ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false'
_PASSWORD = re.compile(r'(?<=://)[^/@]*@')


class StreamSource(Source):
    """The newest frame of a stream; frames that arrive between two reads are skipped.

    Nothing is connected before the first `next`, so that a camera that is not up yet is no
    error of the configuration. A thread reads all the time and alone holds the connection, which
    it closes itself: no read is ever cut off under it.
    """

    live = True
    hangs = 'look at the stream at its source, and at the network'

    def __init__(self, uri: str, *, height: int, width: int, rate_hz: float = 0.0) -> None:
        """Check that OpenCV can take such a stream; raises SourceError if it cannot."""
        super().__init__()
        check_stream(uri)
        self._uri, self._size, self.rate_hz = uri, (height, width), rate_hz
        self._name = without_password(uri)
        self._changed = Condition()
        self._newest: np.ndarray | None = None
        self._problem = ''
        self._reader = Worker('stream', self._read)
        self._started = False
        self.description = f'stream {self._name}'

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        first, self._started = not self._started, True
        if first:
            self._reader.start()
        with self._changed:
            patience_s = 1.0 + READ_TIMEOUT_S + (OPEN_TIMEOUT_S if first else 0.0)
            self._changed.wait_for(
                lambda: self._newest is not None or self._problem, patience_s)
            bgr, self._newest = self._newest, None
        if bgr is None:
            raise SourceError(self._problem or f'{self._name} gave no frame for '
                              f'{patience_s:.0f} s; {self.hangs}')
        return fit_bgr(bgr, *self._size), None

    def _read(self) -> None:
        problem = f'{self._name} cannot be opened; {self.hangs}'
        try:
            capture = _open(self._uri)
            try:
                while not self._reader.stopping.is_set():
                    done, bgr = capture.read()
                    if not done:
                        break
                    problem = f'{self._name} has ended; {self.hangs}'
                    self._store(bgr, '')
            finally:
                capture.release()
        except Exception as e:  # whatever OpenCV says of data from outside
            problem = f'{self._name}: {e}'
        self._store(None, problem)

    def _store(self, bgr: np.ndarray | None, problem: str) -> None:
        with self._changed:
            self._newest, self._problem = bgr if bgr is not None else self._newest, problem
            self._changed.notify_all()

    def close(self) -> None:
        """Let the reader end, and wait for it as long as one read takes at most."""
        self._reader.stop(OPEN_TIMEOUT_S + READ_TIMEOUT_S)


def is_stream(uri: str) -> bool:
    """Return whether a source's name is that of a live stream."""
    return is_pipeline(uri) or uri.partition('://')[0].lower() in SCHEMES


def is_pipeline(uri: str) -> bool:
    """Return whether a source's name is a GStreamer pipeline."""
    return uri.startswith('gst:') or ' ! ' in uri


def check_stream(uri: str) -> None:
    """Raise SourceError if OpenCV lacks what the stream needs, or it names no host."""
    backend, name = ((cv2.CAP_GSTREAMER, 'GStreamer') if is_pipeline(uri)
                     else (cv2.CAP_FFMPEG, 'FFmpeg'))
    if not cv2.videoio_registry.hasBackend(backend):
        raise SourceError(f'{without_password(uri)} needs OpenCV with {name}, and this OpenCV '
                          f'{cv2.__version__} was built without it; take a build that has it (on '
                          'Debian and Ubuntu `apt install python3-opencv`)')
    if not is_pipeline(uri) and not uri.partition('://')[2].strip('/'):
        raise SourceError(f'{uri} names no host; an example: rtsp://192.168.1.10:554/stream')


def without_password(uri: str) -> str:
    """Return a stream's name as it may be shown."""
    return _PASSWORD.sub('', uri)


def _open(uri: str) -> cv2.VideoCapture:
    if is_pipeline(uri):
        pipeline = uri.removeprefix('gst:')
        return cv2.VideoCapture(pipeline if 'appsink' in pipeline else pipeline + _SINK,
                                cv2.CAP_GSTREAMER)
    return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * OPEN_TIMEOUT_S),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * READ_TIMEOUT_S)])
