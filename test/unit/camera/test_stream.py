from collections.abc import Iterator
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
from unit.camera.mjpeg_server import MjpegServer, number_of

from offload_perception.camera import Source, check_source, open_source, stream
from offload_perception.camera.stream import StreamSource
from offload_perception.errors import SourceError

SIZE: dict[str, Any] = {'width': 64, 'height': 48}


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    if not cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG):
        pytest.skip('this OpenCV was built without FFmpeg')
    server = MjpegServer()
    yield server
    server.stop()


def first_frame_of(source: Source, number: int, tries: int = 500) -> bool:
    """Take frames until one shows `number`."""
    return any(number_of(source.next().rgb) == number for _ in range(tries))


def test_an_http_camera_shows_its_newest_frame(server: MjpegServer) -> None:
    with open_source(server.uri, **SIZE) as source:
        assert source.live and source.rate_hz == 0
        assert source.next().rgb.shape == (48, 64, 3)
        for number in (3, 5, 1):
            server.number = number
            assert first_frame_of(source, number)


class FiveFrames:
    """A capture that gives five frames at once, and then waits for the test."""

    def __init__(self) -> None:
        self.given, self.all_given, self.over = 0, Event(), Event()

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.given == 5:
            self.all_given.set()
            self.over.wait(30)
            return False, None
        self.given += 1
        return True, np.full((48, 64, 3), self.given, np.uint8)

    def release(self) -> None:
        pass


def test_frames_that_nobody_took_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = FiveFrames()
    monkeypatch.setattr(stream, 'check_stream', lambda uri: None)
    monkeypatch.setattr(stream, '_open', lambda uri: capture)
    source = stream.StreamSource('rtsp://camera', **SIZE)
    source._reader.start()
    assert capture.all_given.wait(30)
    source._started = True
    assert source.next().rgb.mean() == 5
    capture.over.set()
    with pytest.raises(SourceError, match='rtsp://camera has ended'):
        source.next()
    source.close()


def test_a_stream_is_not_connected_before_the_first_frame_is_wanted(server: MjpegServer) -> None:
    source = open_source(server.uri, **SIZE)
    check_source(server.uri)
    assert not server.asked.is_set()
    source.next()
    assert server.asked.is_set()
    source.close()
    assert isinstance(source, StreamSource) and not source._reader.alive


def test_a_stream_that_ends_is_an_error_that_hides_the_password(server: MjpegServer) -> None:
    source = open_source(server.uri, **SIZE)
    source.next()
    server.stop()
    with pytest.raises(SourceError, match=r'http://127\.0\.0\.1:\d+/camera.mjpg has ended') as e:
        while True:
            source.next()
    assert 'secret' not in f'{e.value}{source.description}'
    source.close()


def test_a_stream_that_is_not_there_is_an_error(server: MjpegServer) -> None:
    uri = server.uri
    server.stop()
    source = open_source(uri, **SIZE)
    with pytest.raises(SourceError, match='cannot be opened'):
        source.next()
    source.close()


@pytest.mark.parametrize(('pipeline', 'opened'), [
    ('gst:videotestsrc', 'videotestsrc' + stream._SINK),
    ('videotestsrc ! queue', 'videotestsrc ! queue' + stream._SINK),
    ('gst:a ! appsink name=mine', 'a ! appsink name=mine')])
def test_a_pipeline_ends_in_a_sink_of_opencv(pipeline: str, opened: str,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(cv2, 'VideoCapture', lambda *args: asked.append(args))
    stream._open(pipeline)
    assert asked == [(opened, cv2.CAP_GSTREAMER)]
