"""Bags of made-up flights, written without ROS."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from offload_perception.recording import BagWriter, MessageType

_MSG = Path(__file__).parents[3] / 'msg'


def _store(lacking: Collection[str] = ()) -> Any:
    """Return the message types; `lacking` are names of fields that an earlier version had not."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(_MSG.glob('*.msg')):
        lines = [line for line in path.read_text().splitlines()
                 if line.split()[1:2] not in [[name] for name in lacking]]
        store.register(get_types_from_msg('\n'.join(lines), f'offload_perception/msg/{path.stem}'))
    return store


_STORE = _store()
_TIME = _STORE.types['builtin_interfaces/msg/Time']
_HEADER = _STORE.types['std_msgs/msg/Header']
_EMPTY = {'string': '', 'bool': False}
START_NS = 10**18
NAN = float('nan')


def header(stamp: int = 0) -> Any:
    return _HEADER(stamp=_TIME(sec=stamp, nanosec=0), frame_id='camera')


def message(name: str, /, **fields: Any) -> Any:
    """Return a message of this package, or of another as package/msg/Name; the rest is empty."""
    name = name if '/' in name else f'offload_perception/msg/{name}'
    values = {f: fields.pop(f, _default(kind)) for f, kind in _STORE.fielddefs[name][1]}
    assert not fields, f'{name} has no {set(fields)}'
    return _STORE.types[name](**values)


def _default(kind: tuple[Any, Any]) -> Any:
    number, detail = kind
    if number == 1:
        return _EMPTY.get(detail[0] if isinstance(detail, tuple) else detail, 0)
    if number == 2:
        return message(detail)
    element = detail[0][1]
    return [] if element[0] == 'string' or isinstance(element, str) else np.zeros(0, element[0])


class FlightBag:
    """A bag that takes messages, recorded by a version without the fields `lacking`."""

    def __init__(self, folder: Path, lacking: Collection[str] = ()) -> None:
        self._bag, self._known = BagWriter(folder), set()
        self._store = _store(lacking) if lacking else _STORE

    def add(self, topic: str, m: Any, t_s: float) -> None:
        name = m.__msgtype__
        if topic not in self._known:
            self._known.add(topic)
            text, _ = self._store.generate_msgdef(name, ros_version=2)
            self._bag.add_topic(topic, MessageType(name, text, ''), [])
        data = bytes(self._store.serialize_cdr(m, name))
        self._bag.write(topic, data, START_NS + round(t_s * 1e9))

    def __enter__(self) -> 'FlightBag':
        return self

    def __exit__(self, *_: Any) -> None:
        self._bag.close()


def frame(sequence: int, outcome: int, total: float, **fields: Any) -> Any:
    """Return a FrameLatency with a deadline of 0.1 s; stages that are not given are short."""
    stages = {s: 0.001 for s in ('queue', 'preprocess', 'head', 'encode', 'link', 'server_wait',
                                 'decode', 'tail')}
    return message('FrameLatency', **{
        'header': header(sequence), 'sequence': sequence, 'outcome': outcome, 'split': 14,
        'split_name': 'block4_pool', 'runtime': 'litert', 'device': 'cpu', **stages,
        'total': total, 'bytes': 1000, 'deadline': 0.1,
        'deadline_met': outcome != 2 and total <= 0.1, 'captured': sequence, **fields})
