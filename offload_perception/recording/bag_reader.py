"""Read a bag, message by message: whole ones, killed ones, and those of `ros2 bag record`."""

from collections.abc import Iterator
from pathlib import Path

from offload_perception.errors import BagError
from offload_perception.incoming import text
from offload_perception.recording.definitions import MessageType
from offload_perception.recording.files import being_written, files_of
from offload_perception.recording.mcap_file import CutOff, mcap_messages
from offload_perception.recording.message import BagMessage, Channel, of_first_type
from offload_perception.recording.sqlite_file import sqlite_messages


class BagReader:
    """Iterates over a bag's messages in the order of the files; a bag may be read many times.

    Storage is MCAP or sqlite3, compressed as a whole, by chunks, by messages or not at all. After
    an iteration `truncated` names the files that end before their footer, as after kill -9 or a
    power cut, `growing` those that our recorder still writes: everything before that point was
    yielded. `left_out` has the topics and files without ROS 2 messages, with the reason. A file
    that is damaged in the middle raises BagError there.
    """

    def __init__(self, path: str | Path) -> None:
        """Find the files of the bag at `path`: a bag's folder, or one of its files.

        :raises BagError: if there is none, or the bag is of another storage.
        """
        self.path = Path(path)
        found = files_of(self.path)
        self.files = found.files
        self._beside = {f.name: 'a file that is not in metadata.yaml' for f in found.beside}
        self._forget()

    def _forget(self) -> None:
        self.truncated: list[Path] = []
        self.growing: list[Path] = []
        self.left_out = dict(self._beside)
        self._types: dict[str, MessageType] = {}

    def __iter__(self) -> Iterator[BagMessage]:
        self._forget()
        for file in self.files:
            yield from self._messages_of(file)

    def _messages_of(self, file: Path) -> Iterator[BagMessage]:
        read = sqlite_messages if '.db3' in file.suffixes else mcap_messages
        try:
            for channel, time_ns, sent_ns, data in read(file):
                if channel.foreign:
                    self._leave_out(channel, channel.foreign)
                elif self._fits(m := channel.message(time_ns, sent_ns, data)):
                    yield m
                else:
                    self._leave_out(channel, f'of the type {channel.type.name}, but the topic '
                                             'began with another definition')
        except CutOff:
            (self.growing if being_written(file) else self.truncated).append(file)
        except OSError as e:
            raise BagError(f'{file} cannot be read: {e.strerror}') from e

    def _leave_out(self, channel: Channel, reason: str) -> None:
        self.left_out.setdefault(text(channel.topic), text(reason))

    def _fits(self, m: BagMessage) -> bool:
        return of_first_type(m, self._types.setdefault(m.topic, m.type))

    @property
    def notes(self) -> list[str]:
        """Return in words what the last iteration has left out, and which files have no end."""
        return [*(f'{name} is left out: {reason}' for name, reason in self.left_out.items()),
                *(f'{file} ends early: its recorder was killed' for file in self.truncated),
                *(f'{file} is still being recorded' for file in self.growing)]
