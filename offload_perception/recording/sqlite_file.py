"""Read one file of a bag that rosbag2 stored with sqlite3, by the library `rosbags`."""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from offload_perception.errors import BagError
from offload_perception.recording.compression import open_plain
from offload_perception.recording.definitions import MessageType
from offload_perception.recording.library import load_rosbag2
from offload_perception.recording.message import Channel
from offload_perception.recording.metadata import qos_profile

_ENCODINGS = {'MSG': 'ros2msg', 'IDL': 'ros2idl', 'NONE': ''}


def sqlite_messages(file: Path) -> Iterator[tuple[Channel, int, int, bytes]]:
    """Yield channel, time received and sent [ns] and data of each message of a file.

    sqlite3 bags do not hold the time of sending: it is taken to be that of reception.

    :raises BagError: if the file is damaged.
    """
    library = load_rosbag2()
    with ExitStack() as stack:
        try:
            plain = _plain(file, stack)
            _check_tables(plain)
            bag = stack.enter_context(library.Reader(plain))
            channels = {c.id: _channel(c) for c in bag.connections}
            for connection, time_ns, data in bag.messages():
                if not isinstance(time_ns, int):  # SQLite accepts any value in any column
                    raise BagError(f'{connection.topic}: a message of the time {time_ns}')
                yield channels[connection.id], time_ns, time_ns, data
        except BagError:
            raise
        except Exception as e:  # a database may raise anything on invalid input
            raise BagError(f'{file} is broken: {e or type(e).__name__}') from e


def _plain(file: Path, stack: ExitStack) -> Path:
    """Return the file, or a copy that is not compressed: sqlite3 reads no streams."""
    if file.suffix != '.zstd':
        return file
    copy = Path(stack.enter_context(TemporaryDirectory()), file.stem)
    with file.open('rb') as raw, copy.open('wb') as out:
        shutil.copyfileobj(open_plain(raw, True), out)
    return copy


def _check_tables(file: Path) -> None:
    """Refuse a database that computes what it gives out: gigabytes from a few bytes."""
    with closing(sqlite3.connect(f'{file.absolute().as_uri()}?immutable=1', uri=True)) as base:
        for kind, sql in base.execute('SELECT type, sql FROM sqlite_master'):
            if kind not in ('table', 'index') or re.search(r'\b(AS|VIRTUAL)\b', sql or '', re.I):
                raise BagError(f'{file} is no bag: it computes its messages')


def _channel(c: Any) -> Channel:
    if not isinstance(c.topic, str) or not isinstance(c.msgtype, str):
        raise BagError(f'a topic {c.topic} of the type {c.msgtype}')
    kind = MessageType(c.msgtype, c.msgdef.data, c.digest, _ENCODINGS[c.msgdef.format.name])
    return Channel(c.topic, kind, encoding=c.ext.serialization_format, qos=[
        qos_profile(reliable=q.reliability.name == 'RELIABLE',
                    latched=q.durability.name == 'TRANSIENT_LOCAL', depth=q.depth)
        for q in c.ext.offered_qos_profiles])
