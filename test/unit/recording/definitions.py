"""A small message type for bags in tests: a header, a number, some bytes."""

import struct

from offload_perception.recording.definitions import MessageType, concatenated

_FILES = {
    'demo_msgs/msg/Note': 'Stamp at  # when\nuint32 number\nuint8[] data\nstring WHO="me"\n',
    'demo_msgs/msg/Stamp': 'builtin_interfaces/Time time\n',
    'builtin_interfaces/msg/Time': 'int32 sec\nuint32 nanosec\n',
}
NOTE = MessageType('demo_msgs/msg/Note', concatenated('demo_msgs/msg/Note', _FILES.__getitem__),
                   'RIHS01_' + '0' * 64)


def note(number: int, data: bytes = b'') -> bytes:
    """Return a Note as CDR."""
    return struct.pack('<4siIII', b'\0\1\0\0', 7, 8, number, len(data)) + data
