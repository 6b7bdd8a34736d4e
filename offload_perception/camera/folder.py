"""Pictures of a folder, shown one after the other."""

from pathlib import Path

import numpy as np

from offload_perception.camera.source import Source
from offload_perception.errors import ImageError, SourceEnded, SourceError
from offload_perception.imaging.compressed import decode_image
from offload_perception.imaging.encodings import FULL_RANGE, ValueRange
from offload_perception.imaging.resize import fit
from offload_perception.pictures import DECODERS, MAX_PIXELS, Bound, kind_of
from offload_perception.pictures.kind import HEAD

_LARGEST = 4 * MAX_PIXELS  # bytes; a larger file is not read into memory
_HEIC = 'HEIC, which is not decoded; convert it, for example `heif-convert a.heic a.jpg`'


class PictureLoop:
    """The readable pictures of a folder, or one picture, in the order of their names.

    What cannot be read is named in `left_out`, and counted in `skipped` each time round.
    """

    def __init__(self, path: str | Path, *, at_least: tuple[int, int], loop: bool = True,
                 values: ValueRange = FULL_RANGE) -> None:
        """List the folder; raises SourceError if no picture in it can be read.

        Large JPEGs may come reduced, though not below `at_least` (height, width). The files are
        recognised by their content, whatever their names say.
        """
        self.files, self.left_out = list_pictures(path)
        self._at_least, self._endless, self._values = at_least, loop, values
        self._next = self.skipped = 0
        self.next()  # so that a folder of broken pictures is refused at once
        self._next = self.skipped = 0

    def next(self) -> np.ndarray:
        """Return the next readable picture as RGB, looking at each file at most once.

        :raises SourceEnded: after the last one, if they are not to be shown again.
        """
        for _ in self.files:
            if self._next == len(self.files) and not self._endless:
                raise SourceEnded('all pictures were shown')
            file = self.files[self._next % len(self.files)]
            self._next = self._next % len(self.files) + 1
            try:
                return read_picture(file, at_least=self._at_least, values=self._values)
            except SourceError as e:
                self.left_out[file.name], self.skipped = str(e), self.skipped + 1
        if not self._endless:
            raise SourceEnded('all pictures were shown')
        raise SourceError(f'none of the {len(self.files)} pictures can be read; '
                          f'the last: {self.left_out[file.name]}')


class FilesSource(Source):
    """A source that shows the pictures of its `_loop`."""

    _loop: PictureLoop

    @property
    def left_out(self) -> dict[str, str]:
        """Return which files are not shown, and why."""
        return self._loop.left_out.copy()

    @property
    def skipped(self) -> int:
        """Return how often a broken picture was left out."""
        return self._loop.skipped


class FolderSource(FilesSource):
    """The pictures of a folder, or one picture, each fitted to the size."""

    def __init__(self, path: str | Path, *, height: int, width: int, rate_hz: float,
                 loop: bool = True, values: ValueRange = FULL_RANGE) -> None:
        """List the folder; raises SourceError if no picture in it can be read."""
        super().__init__()
        self._size, self.rate_hz = (height, width), rate_hz
        self._loop = PictureLoop(path, at_least=self._size, loop=loop, values=values)
        self.description = (f'{len(self._loop.files)} picture(s) of {path}, '
                            f'{"looped" if loop else "once"}')

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        return fit(self._loop.next(), *self._size), None


def list_pictures(path: str | Path) -> tuple[list[Path], dict[str, str]]:
    """Return the picture files of a folder sorted by name, and what is left out and why.

    `path` may be one file. Hidden files and folders inside are ignored.

    :raises SourceError: if there is no picture, naming what is there.
    """
    path = Path(path).expanduser()
    try:
        files = sorted(f for f in path.iterdir() if f.is_file() and f.name[0] != '.') \
            if path.is_dir() else [path]
        reasons = {file: no_picture(file) for file in files}
    except OSError as e:
        raise SourceError(f'cannot list {path}: {e.strerror}') from e
    left_out = {file.name: why for file, why in reasons.items() if why}
    if len(left_out) == len(files):
        found = '; '.join(f'{name} is {why}' for name, why in list(left_out.items())[:3])
        raise SourceError(f'no pictures ({", ".join(DECODERS)}) in {path}; put some there or name '
                          f'another folder. {found}')
    return [file for file in files if not reasons[file]], left_out


def no_picture(file: Path) -> str:
    """Return why a file is not a usable picture, by its content; empty if it is one."""
    kind = kind_of(head_of(file))
    if kind in DECODERS:
        return ''
    return _HEIC if kind == 'heic' else kind or 'no picture'


def head_of(file: Path) -> bytes:
    """Return the first bytes of a file, which identify it; none if it cannot be read."""
    try:
        with open(file, 'rb') if file.is_file() else open('/dev/null', 'rb') as f:
            return f.read(HEAD)
    except OSError:
        return b''


def read_picture(file: Path, *, at_least: tuple[int, int] | None = None,
                 values: ValueRange = FULL_RANGE) -> np.ndarray:
    """Return a picture file as RGB, (H, W, 3) uint8; raises SourceError naming the file."""
    try:
        if file.stat().st_size > _LARGEST:
            raise SourceError(f'cannot read {file}: above {_LARGEST >> 20} MB')
        return decode_image(file.read_bytes(), bound=Bound.of_files(at_least), values=values)
    except OSError as e:
        raise SourceError(f'cannot read {file}: {e.strerror}') from e
    except ImageError as e:
        raise SourceError(f'cannot read {file}: {e}') from e
