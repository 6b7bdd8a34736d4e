from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.power.um_frames import UM34C_CAPTURE, UM34C_WITHOUT_TAIL, UM34C_WRONG_CHECKSUM, reading

from offload_perception.errors import MeterError
from offload_perception.power.drivers.um25c import (
    MODELS,
    UM24C,
    UM25C,
    UM34C,
    Accumulator,
    Model,
    Reading,
    decode,
    encode,
    seal,
    tail_is_right,
)

WORD, LONG = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
SIGNED = st.integers(-0x8000, 0x7FFF)
ACCUMULATORS = st.builds(Accumulator, LONG, LONG)


@st.composite
def readings(draw: Any) -> Any:
    model = draw(st.sampled_from(list(MODELS.values())))
    return Reading(
        model, draw(WORD) / model.counts_per_volt, draw(WORD) / model.counts_per_ampere,
        draw(LONG) / 1000, draw(SIGNED), draw(SIGNED), draw(WORD),
        draw(st.tuples(*[ACCUMULATORS] * 10)), draw(WORD) / 100, draw(WORD) / 100, draw(WORD),
        draw(ACCUMULATORS), draw(WORD) / 100, draw(LONG), draw(st.booleans()), draw(WORD),
        draw(WORD), draw(LONG) / 10, draw(WORD), draw(WORD))


@given(readings())
def test_decode_undoes_encode(given_reading: Reading) -> None:
    assert decode(encode(given_reading)) == given_reading


@given(st.sampled_from(list(MODELS.values())), st.binary(min_size=128, max_size=128))
def test_encode_undoes_decode(model: Model, payload: bytes) -> None:
    frame = bytearray(model.id_bytes + payload)
    frame[116:118] = b'\x00\x01'  # the one field that is not a number
    assert encode(decode(bytes(frame))) == frame


def test_captured_um34c_reply() -> None:
    r = decode(UM34C_CAPTURE)
    assert (r.model, r.voltage_v, r.current_a, r.power_w) == (UM34C, 5.01, 0.142, 0.711)
    assert (r.temperature_c, r.temperature_f, r.resistance_ohm) == (27, 81, 35.2)
    assert (r.data_group, r.selected) == (1, Accumulator(charge_mah=7, energy_mwh=39))
    assert (r.d_plus_v, r.d_minus_v, r.charging_mode_name) == (0.02, 0.01, 'DCP 1.5 A')
    assert (r.recorded, r.record_threshold_a) == (Accumulator(7, 37), 0.19)
    assert (r.recorded_time_s, r.recording) == (70, False)
    assert (r.screen_timeout_min, r.backlight, r.screen) == (1, 4, 0)
    assert encode(r) == UM34C_CAPTURE


def test_published_um34c_sample_without_tail() -> None:
    r = decode(UM34C_WITHOUT_TAIL + b'\0\0')
    assert (r.voltage_v, r.current_a, r.power_w) == (5.08, 0.023, 0.116)
    assert (r.temperature_c, r.temperature_f, r.resistance_ohm) == (33, 92, 220.8)
    assert (r.d_plus_v, r.record_threshold_a, r.groups[0]) == (2.89, 0.3, Accumulator(34, 173))


def test_um25c_has_ten_times_finer_volts_and_amperes() -> None:
    r = decode(UM25C.id_bytes + UM34C_CAPTURE[2:])
    assert (r.voltage_v, r.current_a, r.power_w) == (0.501, 0.0142, 0.711)


def test_all_fields_are_unsigned() -> None:
    """5 A, the rating of a UM25C, is the word 50000: negative if it were read as signed."""
    frame = bytearray(encode(reading()))
    frame[4:6] = (50000).to_bytes(2, 'big')
    assert decode(bytes(frame)).current_a == 5.0


def test_temperatures_below_zero() -> None:
    """-5 deg C is sent as 65531: the encoding is not published, two's complement is the usual."""
    frame = bytearray(encode(reading()))
    frame[10:14] = (65531).to_bytes(2, 'big') + (23).to_bytes(2, 'big')
    assert (decode(bytes(frame)).temperature_c, decode(bytes(frame)).temperature_f) == (-5, 23)


def test_um34c_checksum() -> None:
    assert tail_is_right(UM34C_CAPTURE)
    assert not tail_is_right(UM34C_WRONG_CHECKSUM)
    assert seal(UM34C_WRONG_CHECKSUM)[-1] == 0x0C


def test_constant_tail_of_the_others() -> None:
    for model in (UM24C, UM25C):
        frame = encode(reading(model, tail=0))
        assert not tail_is_right(frame)
        assert seal(frame)[-2:] == b'\xff\xf1'
        assert tail_is_right(seal(frame))


def test_charge_and_energy_in_si_units() -> None:
    counted = Accumulator(charge_mah=1000, energy_mwh=5000)
    assert counted.charge_c == pytest.approx(3600)
    assert counted.energy_j == pytest.approx(18000)


def test_unknown_charging_mode_keeps_its_number() -> None:
    r = decode(encode(reading(charging_mode=65535)))
    assert (r.charging_mode, r.charging_mode_name) == (65535, 'unknown')


@pytest.mark.parametrize(('frame', 'words'), [
    (b'\x09\xc9' + b'\0' * 127, 'not 129'),
    (b'\xff\xff' + b'\0' * 128, '0xffff is none of UM24C, UM25C, UM34C'),
])
def test_not_a_reply(frame: bytes, words: str) -> None:
    with pytest.raises(MeterError, match=words):
        decode(frame)


def test_value_beyond_its_field() -> None:
    with pytest.raises(MeterError, match='does not fit'):
        encode(reading(voltage_v=66.0))
