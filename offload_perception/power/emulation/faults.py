"""What can go wrong between a meter and its reader, as changes to one reply."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from offload_perception.errors import ConfigError
from offload_perception.power.drivers.um25c import FRAME_LENGTH, decode, encode, seal

LINE_BYTES_PER_S = 960
"""9600 baud, ten bits to the byte."""
_PIECE_BYTES = 20  # most in one piece, as a notification of Bluetooth LE
_Lie = dict[str, Any]
_LIES: tuple[_Lie, ...] = (  # of fields that the plausibility check compares
    {'power_w': 500.0}, {'voltage_v': 60.0})
_ODD_FIELDS: tuple[_Lie, ...] = (
    {'temperature_f': 300}, {'backlight': 200}, {'d_plus_v': 33.0}, {'data_group': 77})


class Fault(Enum):
    """The faults; the value is the name on the command line and in control messages."""

    SILENCE = 'silence'
    GARBAGE = 'garbage'
    TRUNCATION = 'truncation'
    IMPLAUSIBLE = 'implausible'
    ODD_FIELD = 'odd-field'
    WRONG_ID = 'wrong-id'
    WRONG_TAIL = 'wrong-tail'
    SLOW = 'slow'
    FRAGMENTS = 'fragments'
    DISCONNECT = 'disconnect'


def fault_named(name: str) -> Fault:
    """Look up a fault; `ConfigError` lists the known ones."""
    try:
        return Fault(name)
    except ValueError:
        known = ', '.join(fault.value for fault in Fault)
        raise ConfigError(f'unknown fault {name!r}: known are {known}') from None


@dataclass(frozen=True)
class Piece:
    """Bytes, and how many seconds after the piece before (or the request) they are sent."""

    after_s: float
    data: bytes


def reply(frame: bytes, fault: Fault | None, random_: random.Random) -> list[Piece]:
    """Return what a meter with this fault sends for `frame`, paced like 9600 baud."""
    damaged = _damage(frame, fault, random_)
    sizes = [random_.randint(1, _PIECE_BYTES) if fault is Fault.FRAGMENTS else _PIECE_BYTES
             for _ in range(FRAME_LENGTH * 2)]
    pieces = _cut(damaged, sizes)
    if fault is Fault.SLOW and pieces:
        pieces[0] = replace(pieces[0], after_s=random_.uniform(0.3, 1.5))
    return pieces


def _damage(frame: bytes, fault: Fault | None, random_: random.Random) -> bytes:
    if fault in (Fault.SILENCE, Fault.DISCONNECT):
        return b''
    if fault is Fault.GARBAGE:
        return random_.randbytes(random_.randint(1, 60)) + frame
    if fault is Fault.TRUNCATION:
        return frame[:random_.randint(1, FRAME_LENGTH - 1)]
    if fault is Fault.IMPLAUSIBLE:
        return _with_one_of(_LIES, frame, random_)
    if fault is Fault.ODD_FIELD:
        return _with_one_of(_ODD_FIELDS, frame, random_)
    if fault is Fault.WRONG_ID:
        return b'\xff\xff' + frame[2:]
    if fault is Fault.WRONG_TAIL:
        return frame[:-2] + bytes(byte ^ 0xFF for byte in frame[-2:])
    return frame


def _with_one_of(lies: Sequence[_Lie], frame: bytes, random_: random.Random) -> bytes:
    """Change one value to something that cannot be, with a tail that fits."""
    return seal(encode(replace(decode(frame), **random_.choice(lies))))


def _cut(data: bytes, sizes: list[int]) -> list[Piece]:
    pieces = []
    for size in sizes:
        if not data:
            break
        pieces.append(Piece(len(data[:size]) / LINE_BYTES_PER_S, data[:size]))
        data = data[size:]
    return pieces
