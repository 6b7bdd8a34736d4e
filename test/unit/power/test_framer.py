from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from unit.power.um_frames import UM34C_CAPTURE, reading

from offload_perception.power.drivers.framer import Framer
from offload_perception.power.drivers.um25c import FRAME_LENGTH, encode

FRAME = encode(reading())


def noise(**sizes: Any) -> Any:
    """Bytes in which no id word begins."""
    return st.binary(**sizes).map(lambda b: b.replace(b'\x09', b'\x0a').replace(b'\x0d', b'\x0e'))


@given(noise(max_size=60), noise(max_size=60), st.integers(1, 140))
def test_frames_are_found_between_noise_in_pieces_of_any_size(
        before: bytes, between: bytes, size: int) -> None:
    stream = before + FRAME + between + UM34C_CAPTURE
    framer = Framer()
    found = [f for i in range(0, len(stream), size) for f in framer.feed(stream[i:i + size])]
    assert found == [FRAME, UM34C_CAPTURE]
    assert framer.garbage_bytes == len(before) + len(between)
    assert framer.short_frames == 0


@given(st.integers(2, FRAME_LENGTH - 1))
def test_stump_of_a_reply_does_not_swallow_the_next_one(length: int) -> None:
    framer = Framer()
    assert framer.feed(FRAME[:length] + FRAME) == [FRAME]
    assert (framer.short_frames, framer.garbage_bytes) == (1, length)


@given(st.binary(max_size=3000))
def test_every_byte_is_accounted_for_and_little_is_held(data: bytes) -> None:
    framer = Framer()
    frames = framer.feed(data)
    assert 0 < framer.missing_bytes <= FRAME_LENGTH
    framer.flush()
    assert FRAME_LENGTH * len(frames) + framer.garbage_bytes == len(data)


def test_wrong_tail_is_left_to_the_caller() -> None:
    wrong = FRAME[:-2] + b'\0\0'
    assert Framer().feed(wrong + FRAME) == [wrong, FRAME]


def test_flush_counts_what_was_begun() -> None:
    framer = Framer()
    framer.feed(FRAME[:50])
    framer.flush()
    assert (framer.short_frames, framer.garbage_bytes) == (1, 50)
    assert framer.feed(FRAME) == [FRAME]


def test_id_word_cut_in_two() -> None:
    framer = Framer()
    assert framer.feed(b'\x01\x02' + FRAME[:1]) == []
    assert framer.feed(FRAME[1:]) == [FRAME]
    assert framer.garbage_bytes == 2
