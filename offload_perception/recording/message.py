"""A message in a bag, and which channels of a bag hold ROS 2 messages."""

import re
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import StringIO
from typing import Any

from offload_perception.errors import BagError, IncomingError
from offload_perception.recording.compression import message_bytes
from offload_perception.recording.definitions import MessageType, installed_type
from offload_perception.recording.library import load_decoder, load_records
from offload_perception.yaml_text import from_yaml

_TYPE = re.compile(r'[A-Za-z]\w*/(msg|srv|action)/[A-Za-z]\w*', re.ASCII)
_TOPIC = re.compile(r'(/[A-Za-z_]\w*)+', re.ASCII)
_ENCODINGS = ('ros2msg', 'ros2idl', '')  # '': sqlite3 bags before Iron have no definitions
_LAST_NS = 2**63 - 1


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


class Channel:
    """A topic within a file, ready to make messages; `foreign` says why it is not ROS 2."""

    def __init__(self, topic: str, kind: MessageType, *, encoding: str,
                 qos: list[dict[str, Any]]) -> None:
        self.topic, self.type, self._qos = topic, kind, qos
        self.foreign = _foreign(topic, kind, encoding)
        self._decoder: Callable[[bytes], Any] | None = None

    def message(self, time_ns: int, sent_ns: int, data: bytes) -> BagMessage:
        """Return a message; `data` may be compressed by itself.

        :raises BagError: if it cannot be one.
        """
        if not 0 <= time_ns <= _LAST_NS:
            raise BagError(f'{self.topic}: a message of the time {time_ns} ns')
        plain = message_bytes(data, self.topic)
        return BagMessage(self.topic, self.type, time_ns, sent_ns, plain, self._qos,
                          lambda: self._decode(plain))

    def _decode(self, data: bytes) -> Any:
        """Return the decoded message.

        :raises BagError: if it does not fit its definition, or there is none.
        """
        try:
            if self._decoder is None:
                self._decoder = _decoder_of(self.type)
            return self._decoder(data)
        except BagError:
            raise
        except Exception as e:  # a decoder may raise anything on invalid input
            raise BagError(f'{self.topic}: a message does not fit the definition of '
                           f'{self.type.name}: {e or type(e).__name__}') from e


@lru_cache(maxsize=256)  # a split bag defines its types in every file again
def _decoder_of(kind: MessageType) -> Callable[[bytes], Any]:
    if not kind.text:
        kind = installed_type(kind.name)
    if kind.encoding != 'ros2msg':
        raise BagError(f'the bag defines {kind.name} as {kind.encoding}, which cannot be decoded')
    schema = load_records().Schema(id=1, name=kind.name, encoding='ros2msg',
                                   data=kind.text.encode())
    with redirect_stderr(StringIO()):  # the library prints lines of the definition as they are
        decode: Callable[[bytes], Any] = load_decoder().DecoderFactory().decoder_for('cdr', schema)
    return decode


def _foreign(topic: str, kind: MessageType, encoding: str) -> str:
    """Return why the messages of a channel are not ROS 2; empty if they are."""
    if encoding != 'cdr':
        return f"encoded as '{encoding}', not as ROS 2's cdr"
    if not kind.name:
        return 'without a schema'
    if kind.encoding not in _ENCODINGS:
        return f"with a schema in '{kind.encoding}', which is none of ROS 2"
    if not _TYPE.fullmatch(kind.name):
        return f"of the type '{kind.name}', which is none of ROS 2"
    return '' if _TOPIC.fullmatch(topic) else 'whose name is no topic of ROS 2'


@lru_cache(maxsize=256)
def offered(profiles: str) -> list[dict[str, Any]]:
    """Return QoS profiles from the YAML text that a bag holds; none if it cannot be read."""
    try:
        found = from_yaml(profiles) or []
    except IncomingError:  # messages are still readable without a valid QoS
        return []
    return [p for p in found if isinstance(p, dict)] if isinstance(found, list) else []


def of_first_type(m: BagMessage, first: MessageType) -> bool:
    """Return whether a message is of the type that its topic had first.

    A definition that only one file of a bag has, or only one with a hash, is the same one.
    """
    if m.type is first or m.type == first:
        return True
    return m.type.name == first.name and (
        m.type.hash == first.hash if m.type.hash and first.hash
        else replace(m.type, hash='') == replace(first, hash=''))
