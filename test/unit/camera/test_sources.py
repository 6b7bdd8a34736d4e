import os
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from offload_perception.camera import check_source, open_source, pan
from offload_perception.camera import sources as source_opening
from offload_perception.camera import v4l2 as camera
from offload_perception.camera.source import CameraImage
from offload_perception.errors import SourceEnded, SourceError
from offload_perception.imaging.compressed import encode_image
from offload_perception.imaging.encodings import ValueRange

SIZE: dict[str, Any] = {'width': 64, 'height': 48}
RED, GREEN, BLUE = (200, 10, 10), (10, 200, 10), (10, 10, 200)


HEIC = bytes((0, 0, 0, 24)) + b'ftypheic' + bytes(4) + b'mif1heic'


def plain(colour: tuple[int, int, int], height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def save(path: Path, rgb: np.ndarray) -> Path:
    path.write_bytes(encode_image(rgb, path.suffix[1:].replace('jpg', 'jpeg'), 95).tobytes())
    return path


def colour_of(frame: CameraImage) -> tuple[int, int, int]:
    """Return which of the three plain colours a frame shows, within the loss of JPEG."""
    mean = frame.rgb.reshape(-1, 3).mean(axis=0)
    return next(c for c in (RED, GREEN, BLUE) if np.abs(mean - c).max() < 12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (('b.png', GREEN), ('a.jpg', RED), ('c.webp', BLUE)):
        save(tmp_path / name, plain(colour))
    (tmp_path / 'notes.txt').write_text('no picture')
    return tmp_path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / 'flight.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (80, 60))
    for colour in (RED, GREEN, BLUE):
        writer.write(plain(colour)[..., ::-1].copy())
    writer.release()
    return path


def test_a_folder_is_shown_in_order_and_looped(folder: Path) -> None:
    with open_source(str(folder), **SIZE) as source:
        frames = [source.next() for _ in range(4)]
    assert [colour_of(f) for f in frames] == [RED, GREEN, BLUE, RED]
    assert [f.index for f in frames] == [0, 1, 2, 3]
    assert {f.rgb.shape for f in frames} == {(48, 64, 3)}
    assert {f.label for f in frames} == {None}
    assert '3 picture(s)' in source.description
    assert not source.live


def test_a_broken_picture_is_left_out_and_counted(folder: Path) -> None:
    (folder / 'b.png').write_bytes(b'\x89PNG\r\n\x1a\n rubbish')
    source = open_source(str(folder), **SIZE)
    assert source.skipped == 0
    assert [colour_of(source.next()) for _ in range(4)] == [RED, BLUE, RED, BLUE]
    assert source.skipped == 2


def test_files_are_distinguished_by_their_content_and_what_is_left_out_is_named(
        folder: Path) -> None:
    rgb = Image.fromarray(plain(BLUE))
    (folder / 'e.heic').write_bytes(HEIC)
    rgb.save(folder / 'f.tif', compression='jpeg')
    rgb.save(folder / 'g.bmp')
    rgb.save(folder / 'h.jp2')
    rgb.save(folder / 'i.jpg', 'TIFF')  # whatever its name says
    (folder / '.hidden.jpg').write_text('nothing')
    (folder / 'inside').mkdir()
    with open_source(str(folder), **SIZE) as source:
        frames = [source.next() for _ in range(8)]
    assert [colour_of(f) for f in frames] == [RED, GREEN, *5 * [BLUE], RED]
    assert set(source.left_out) == {'e.heic', 'notes.txt'}
    assert 'heif-convert' in source.left_out['e.heic']
    assert source.skipped == 0


def test_a_raw_camera_file_is_not_shown_as_its_preview(tmp_path: Path) -> None:
    Image.fromarray(plain(RED)).save(tmp_path / 'a.dng', 'TIFF', tiffinfo={50706: b'\1\4\0\0'})
    with pytest.raises(SourceError, match=r'a\.dng: a raw camera file'):
        open_source(str(tmp_path), **SIZE)


def test_pictures_are_shown_once_where_that_is_asked_for(folder: Path) -> None:
    with open_source(str(folder), **SIZE, loop=False) as source:
        assert [colour_of(source.next()) for _ in range(3)] == [RED, GREEN, BLUE]
        with pytest.raises(SourceEnded, match='all pictures'):
            source.next()


def test_a_thermal_picture_is_scaled_from_its_range(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((60, 80), 30000, np.uint16))
    cv2.imwrite(str(tmp_path / 'b.tiff'), np.full((60, 80), 25.5, np.float32))
    source = open_source(str(tmp_path), **SIZE, values=ValueRange(20000, 40000))
    assert abs(int(source.next().rgb.mean()) - 127) <= 1
    source = open_source(str(tmp_path / 'b.tiff'), **SIZE, values=ValueRange(0, 51))
    assert abs(int(source.next().rgb.mean()) - 127) <= 1


@pytest.mark.parametrize('uri', ['{tmp}', '{tmp}/a.jpg', 'pan:{tmp}', 'photos+terrain:3',
                                 'rtsp://127.0.0.1:1/none', 'udp://127.0.0.1:9'])
def test_a_check_opens_nothing(uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('sklearn')
    monkeypatch.setattr(Path, 'read_bytes', lambda self: pytest.fail('was read'))
    check_source(uri.format(tmp=folder))


def test_one_picture_stands_still(folder: Path) -> None:
    source = open_source(str(folder / 'a.jpg'), **SIZE)
    assert np.array_equal(source.next().rgb, source.next().rgb)


def test_a_video_is_looped(video: Path) -> None:
    with open_source(str(video), **SIZE) as source:
        colours = [colour_of(source.next()) for _ in range(7)]
    assert colours == [RED, GREEN, BLUE, RED, GREEN, BLUE, RED]
    source.close()


def test_a_video_plays_at_its_own_speed_or_another(video: Path) -> None:
    assert open_source(str(video), **SIZE).rate_hz == 10
    assert open_source(str(video), **SIZE, rate_hz=3).rate_hz == 3


def test_a_video_is_shown_once_where_that_is_asked_for(video: Path) -> None:
    with open_source(str(video), **SIZE, loop=False) as source:
        assert [colour_of(source.next()) for _ in range(3)] == [RED, GREEN, BLUE]
        with pytest.raises(SourceEnded, match='to its end'):
            source.next()
        assert 'once' in source.description


def test_a_video_that_vanishes_ends_the_source(video: Path) -> None:
    source = open_source(str(video), **SIZE)
    for _ in range(3):
        source.next()
    video.write_bytes(b'')
    with pytest.raises(SourceError, match=r'flight\.avi'):
        source.next()


def test_a_flight_over_pictures_moves_smoothly_and_visits_all(tmp_path: Path) -> None:
    wave = np.sin(np.arange(200) / 12) * 100 + 120
    save(tmp_path / '1.png', np.repeat((wave[:150, None] + wave) / 2, 3).reshape(
        150, 200, 3).astype(np.uint8))
    save(tmp_path / '2.png', plain(RED, 150, 200))
    source = open_source(f'pan:{tmp_path}', **SIZE, rate_hz=2)
    frames = [source.next() for _ in range(41)]
    steps = [np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in pairwise(frames)]
    assert all(0 < step < 40 for step in steps[:39])  # one leg of 40 frames
    assert colour_of(frames[40]) == RED
    assert 'flight over 2' in source.description


def test_two_flights_are_the_same_and_end_where_they_began(tmp_path: Path) -> None:
    save(tmp_path / '1.png', np.random.default_rng(0).integers(0, 256, (90, 100, 3), np.uint8))
    first, second = (open_source(f'pan:{tmp_path}', **SIZE, rate_hz=0.5) for _ in range(2))
    frames = [first.next().rgb for _ in range(11)]
    assert all(np.array_equal(f, second.next().rgb) for f in frames)
    assert np.array_equal(frames[0], frames[10])
    assert not np.array_equal(frames[0], frames[5])


def test_the_window_stays_inside_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(cv2, 'warpAffine', lambda p, m, size, **_: seen.append(m))
    for phase in np.linspace(0, 1, 101):
        pan._window(plain(RED, 427, 640), phase, 480, 640)
    for m in seen:
        assert m[0, 2] >= -1e-9 and m[0, 2] + m[0, 0] * 640 <= 640 + 1e-9
        assert m[1, 2] >= -1e-9 and m[1, 2] + m[1, 1] * 480 <= 427 + 1e-9


def test_the_photographs_of_scikit_learn_are_flown_over() -> None:
    pytest.importorskip('sklearn')
    source = open_source('photos')
    frame = source.next()
    assert frame.rgb.shape == (480, 640, 3)
    assert frame.rgb.std() > 20
    assert 'flight over 2 photograph(s)' in source.description


def test_without_scikit_learn_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pan, 'find_spec', lambda name: None)
    with pytest.raises(SourceError, match=r'pip install scikit-learn.*pan:FOLDER'):
        open_source('photos')


class FakeFlight:
    classes = ('water', 'forest')

    def __init__(self, seed: int, width: int, height: int) -> None:
        self.made = (seed, width, height)

    def frame(self, index: int) -> np.ndarray:
        return plain((self.made[0], index, 0), self.made[2], self.made[1])

    def truth(self, index: int) -> int | None:
        return index % 2 or None


@pytest.fixture
def fake_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType('flight')
    monkeypatch.setattr(module, 'GeneratedFlight', FakeFlight, raising=False)
    monkeypatch.setitem(sys.modules, 'offload_perception.terrain.generated_flight', module)


@pytest.mark.parametrize(('uri', 'seed'), [('terrain', 0), ('terrain:7', 7), ('terrain:', 0)])
def test_terrain_gives_frames_with_labels(fake_flight: None, uri: str, seed: int) -> None:
    source = open_source(uri, **SIZE)
    frames = [source.next() for _ in range(3)]
    assert [f.label for f in frames] == [None, 1, None]
    assert [tuple(f.rgb[0, 0]) for f in frames] == [(seed, i, 0) for i in range(3)]
    assert source.classes == ('water', 'forest')
    assert f'seed {seed}' in source.description


class FakeCapture:
    """A camera that gives 80 x 60 whatever it is asked for, and two frames."""

    def __init__(self, device: str, backend: int) -> None:
        self.left, self.asked, self.opened = 2, {}, True

    def isOpened(self) -> bool:
        return self.opened

    def set(self, key: int, value: int) -> None:
        self.asked[key] = value

    def get(self, key: int) -> int:
        return {cv2.CAP_PROP_FRAME_WIDTH: 80, cv2.CAP_PROP_FRAME_HEIGHT: 60,
                cv2.CAP_PROP_FPS: 30}[key]

    def read(self) -> tuple[bool, np.ndarray]:
        self.left -= 1
        return self.left >= 0, plain(RED)[..., ::-1].copy()

    def release(self) -> None:
        self.opened = False


@pytest.fixture
def fake_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_opening, 'check_device', lambda device: None)
    monkeypatch.setattr(camera, 'check_device', lambda device: None)
    monkeypatch.setattr(cv2, 'VideoCapture', FakeCapture)


@pytest.mark.parametrize('uri', ['/dev/video3', 'v4l2:3', 'v4l2:/dev/video3'])
def test_a_camera_sets_its_own_size_and_frames_still_fit(fake_camera: None, uri: str) -> None:
    source = open_source(uri, **SIZE, rate_hz=15)
    assert source.live and isinstance(source, camera.CameraSource)
    capture: Any = source._capture
    assert source.description == 'camera /dev/video3, 80 x 60 at 30 Hz'
    assert capture.asked[cv2.CAP_PROP_FPS] == 15
    frame = source.next()
    assert frame.rgb.shape == (48, 64, 3)
    assert colour_of(frame) == RED
    source.next()
    with pytest.raises(SourceError, match='video3 stopped'):
        source.next()
    source.close()
    assert not capture.opened


def test_a_camera_in_use_is_named(fake_camera: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, 'isOpened', lambda self: False)
    with pytest.raises(SourceError, match=r'video3 gives no video.*in use'):
        open_source('v4l2:3')


def test_a_camera_without_permission_is_named(monkeypatch: pytest.MonkeyPatch,
                                              tmp_path: Path) -> None:
    monkeypatch.setattr(os, 'access', lambda *_: False)
    (tmp_path / 'video0').touch()
    with pytest.raises(SourceError, match=r'no permission.*usermod -aG video'):
        open_source(f'v4l2:{tmp_path}/video0')


@pytest.mark.parametrize(('uri', 'words'), [
    ('/dev/video77', 'no camera /dev/video77; present: '),
    ('v4l2:{tmp}/file.txt', 'not a camera device'),
    ('rtsp:///', 'names no host.*rtsp://'),
    ('videotestsrc ! fakesink', 'needs OpenCV with GStreamer.*without it'),
    ('{tmp}/photo.jpg', r'photo\.jpg is HEIC.*heif-convert'),
    ('{tmp}/texts', r'no pictures \(.*a\.jpg is no picture'),
    ('', "no camera source ''"),
    ('pan:', "no camera source 'pan:'"),
    ('pan:{tmp}/none', "none'.*no such file"),
    ('{tmp}/empty', r'no pictures \(jpeg, png.*empty'),
    ('pan:{tmp}/empty', 'no pictures'),
    ('{tmp}/broken', r'none of the 1 pictures can be read; the last: cannot read .*x\.png'),
    ('pan:{tmp}/broken', 'none of the 1 pictures'),
    ('{tmp}/file.txt', r'file\.txt is no video.*ffmpeg'),
    ('{tmp}/pipe', 'not a video file'),
    ('terrain:x', "seed 'x'.*terrain:1"),
])
def test_an_error_names_the_remedy(uri: str, words: str, tmp_path: Path, fake_flight: None,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, 'hasBackend',
                        lambda backend: backend != cv2.CAP_GSTREAMER)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / 'x.png').write_bytes(b'\x89PNG\r\n\x1a\nrubbish')
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts' / 'a.jpg').write_text('no picture')
    (tmp_path / 'photo.jpg').write_bytes(HEIC)
    (tmp_path / 'file.txt').write_text('text')
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(SourceError, match=words):
        open_source(uri.format(tmp=tmp_path), **SIZE)
    if not any(word in uri for word in ('broken', 'file.txt')):  # told only by decoding
        with pytest.raises(SourceError, match=words):
            check_source(uri.format(tmp=tmp_path))


