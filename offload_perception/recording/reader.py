"""Read a bag, message by message: whole ones, killed ones, and those of `ros2 bag record`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from offload_perception.errors import BagError
from offload_perception.recording.definitions import MessageType
from offload_perception.recording.library import load_decoder, load_stream_reader
from offload_perception.recording.metadata import FILE_NAME


@dataclass(frozen=True)
class BagMessage:
    """A serialized message of a bag; times in nanoseconds since the epoch."""

    topic: str
    type: MessageType
    time_ns: int
    sent_ns: int
    data: bytes = field(repr=False)
    qos: list[dict[str, Any]] = field(repr=False)
    decode: Callable[[], Any] = field(repr=False, compare=False)


class BagReader:
    """Iterates over a bag's messages in the order of the files; a bag may be read many times.

    After an iteration `truncated` names the files that end before their footer, as after
    kill -9 or a power cut: everything before that point was yielded. A file that is damaged in
    its midst raises BagError there.
    """

    def __init__(self, path: str | Path) -> None:
        """Find the files of the bag at `path`: a bag's folder, or one .mcap file.

        :raises BagError: where there is none, or the bag is of another storage.
        """
        self.path = Path(path)
        self.files = _files_of(self.path)
        self.truncated: list[Path] = []
        self._stream_reader, decoder = load_stream_reader(), load_decoder()
        self._factory = decoder.DecoderFactory

    def __iter__(self) -> Iterator[BagMessage]:
        self.truncated = []
        for file in self.files:
            yield from self._messages_of(file)

    def _messages_of(self, file: Path) -> Iterator[BagMessage]:
        schemas: dict[int, Any] = {}
        channels: dict[int, _Channel] = {}
        factory = self._factory()
        for record in self._records(file):
            kind = type(record).__name__
            if kind == 'Schema':
                schemas[record.id] = record
            elif kind == 'Channel' and record.id not in channels:
                channels[record.id] = _Channel(record, schemas.get(record.schema_id), factory)
            elif kind == 'Message':
                yield channels[record.channel_id].message(record)

    def _records(self, file: Path) -> Iterator[Any]:
        """Yield the records of a file up to its footer, or to where it was cut off."""
        with file.open('rb') as stream:
            try:
                yield from self._stream_reader.StreamReader(
                    _WholeReads(stream), validate_crcs=True).records
            except _CutOff:
                self.truncated.append(file)
            except Exception as e:  # whatever a decoder says of nonsense
                if stream.read().strip(b'\0'):
                    raise BagError(f'{file} is broken: {e or type(e).__name__}') from e
                self.truncated.append(file)  # a power cut leaves zeros where data was to come


class _CutOff(Exception):
    """A file ends within a record."""


class _WholeReads:
    """A stream that never returns less than it was asked for, as a cut-off file would."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, length: int) -> bytes:
        data = self._stream.read(length)
        if len(data) < length:
            raise _CutOff
        return data


class _Channel:
    """A topic within a file, ready to make messages."""

    def __init__(self, channel: Any, schema: Any, factory: Any) -> None:
        self._topic = channel.topic
        name, text = (schema.name, schema.data.decode()) if schema else ('', '')
        self._type = MessageType(name, text, channel.metadata.get('topic_type_hash', ''))
        self._qos = yaml.safe_load(channel.metadata.get('offered_qos_profiles') or '[]') or []
        self._find_decoder = lambda: factory.decoder_for(channel.message_encoding, schema)

    def message(self, record: Any) -> BagMessage:
        return BagMessage(self._topic, self._type, record.log_time, record.publish_time,
                          record.data, self._qos, lambda: self._decode(record.data))

    def _decode(self, data: bytes) -> Any:
        decoder = self._find_decoder()
        if decoder is None:
            raise BagError(f'{self._topic}: no ros2msg definition of {self._type.name} in the bag')
        return decoder(data)


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix != '.mcap':
            raise BagError(f'{path} is no MCAP file; name a bag folder or an .mcap file')
        return [path]
    if not path.is_dir():
        raise BagError(f'there is no bag {path}')
    files = sorted(path.glob('*.mcap'), key=_number)
    if not files:
        raise BagError(f'{path} holds no .mcap file{_storage(path)}')
    return files


def _number(file: Path) -> tuple[int, str]:
    """Order the parts of a split bag: NAME_2 before NAME_10."""
    tail = file.stem.rpartition('_')[2]
    return (int(tail) if tail.isdecimal() else 0), file.name


def _storage(folder: Path) -> str:
    """Say what to do about a bag of another storage."""
    try:
        info = yaml.safe_load((folder / FILE_NAME).read_text())['rosbag2_bagfile_information']
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return ''
    return (f' (storage {info.get("storage_identifier")}, compression '
            f'{info.get("compression_mode") or "none"}); convert it with ros2 bag convert')
