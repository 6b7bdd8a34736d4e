"""The files of a bag: those that its metadata.yaml names, not others in its folder."""

import fcntl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from offload_perception.errors import BagError
from offload_perception.incoming import text
from offload_perception.recording.metadata import FILE_NAME
from offload_perception.yaml_text import from_yaml

_MOST_METADATA = 1 << 20  # [bytes]
_SUFFIXES = ('.mcap', '.db3', '.mcap.zstd', '.db3.zstd')
_MODES = ('', 'none', 'file', 'message')


@dataclass(frozen=True)
class BagFiles:
    """The files of a bag in their order; `beside` are other bag files in the folder."""

    files: list[Path]
    beside: list[Path] = field(default_factory=list)


def files_of(path: Path) -> BagFiles:
    """Return the files of the bag at `path`: a bag's folder, or one file of a bag.

    Without metadata.yaml, as after a killed `ros2 bag record`, all files of the folder are taken.

    :raises BagError: if there is no bag, or one that cannot be read.
    """
    if path.is_file():
        if not _is_storage(path):
            raise BagError(f'{path} is no MCAP file and no sqlite3 file of a bag; name a bag '
                           'folder, an .mcap or a .db3 file')
        return BagFiles([path])
    if not path.is_dir():
        raise BagError(f'there is no bag {path}')
    found = sorted((f for f in path.iterdir() if _is_storage(f)), key=_number)
    if (path / FILE_NAME).is_file():
        named = [path / name for name in _named(path / FILE_NAME)]
        return BagFiles([_existing(f, found) for f in named],
                        [f for f in found if not _same(f, named)])
    if not found:
        raise BagError(f'{path} holds no .mcap and no .db3 file')
    return BagFiles(found)


def being_written(file: Path) -> bool:
    """Return whether our recorder has this file of a bag open now."""
    with file.open('rb') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _is_storage(file: Path) -> bool:
    return file.name.endswith(_SUFFIXES) and file.is_file()


def _same(file: Path, named: list[Path]) -> bool:
    return file in named or file.with_suffix('') in named


def _existing(file: Path, found: list[Path]) -> Path:
    """Return a named file of those found, without asking the system for a name from outside.

    rosbag2 names a compressed one with and without its last suffix.
    """
    for candidate in (file, file.with_name(f'{file.name}.zstd'), file.with_suffix('')):
        if candidate in found:
            return candidate
    raise BagError(f'{file} is missing, which {FILE_NAME} of the bag names; read the files that '
                   'are left one by one')


def _named(metadata: Path) -> list[str]:
    """Return the names of the files of a bag, checked.

    :raises BagError: if metadata.yaml is none, or the bag is of another storage.
    """
    info = _information(metadata)
    storage = str(info.get('storage_identifier'))
    mode, kind = (str(info.get(f'compression_{x}') or '').lower() for x in ('mode', 'format'))
    if storage not in ('mcap', 'sqlite3'):
        raise BagError(f'{metadata.parent} is of the storage {text(storage)}; convert it with '
                       'ros2 bag convert')
    if mode not in _MODES or (mode in ('file', 'message') and kind != 'zstd'):
        raise BagError(f"{metadata.parent} is compressed in mode '{text(mode)}' with "
                       f"'{text(kind)}'; only zstd is known: convert it with ros2 bag convert")
    names = info.get('relative_file_paths')
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise BagError(f'{metadata} names no files; remove it to read those of the folder')
    return list(dict.fromkeys(PurePath(n).name for n in names))


def _information(metadata: Path) -> Mapping[str, Any]:
    try:
        if metadata.stat().st_size > _MOST_METADATA:
            raise ValueError('too large')
        info = from_yaml(metadata.read_text())['rosbag2_bagfile_information']
        if not isinstance(info, dict):
            raise ValueError('no mapping')
        return info
    except Exception as e:  # a parser may raise anything on invalid input
        raise BagError(f'{metadata} cannot be read ({type(e).__name__}); remove it to read the '
                       'files of the folder') from e


def _number(file: Path) -> tuple[int, str]:
    """Order the parts of a split bag: NAME_2 before NAME_10."""
    tail = file.name.partition('.')[0].rpartition('_')[2]
    return (int(tail) if tail.isdecimal() else 0), file.name
