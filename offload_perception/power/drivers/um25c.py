"""The wire format of the RDTech UM24C, UM25C and UM34C USB meters: bytes to `Reading` and back.

The meter answers the one-byte command F0 with 130 bytes, big-endian and unsigned throughout; only
the temperatures, which the specification lets fall to -10 deg C, are read as signed here (how a
meter encodes them below zero is not published).
Layout and scales were compared over independent implementations: rdserialtool
(`rdserial/um/__init__.py`), libsigrok (`src/hardware/rdtech-um/protocol.c`, also the source of the
UM34C checksum) and pyummeter. No byte capture of a UM25C is public, so its layout rests on their
agreement; a UM34C capture is public and is one of this module's tests.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce

from offload_perception.errors import MeterError

FRAME_LENGTH = 130
GROUP_COUNT = 10
COULOMBS_PER_MAH = 3.6
JOULES_PER_MWH = 3.6
CONSTANT_TAIL = 0xFFF1  # of UM24C and UM25C; the UM34C has a checksum there
CHARGING_MODES = (
    'unknown', 'QC 2.0', 'QC 3.0', 'Apple 2.4 A', 'Apple 2.1 A', 'Apple 1.0 A', 'Apple 0.5 A',
    'DCP 1.5 A', 'Samsung',
)

_LAYOUT = struct.Struct('>HHHIhhH' + 'II' * GROUP_COUNT + 'HHHIIHIHHHIHH')
_FIRST_GROUP = 7
_AFTER_GROUPS = _FIRST_GROUP + 2 * GROUP_COUNT
_CHECKSUM_AT = 129
_CHECKSUM_OVER = (
    1, 3, 7, 9, 15, 17, 19, 23, 31, 39, 41, 45, 49, 53, 55, 57, 59, 63, 67, 69, 73, 79, 83, 89, 97,
    99, 109, 111, 113, 119, 121, 127,
)


@dataclass(frozen=True)
class Model:
    """One meter of the family: its id word and the counts that make one volt and one ampere."""

    name: str
    id_word: int
    counts_per_volt: int
    counts_per_ampere: int
    has_checksum: bool = False

    @property
    def id_bytes(self) -> bytes:
        """The two bytes that every reply of this model begins with."""
        return self.id_word.to_bytes(2, 'big')


UM24C = Model('UM24C', 0x0963, 100, 1000)
UM25C = Model('UM25C', 0x09C9, 1000, 10000)
UM34C = Model('UM34C', 0x0D4C, 100, 1000, has_checksum=True)
MODELS = {model.name: model for model in (UM24C, UM25C, UM34C)}
_BY_ID = {model.id_word: model for model in MODELS.values()}


@dataclass(frozen=True)
class Accumulator:
    """Charge and energy that the meter has counted, in its own units and in SI."""

    charge_mah: int = 0
    energy_mwh: int = 0

    @property
    def charge_c(self) -> float:
        """Charge in coulombs."""
        return self.charge_mah * COULOMBS_PER_MAH

    @property
    def energy_j(self) -> float:
        """Energy in joules."""
        return self.energy_mwh * JOULES_PER_MWH


@dataclass(frozen=True)
class Reading:
    """All fields of one reply, in SI units (except minutes).

    None = unknown: the reply had an impossible value (see `plausibility`).
    """

    model: Model
    voltage_v: float
    current_a: float
    power_w: float
    temperature_c: int | None
    temperature_f: int | None
    data_group: int | None
    groups: tuple[Accumulator, ...]
    d_plus_v: float | None
    d_minus_v: float | None
    charging_mode: int
    recorded: Accumulator
    record_threshold_a: float | None
    recorded_time_s: int
    recording: bool
    screen_timeout_min: int | None
    backlight: int | None
    resistance_ohm: float | None
    screen: int
    tail: int = CONSTANT_TAIL

    @property
    def charging_mode_name(self) -> str:
        """The charging mode in words; 'unknown' for a number without a known meaning."""
        known = self.charging_mode < len(CHARGING_MODES)
        return CHARGING_MODES[self.charging_mode] if known else CHARGING_MODES[0]

    @property
    def selected(self) -> Accumulator | None:
        """The counters of the data group that the meter is adding to; None = not known which."""
        return None if self.data_group is None else self.groups[self.data_group]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of the fields that are not known."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is None)


def model_of(frame: bytes) -> Model:
    """Return the model for the id word; `MeterError` for an id that is none of the family."""
    id_word = int.from_bytes(frame[:2], 'big')
    if id_word not in _BY_ID:
        raise MeterError(
            f'id word {id_word:#06x} is none of {", ".join(MODELS)}: another device is on this '
            'port, or the bytes are damaged')
    return _BY_ID[id_word]


def decode(frame: bytes) -> Reading:
    """Turn the 130 bytes of one reply into a `Reading`; the tail is kept, not judged.

    Raises `MeterError` for another length or an unknown id word.
    """
    if len(frame) != FRAME_LENGTH:
        raise MeterError(f'a reply has {FRAME_LENGTH} bytes, not {len(frame)}: ask again')
    model = model_of(frame)
    words = _LAYOUT.unpack(frame)
    temperature_c, temperature_f, data_group = words[4:_FIRST_GROUP]
    return Reading(
        model,
        words[1] / model.counts_per_volt,
        words[2] / model.counts_per_ampere,
        words[3] / 1000,
        temperature_c, temperature_f, data_group,
        _groups(words[_FIRST_GROUP:_AFTER_GROUPS]),
        *_decode_rest(*words[_AFTER_GROUPS:]),
    )


def encode(reading: Reading) -> bytes:
    """Turn a `Reading` into the 130 bytes that a meter would send for it: the inverse of `decode`.

    Raises `MeterError` if a value is not known or does not fit its field.
    """
    if reading.unknown:
        raise MeterError(f'no frame without {", ".join(reading.unknown)}: give every field')
    assert reading.d_plus_v is not None and reading.d_minus_v is not None
    assert reading.record_threshold_a is not None and reading.resistance_ohm is not None
    model = reading.model
    counters = [n for g in reading.groups for n in (g.charge_mah, g.energy_mwh)]
    words = (
        model.id_word,
        round(reading.voltage_v * model.counts_per_volt),
        round(reading.current_a * model.counts_per_ampere),
        round(reading.power_w * 1000),
        reading.temperature_c, reading.temperature_f, reading.data_group, *counters,
        round(reading.d_plus_v * 100), round(reading.d_minus_v * 100), reading.charging_mode,
        reading.recorded.charge_mah, reading.recorded.energy_mwh,
        round(reading.record_threshold_a * 100), reading.recorded_time_s, int(reading.recording),
        reading.screen_timeout_min, reading.backlight, round(reading.resistance_ohm * 10),
        reading.screen, reading.tail,
    )
    try:
        return _LAYOUT.pack(*words)
    except struct.error as e:
        raise MeterError(f'the reading does not fit the frame ({e}): keep values in range') from e


def tail_is_right(frame: bytes) -> bool:
    """Whether the end of a whole frame is what its model sends.

    A checksum on the UM34C, the constant FF F1 on the others: there it proves nothing about the
    values, so a damaged UM25C frame can only be caught by plausibility.
    """
    if model_of(frame).has_checksum:
        return frame[_CHECKSUM_AT] == _checksum(frame)
    return int.from_bytes(frame[-2:], 'big') == CONSTANT_TAIL


def seal(frame: bytes) -> bytes:
    """Return the frame with the tail that its model sends: checksum or constant."""
    if model_of(frame).has_checksum:
        return frame[:_CHECKSUM_AT] + bytes([_checksum(frame)])
    return frame[:-2] + CONSTANT_TAIL.to_bytes(2, 'big')


def _checksum(frame: bytes) -> int:
    return reduce(lambda total, at: total ^ frame[at], _CHECKSUM_OVER, 0)


def _groups(words: Sequence[int]) -> tuple[Accumulator, ...]:
    return tuple(Accumulator(*pair) for pair in zip(words[::2], words[1::2], strict=True))


def _decode_rest(
    d_plus: int, d_minus: int, mode: int, charge: int, energy: int, threshold: int, seconds: int,
    recording: int, timeout: int, backlight: int, resistance: int, screen: int, tail: int,
) -> tuple[float, float, int, Accumulator, float, int, bool, int, int, float, int, int]:
    """Scale the fields after the groups, in the order of `Reading`."""
    return (
        d_plus / 100, d_minus / 100, mode, Accumulator(charge, energy), threshold / 100, seconds,
        bool(recording), timeout, backlight, resistance / 10, screen, tail,
    )
