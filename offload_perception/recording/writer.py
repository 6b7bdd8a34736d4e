"""Write a bag that stays readable if the recorder is killed: rosbag2's layout, MCAP files."""

import fcntl
import itertools
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from offload_perception.errors import BagError
from offload_perception.recording.definitions import MessageType
from offload_perception.recording.library import load_mcap
from offload_perception.recording.metadata import FileSpan, Topic, write_metadata

Buffer = bytes | bytearray | memoryview


def free_bytes(path: Path) -> int:
    """Return the space left for `path` on its file system [bytes]."""
    return shutil.disk_usage(path).free


def unused(folder: str) -> Path:
    """Return the folder, or if there is one, the first of FOLDER_2, FOLDER_3 .. that is not."""
    numbers = itertools.count(2)
    path = Path(folder)
    while path.exists():
        path = Path(f'{folder.rstrip("/")}_{next(numbers)}')
    return path


class BagWriter:
    """A bag being written; not thread-safe.

    What was written before the last `flush` survives kill -9: MCAP is read from its start, and a
    flush ends the current chunk and hands it to the kernel. `close` adds index and footer, and
    the counts in metadata.yaml.
    """

    def __init__(self, folder: str | Path, *, max_file_bytes: int = 1 << 30,
                 min_free_bytes: int = 0, compress: bool = True,
                 free: Callable[[Path], int] = free_bytes) -> None:
        """Make the bag's folder and its first file.

        :param max_file_bytes: a file that has grown beyond is closed, and a new one opened.
        :param min_free_bytes: less space than this on the disk ends the recording.
        :raises BagError: if the folder exists or cannot be made, or the disk is full; there is
            no folder then.
        """
        self.folder = Path(folder)
        self._max_file_bytes, self._min_free_bytes, self._free = (
            max_file_bytes, min_free_bytes, free)
        self._mcap = load_mcap()
        self._compression = (self._mcap.CompressionType.ZSTD if compress
                             else self._mcap.CompressionType.NONE)
        self._topics: dict[str, tuple[Topic, MessageType]] = {}
        self._files: list[FileSpan] = []
        self._stream: BinaryIO | None = None
        self._writer: Any = None
        self._closed = False
        self._begin()

    @property
    def messages(self) -> int:
        """Return how many messages were written."""
        return sum(f.messages for f in self._files)

    def add_topic(self, name: str, kind: MessageType, qos: list[dict[str, Any]]) -> None:
        """Announce a topic before its first message; `qos` are its publishers' profiles."""
        topic = Topic(name, kind.name, kind.hash, qos)
        self._topics[name] = topic, kind
        self._register(topic, kind)

    def write(self, topic: str, data: Buffer, time_ns: int, sent_ns: int | None = None) -> None:
        """Write a serialized (CDR) message, received at `time_ns` and sent at `sent_ns`."""
        assert self._stream is not None
        if self._stream.tell() > self._max_file_bytes:
            self._close_file()
            self._open_file()
        self._writer.add_message(self._channels[topic], log_time=time_ns, data=data,
                                 publish_time=time_ns if sent_ns is None else sent_ns)
        self._files[-1].add(topic, time_ns)

    def flush(self) -> None:
        """Make what was written so far safe from kill -9; call it about once a second.

        :raises BagError: if the disk is nearly full; the bag is complete and closed then.
        """
        self._writer.flush()
        if problem := self._disk_problem(self.folder):
            self.close()
            raise BagError(f'recording ended: {problem}')

    def _disk_problem(self, folder: Path) -> str:
        left = self._free(folder)
        if left >= self._min_free_bytes:
            return ''
        return (f'{left / 1e6:.0f} MB are left for {self.folder}, less than the '
                f'{self._min_free_bytes / 1e6:.0f} MB to be kept free; free some space, or record '
                'elsewhere')

    def close(self) -> None:
        """Finish the bag; may run twice."""
        if not self._closed:
            self._closed = True
            try:
                self._close_file()
            finally:
                self._write_metadata()

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- files ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Make the folder and the first file, or nothing at all."""
        if self.folder.exists():
            raise BagError(f'{self.folder} exists; name a folder that does not exist yet')
        missing = [f for f in (self.folder, *self.folder.parents) if not f.exists()]
        try:
            if problem := self._disk_problem(missing[-1].absolute().parent):
                raise BagError(f'nothing is recorded: {problem}')
            self.folder.mkdir(parents=True)
            self._open_file()
        except OSError as e:
            self._undo(missing)
            raise BagError(f'cannot make the bag {self.folder}: {e.strerror}; free some space, '
                           'or name another folder') from e

    def _undo(self, folders: list[Path]) -> None:
        """Remove an unfinished bag; `folders` were made for it, the innermost first."""
        self._closed = True
        with suppress(OSError):
            if self._stream is not None:
                self._stream.close()
        with suppress(OSError):
            shutil.rmtree(self.folder)
            for folder in folders[1:]:
                folder.rmdir()

    def _open_file(self) -> None:
        name = f'{self.folder.resolve().name}_{len(self._files)}.mcap'
        self._stream = stream = (self.folder / name).open('xb')
        with suppress(OSError):  # a file system without locks; readers ask `being_written`
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._writer = self._mcap.Writer(stream, compression=self._compression)
        self._writer.start(profile='ros2', library='offload_perception')
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._channels: dict[str, int] = {}
        self._files.append(FileSpan(name))
        for topic, kind in self._topics.values():
            self._register(topic, kind)
        self._write_metadata()

    def _register(self, topic: Topic, kind: MessageType) -> None:
        schema = kind.name, kind.encoding or 'ros2msg', kind.text.encode()
        if schema not in self._schemas:
            self._schemas[schema] = self._writer.register_schema(*schema)
        self._channels[topic.name] = self._writer.register_channel(
            topic.name, 'cdr', self._schemas[schema], {
                'offered_qos_profiles': yaml.safe_dump(topic.qos), 'topic_type_hash': topic.hash})

    def _close_file(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and self._stream is not None:
            with self._stream:
                writer.finish()

    def _write_metadata(self) -> None:
        write_metadata(self.folder, (t for t, _ in self._topics.values()), self._files,
                       os.environ.get('ROS_DISTRO', ''))
