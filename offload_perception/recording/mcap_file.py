"""Read one MCAP file from its start, so that one without an end is read too."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from offload_perception.errors import BagError
from offload_perception.recording.compression import LARGEST, chunk_bytes, open_plain
from offload_perception.recording.definitions import MessageType
from offload_perception.recording.library import MissingLibrary, load_stream_reader
from offload_perception.recording.message import Channel, offered

_END = b'\x89MCAP0\r\n'
_FOOTER = b'\x02\x14' + bytes(7)  # opcode and length; 20 bytes and `_END` follow
_PIECE = 1 << 20


class CutOff(Exception):
    """A file ends before its footer; all that came before was yielded."""


def mcap_messages(file: Path) -> Iterator[tuple[Channel, int, int, bytes]]:
    """Yield channel, time received and sent [ns] and data of each message of a file.

    :raises CutOff: at the end of a file without a footer.
    :raises BagError: if the file is damaged.
    """
    schemas: dict[int, Any] = {}
    channels: dict[int, Channel] = {}
    for record in _records(file):
        kind = type(record).__name__
        if kind == 'Schema':
            schemas[record.id] = record
        elif kind == 'Channel' and record.id not in channels:
            channels[record.id] = _channel(record, schemas.get(record.schema_id))
        elif kind == 'Message':
            if (channel := channels.get(record.channel_id)) is None:
                raise BagError(f'{file} is broken: a message of no channel')
            yield channel, record.log_time, record.publish_time, record.data


def _channel(record: Any, schema: Any) -> Channel:
    kind = MessageType('', '') if schema is None else MessageType(
        schema.name, schema.data.decode(errors='replace'),
        record.metadata.get('topic_type_hash', ''), schema.encoding)
    return Channel(record.topic, kind, encoding=record.message_encoding,
                   qos=offered(record.metadata.get('offered_qos_profiles', '')))


def _records(file: Path) -> Iterator[Any]:
    """Yield the records of a file up to its footer, those of chunks one by one."""
    compressed = file.suffix == '.zstd'
    with file.open('rb') as raw:
        stream = open_plain(raw, compressed)
        whole = not compressed and _has_end(file)
        try:
            yield from _unpacked(_WholeReads(stream))
        except _EndOfFile:
            if whole:
                raise BagError(f'{file} is broken: a record is longer than the file') from None
            raise CutOff from None
        except MissingLibrary:
            raise
        except Exception as e:  # a decoder may raise anything on invalid input
            if whole or not _only_zeros(stream):
                raise BagError(f'{file} is broken: {e or type(e).__name__}') from e
            raise CutOff from None  # a power cut leaves zeros where data was to come


def _unpacked(stream: '_WholeReads') -> Iterator[Any]:
    library = load_stream_reader()
    reader = library.StreamReader(stream, emit_chunks=True, validate_crcs=True,
                                  record_size_limit=LARGEST)
    for record in reader.records:
        if type(record).__name__ == 'Chunk':
            plain = chunk_bytes(record.data, record.compression, record.uncompressed_size)
            _check_lengths(plain)
            yield from library.breakup_chunk(replace(record, data=plain, compression=''),
                                             validate_crc=True)
        else:
            yield record


def _check_lengths(records: bytes) -> None:
    """Refuse a chunk whose records do not fill it; the library would cut the last one short."""
    at = 0
    while at < len(records):
        at += 9 + struct.unpack_from('<Q', records, at + 1)[0]
    if at != len(records):
        raise BagError('a record is longer than its chunk')


def _has_end(file: Path) -> bool:
    with file.open('rb') as stream, suppress(OSError):
        stream.seek(-len(_FOOTER) - 20 - len(_END), 2)
        last = stream.read()
        return last.startswith(_FOOTER) and last.endswith(_END)
    return False


def _only_zeros(stream: Any) -> bool:
    return all(not piece.strip(b'\0') for piece in iter(lambda: stream.read(_PIECE), b''))


class _EndOfFile(Exception):
    """A file ends within a record."""


class _WholeReads:
    """A stream that returns the requested bytes or raises; only received bytes take memory."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, length: int) -> bytes:
        if length > LARGEST:  # the library bounds a record, but not what it says of its parts
            raise BagError(f'a part of a record of {length} bytes')
        pieces: list[bytes] = []
        while (left := length - sum(map(len, pieces))) > 0:
            piece = self._stream.read(min(left, _PIECE))
            if not piece:
                raise _EndOfFile
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)
