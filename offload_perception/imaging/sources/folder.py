"""Pictures of a folder, shown one after the other."""

from pathlib import Path

import numpy as np

from offload_perception.errors import ImageError, SourceError
from offload_perception.imaging.compressed import decode_image
from offload_perception.imaging.fit import fit
from offload_perception.imaging.sources.base import Source

SUFFIXES = frozenset({'.jpg', '.jpeg', '.png', '.webp'})


class PictureLoop:
    """The readable pictures of a folder, or one picture, in the order of their names, looped.

    A picture that cannot be read is left out and counted in `skipped` each time round.
    """

    def __init__(self, path: str | Path, *, at_least: tuple[int, int]) -> None:
        """List the folder; raises SourceError if no picture in it can be read.

        Large JPEGs may come reduced, though not below `at_least` (height, width).
        """
        self.files, self._at_least = list_pictures(path), at_least
        self._next = self.skipped = 0
        self.next()  # so that a folder of broken pictures is refused at once
        self._next = self.skipped = 0

    def next(self) -> np.ndarray:
        """Return the next readable picture as RGB, looking at each file at most once."""
        problem: SourceError | None = None
        for _ in self.files:
            file = self.files[self._next]
            self._next = (self._next + 1) % len(self.files)
            try:
                return read_picture(file, at_least=self._at_least)
            except SourceError as e:
                problem, self.skipped = e, self.skipped + 1
        raise SourceError(f'none of the {len(self.files)} pictures can be read; '
                          f'the last: {problem}')


class FolderSource(Source):
    """The pictures of a folder, or one picture, each fitted to the size."""

    def __init__(self, path: str | Path, *, height: int, width: int) -> None:
        """List the folder; raises SourceError if no picture in it can be read."""
        super().__init__()
        self._size = (height, width)
        self._loop = PictureLoop(path, at_least=self._size)
        self.description = f'{len(self._loop.files)} picture(s) of {path}, looped'

    @property
    def skipped(self) -> int:
        """Return how often a broken picture was left out."""
        return self._loop.skipped

    def _picture(self, index: int) -> tuple[np.ndarray, None]:
        return fit(self._loop.next(), *self._size), None


def list_pictures(path: str | Path) -> list[Path]:
    """Return the picture files of a folder sorted by name, or the one file that `path` is."""
    path = Path(path).expanduser()
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as e:
        raise SourceError(f'cannot list {path}: {e.strerror}') from e
    pictures = [f for f in files if f.suffix.lower() in SUFFIXES]
    if not pictures:
        raise SourceError(f'no pictures ({", ".join(sorted(SUFFIXES))}) in {path}; '
                          f'put some there or name another folder')
    return pictures


def read_picture(file: Path, *, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """Return a picture file as RGB, (H, W, 3) uint8; raises SourceError naming the file."""
    try:
        return decode_image(file.read_bytes(), at_least=at_least)
    except OSError as e:
        raise SourceError(f'cannot read {file}: {e.strerror}') from e
    except ImageError as e:
        raise SourceError(f'cannot read {file}: {e}') from e
