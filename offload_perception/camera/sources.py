"""From the name of a camera source to the source."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from offload_perception.camera.folder import FolderSource, list_pictures, no_picture
from offload_perception.camera.pan import PanSource, photos_folder, photos_source
from offload_perception.camera.source import Source
from offload_perception.camera.stream import StreamSource, check_stream, is_stream
from offload_perception.camera.terrain import TerrainSource, check_seed
from offload_perception.camera.turns import TurnsSource
from offload_perception.camera.v4l2 import CameraSource, check_device
from offload_perception.camera.video import VideoSource, check_file
from offload_perception.errors import SourceError
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange

USUAL_HZ = 10.0
"""How fast pictures and generated flights play if no rate is given."""


class Size(TypedDict):
    """Height and width of a picture."""

    height: int
    width: int


class Wanted(NamedTuple):
    """The request to a source: RGB of `height` x `width`; see `open_source`."""

    height: int
    width: int
    rate_hz: float
    loop: bool
    values: ValueRange

    @property
    def size(self) -> Size:
        """Return height and width by name."""
        return {'height': self.height, 'width': self.width}

    @property
    def pace_hz(self) -> float:
        """Return the rate of a source that has none of its own."""
        return self.rate_hz or USUAL_HZ


class Kind(NamedTuple):
    """A kind of source.

    `usage` is how it is written. `matches` says whether a name is of this kind, from the name
    alone. `check` raises SourceError if the name cannot be opened, without opening it. `open`
    returns the source.
    """

    usage: str
    matches: Callable[[str], bool]
    check: Callable[[str], Any]
    open: Callable[[str, Wanted], Source]


def open_source(uri: str, *, width: int = 640, height: int = 480, rate_hz: float = 0.0,
                loop: bool = True, values: ValueRange = FULL_RANGE) -> Source:
    """Return the opened source that `uri` names, one of KINDS, or several with + between.

    Every frame is RGB of `height` x `width`. `rate_hz` is asked of a camera and sets how far a
    flight moves between two frames; 0 plays a video and a camera at their own speed, and all else
    at USUAL_HZ. Videos and pictures begin again after the last one unless `loop` is False.
    Deeper pictures than 8 bits are scaled from `values`. Raises SourceError with the remedy.
    """
    if width < 1 or height < 1 or not rate_hz >= 0:
        raise SourceError(f'a source of {width} x {height} at {rate_hz} Hz; sizes must be above '
                          '0, the rate not below')
    wanted = Wanted(height, width, rate_hz, loop, values)
    if parts := _in_turn(uri):
        each = wanted._replace(rate_hz=wanted.pace_hz, loop=True)
        return TurnsSource([_kind(part).open(part, each) for part in parts],
                           rate_hz=wanted.pace_hz)
    return _kind(uri).open(uri, wanted)


def check_source(uri: str) -> None:
    """Raise SourceError if `uri` cannot be opened, as far as files and devices show.

    Decodes nothing, connects to nothing and takes milliseconds, so that a mistake is reported
    before long work.
    """
    for part in _in_turn(uri) or [uri]:
        _kind(part).check(part)


def _kind(uri: str) -> Kind:
    return next(kind for kind in KINDS if kind.matches(uri))


def _in_turn(uri: str) -> list[str]:
    """Return the parts of A+B, or none if `uri` names one source."""
    one = '+' not in uri or is_stream(uri) or Path(uri).expanduser().exists()
    return [] if one else uri.split('+')


def _device(uri: str) -> str:
    """Return the V4L2 device that `uri` names, or nothing."""
    kind, _, rest = uri.partition(':')
    if kind != 'v4l2' and not uri.startswith('/dev/video'):
        return ''
    return f'/dev/video{rest}' if rest.isdigit() else rest or uri


def _after_colon(uri: str) -> str:
    return uri.partition(':')[2]


def _open_path(uri: str, wanted: Wanted) -> Source:
    path = _existing(uri)
    if _is_still(path):
        return FolderSource(path, **wanted.size, rate_hz=wanted.pace_hz, loop=wanted.loop,
                            values=wanted.values)
    return VideoSource(path, **wanted.size, rate_hz=wanted.rate_hz, loop=wanted.loop)


def _check_path(uri: str) -> None:
    path = _existing(uri)
    (list_pictures if _is_still(path) else check_file)(path)


def _is_still(path: Path) -> bool:
    """Return whether a file holds pictures, by its content; else it is a video.

    :raises SourceError: if it is neither.
    """
    if path.is_dir():
        return True
    why = no_picture(path)
    if why and why not in ('no picture', 'gif'):  # a GIF may be moving, and plays as a video
        raise SourceError(f'{path} is {why}')
    return not why


def _existing(name: str) -> Path:
    """Return the file or folder `name`; raises SourceError with the possible kinds."""
    path = Path(name).expanduser()
    if not name or not path.exists():
        raise SourceError(f'there is no camera source {name!r}: no such file. Known are: '
                          f'{", ".join(kind.usage for kind in KINDS)}, A+B (two of these in turn)')
    return path


# The first kind that matches opens the source; the last one takes every name.
KINDS = (
    Kind('rtsp://, http://, udp:// and other streams, a GStreamer pipeline (gst:A ! B)',
         is_stream, check_stream,
         lambda uri, w: StreamSource(uri, **w.size, rate_hz=w.rate_hz)),
    Kind('terrain or terrain:SEED (a generated flight)',
         lambda uri: uri.partition(':')[0] == 'terrain', lambda uri: check_seed(_after_colon(uri)),
         lambda uri, w: TerrainSource(_after_colon(uri), **w.size, rate_hz=w.pace_hz)),
    Kind('photos (a flight over the sample photographs of scikit-learn)',
         lambda uri: uri == 'photos', lambda _: photos_folder(),
         lambda _, w: photos_source(**w.size, rate_hz=w.pace_hz)),
    Kind('pan:PATH (a flight over pictures of your own)',
         lambda uri: uri.startswith('pan:') and uri != 'pan:',
         lambda uri: list_pictures(_existing(_after_colon(uri))),
         lambda uri, w: PanSource(_existing(_after_colon(uri)), **w.size, rate_hz=w.pace_hz,
                                  values=w.values)),
    Kind('/dev/videoN or v4l2:N (a camera)', lambda uri: bool(_device(uri)),
         lambda uri: check_device(_device(uri)),
         lambda uri, w: CameraSource(_device(uri), **w.size, rate_hz=w.rate_hz)),
    Kind('PATH (a video file, a picture or a folder of pictures)', lambda _: True,
         _check_path, _open_path),
)
