"""From the name of a camera source to the source."""

from pathlib import Path

from offload_perception.errors import SourceError
from offload_perception.imaging.sources.base import Source
from offload_perception.imaging.sources.camera import CameraSource
from offload_perception.imaging.sources.folder import SUFFIXES, FolderSource
from offload_perception.imaging.sources.pan import PanSource, photos_source
from offload_perception.imaging.sources.terrain import TerrainSource
from offload_perception.imaging.sources.turns import TurnsSource
from offload_perception.imaging.sources.video import VideoSource

KINDS = ('/dev/videoN or v4l2:N (a camera), PATH (a video file, a picture or a folder of '
         'pictures), pan:PATH (a flight over such pictures), photos (a flight over the sample '
         'photographs of scikit-learn), terrain or terrain:SEED (a generated flight), A+B (two of '
         'these in turn)')


def open_source(uri: str, *, width: int = 640, height: int = 480,
                rate_hz: float = 10.0) -> Source:
    """Return the opened source that `uri` names, one of KINDS.

    Every frame is RGB of `height` x `width`. `rate_hz` is asked of a camera and sets how far
    a flight moves between two frames. Raises SourceError with the remedy.
    """
    if width < 1 or height < 1 or not rate_hz > 0:
        raise SourceError(f'a source of {width} x {height} at {rate_hz} Hz; all must be above 0')
    if '+' in uri and not Path(uri).expanduser().exists():
        return TurnsSource([open_source(part, width=width, height=height, rate_hz=rate_hz)
                            for part in uri.split('+')], rate_hz=rate_hz)
    size = {'height': height, 'width': width}
    kind, _, rest = uri.partition(':')
    if kind == 'terrain':
        return TerrainSource(rest, **size)
    if uri == 'photos':
        return photos_source(**size, rate_hz=rate_hz)
    if kind == 'pan' and rest:
        return PanSource(_existing(rest), **size, rate_hz=rate_hz)
    if kind == 'v4l2' or uri.startswith('/dev/video'):
        device = f'/dev/video{rest}' if rest.isdigit() else rest or uri
        return CameraSource(device, **size, rate_hz=rate_hz)
    path = _existing(uri)
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return FolderSource(path, **size)
    return VideoSource(path, **size)


def _existing(name: str) -> Path:
    """Return the file or folder `name`; raises SourceError with the possible kinds."""
    path = Path(name).expanduser()
    if not name or not path.exists():
        raise SourceError(f'there is no camera source {name!r}: no such file. Known are: {KINDS}')
    return path
