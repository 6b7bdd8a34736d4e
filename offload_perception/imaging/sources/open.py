"""From the name of a camera source to the source."""

from pathlib import Path

from offload_perception.errors import SourceError
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.imaging.sources.base import Source
from offload_perception.imaging.sources.camera import CameraSource, check_device
from offload_perception.imaging.sources.folder import FolderSource, list_pictures, no_picture
from offload_perception.imaging.sources.pan import PanSource, photos_folder, photos_source
from offload_perception.imaging.sources.stream import StreamSource, check_stream, is_stream
from offload_perception.imaging.sources.terrain import TerrainSource, check_seed
from offload_perception.imaging.sources.turns import TurnsSource
from offload_perception.imaging.sources.video import VideoSource, check_file

USUAL_HZ = 10.0
"""How fast pictures and generated flights play where no rate is given."""
KINDS = ('/dev/videoN or v4l2:N (a camera), rtsp://, http://, udp:// and other streams, a '
         'GStreamer pipeline (gst:A ! B), PATH (a video file, a picture or a folder of pictures), '
         'pan:PATH (a flight over such pictures), photos (a flight over the sample photographs of '
         'scikit-learn), terrain or terrain:SEED (a generated flight), A+B (two of these in turn)')


def open_source(uri: str, *, width: int = 640, height: int = 480, rate_hz: float = 0.0,
                loop: bool = True, values: ValueRange = FULL_RANGE) -> Source:
    """Return the opened source that `uri` names, one of KINDS.

    Every frame is RGB of `height` x `width`. `rate_hz` is asked of a camera and sets how far a
    flight moves between two frames; 0 plays a video and a camera at their own speed, and all else
    at USUAL_HZ. Videos and pictures begin again after the last one unless `loop` is False.
    Deeper pictures than 8 bits are scaled from `values`. Raises SourceError with the remedy.
    """
    if width < 1 or height < 1 or not rate_hz >= 0:
        raise SourceError(f'a source of {width} x {height} at {rate_hz} Hz; sizes must be above '
                          '0, the rate not below')
    size = {'height': height, 'width': width}
    pace = {'rate_hz': rate_hz or USUAL_HZ}
    if parts := _in_turn(uri):
        return TurnsSource([open_source(part, **size, **pace, values=values) for part in parts],
                           **pace)
    kind, _, rest = uri.partition(':')
    if is_stream(uri):
        return StreamSource(uri, **size, rate_hz=rate_hz)
    if kind == 'terrain':
        return TerrainSource(rest, **size, **pace)
    if uri == 'photos':
        return photos_source(**size, **pace)
    if kind == 'pan' and rest:
        return PanSource(_existing(rest), **size, **pace, values=values)
    if device := _device(uri):
        return CameraSource(device, **size, rate_hz=rate_hz)
    path = _existing(uri)
    if _is_still(path):
        return FolderSource(path, **size, **pace, loop=loop, values=values)
    return VideoSource(path, **size, rate_hz=rate_hz, loop=loop)


def check_source(uri: str) -> None:
    """Raise SourceError where `uri` cannot be opened, as far as a look at files and devices tells.

    Decodes nothing, connects to nothing and takes milliseconds: for whoever wants to say so
    before long work.
    """
    kind, _, rest = uri.partition(':')
    if parts := _in_turn(uri):
        for part in parts:
            check_source(part)
    elif is_stream(uri):
        check_stream(uri)
    elif kind == 'terrain':
        check_seed(rest)
    elif uri == 'photos':
        photos_folder()
    elif kind == 'pan' and rest:
        list_pictures(_existing(rest))
    elif device := _device(uri):
        check_device(device)
    elif _is_still(path := _existing(uri)):
        list_pictures(path)
    else:
        check_file(path)


def _in_turn(uri: str) -> list[str]:
    """Return the parts of A+B, or none where `uri` names one source."""
    one = '+' not in uri or is_stream(uri) or Path(uri).expanduser().exists()
    return [] if one else uri.split('+')


def _device(uri: str) -> str:
    """Return the V4L2 device that `uri` names, or nothing."""
    kind, _, rest = uri.partition(':')
    if kind != 'v4l2' and not uri.startswith('/dev/video'):
        return ''
    return f'/dev/video{rest}' if rest.isdigit() else rest or uri


def _is_still(path: Path) -> bool:
    """Tell pictures from videos by their content; raises SourceError for what is neither."""
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
        raise SourceError(f'there is no camera source {name!r}: no such file. Known are: {KINDS}')
    return path