def test_files_that_may_not_be_read_are_named(monkeypatch: pytest.MonkeyPatch, video: Path,
                                              folder: Path) -> None:
    monkeypatch.setattr(os, 'access', lambda *_: False)
    with pytest.raises(SourceError, match=r'no permission to read .*flight\.avi; run `chmod'):
        open_source(str(video))
    monkeypatch.setattr(Path, 'read_bytes', lambda self: (_ for _ in ()).throw(
        PermissionError(13, 'Permission denied')))
    with pytest.raises(SourceError, match=r'cannot read .*c\.webp: Permission denied'):
        open_source(str(folder))
    monkeypatch.setattr(Path, 'iterdir', lambda self: (_ for _ in ()).throw(
        PermissionError(13, 'Permission denied')))
    with pytest.raises(SourceError, match=r'cannot list .*Permission denied'):
        open_source(str(folder))


@pytest.mark.parametrize('change', [{'width': 0}, {'height': -1}, {'rate_hz': -1.0},
                                    {'rate_hz': float('nan')}])
def test_impossible_sizes_and_rates_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match='must be above'):
        open_source('photos', **(SIZE | change))


def test_sources_joined_by_plus_take_turns(fake_flight: None, folder: Path) -> None:
    (folder / 'a.jpg').write_bytes(b'\xff\xd8\xff rubbish')
    with open_source(f'{folder}+terrain:9', **SIZE, rate_hz=0.4) as source:
        frames = [source.next() for _ in range(6)]  # turns of two frames
    assert [f.label for f in frames] == [None, None, None, 1, None, None]
    assert [colour_of(f) for f in frames[:2] + frames[4:]] == [GREEN, BLUE, GREEN, BLUE]
    assert source.classes == ('water', 'forest')
    assert source.skipped == 2  # once each time round
    assert 'seed 9, in turn' in source.description
