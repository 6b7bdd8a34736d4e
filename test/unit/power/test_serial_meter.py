"""The driver against a scripted port: what each way of answering becomes."""

from typing import Any, cast

import pytest
from serial import Serial
from unit.power.um_frames import UM34C_CAPTURE, UM34C_WRONG_CHECKSUM, reading

from offload_perception.power.drivers import commands
from offload_perception.power.drivers.meter import COMMAND_PAUSE_S, SerialMeter, UmMeter
from offload_perception.power.drivers.power_meter import (
    Cancelled,
    LinkCounts,
    LinkLost,
    MeterSilent,
    ReadingRefused,
    ShortReply,
    WrongDevice,
)
from offload_perception.power.drivers.um25c import UM34C, encode, seal

FRAME = encode(reading())


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class ScriptedPort:
    """Answers the n-th request with the n-th reply; a read without bytes takes 0.1 s."""

    port = '/dev/scripted'

    def __init__(self, clock: Clock, replies: tuple[bytes, ...]) -> None:
        self._clock, self._replies, self.input = clock, list(replies), b''
        self.written, self.written_at_s, self.closed = b'', [], False

    @property
    def in_waiting(self) -> Any:
        return len(self.input)

    def reset_input_buffer(self) -> None:
        self.input = b''

    def write(self, data: bytes) -> None:
        self.written += data
        self.written_at_s.append(self._clock())
        if data == commands.READ and self._replies:
            self.input += self._replies.pop(0)

    def read(self, size: int) -> bytes:
        if not self.input:
            self._clock.now_s += 0.1
        data, self.input = self.input[:size], self.input[size:]
        return data

    def close(self) -> None:
        self.closed = True


def meter_with(*replies: bytes, **options: Any) -> tuple[SerialMeter, ScriptedPort, Clock]:
    clock = Clock()
    port = ScriptedPort(clock, replies)
    meter = SerialMeter(cast(Serial, port), clock=clock, **options)
    clock.now_s += 1.0  # the module has settled
    return meter, port, clock


def test_reading() -> None:
    meter, port, _ = meter_with(FRAME)
    assert meter.read() == reading()
    assert port.written == commands.READ
    assert meter.model.name == 'UM25C'
    assert meter.take_counts() == LinkCounts()


def test_reading_between_noise_counts_the_noise_once() -> None:
    meter, _, _ = meter_with(b'\x01\x02\x03' + FRAME, FRAME)
    assert meter.read() == reading()
    assert meter.take_counts() == LinkCounts(garbage_bytes=3)
    meter.read()
    assert meter.take_counts() == LinkCounts()


def test_silence_lasts_until_the_timeout() -> None:
    meter, _, clock = meter_with(timeout_s=1.0)
    with pytest.raises(MeterSilent, match='powered'):
        meter.read()
    assert clock.now_s == pytest.approx(2.0, abs=0.11)


def test_short_reply_and_recovery() -> None:
    meter, _, _ = meter_with(FRAME[:77], FRAME)
    with pytest.raises(ShortReply, match='77 bytes'):
        meter.read()
    assert meter.take_counts() == LinkCounts(garbage_bytes=77, short_frames=1)
    assert meter.read() == reading()


def test_another_device() -> None:
    meter, _, _ = meter_with(b'$GPGGA,123519,4807.038,N,01131.000,E*47\r\n')
    with pytest.raises(WrongDevice, match='another device'):
        meter.read()


def test_late_bytes_are_no_answer_to_the_next_request() -> None:
    meter, port, _ = meter_with(FRAME)
    port.input = encode(reading(current_a=0.2, power_w=1.0))
    assert meter.read() == reading()
    assert meter.take_counts() == LinkCounts(garbage_bytes=130)


def test_implausible_reading_is_refused() -> None:
    meter, _, _ = meter_with(encode(reading(power_w=3.0)), FRAME)
    with pytest.raises(ReadingRefused, match='voltage times current') as refused:
        meter.read()
    assert refused.value.kind == 'refused: power is not voltage times current'
    assert meter.read() == reading()


@pytest.mark.parametrize(('odd', 'unknown'), [
    ({'temperature_c': 5, 'temperature_f': 23}, ('temperature_c', 'temperature_f')),
    ({'backlight': 200}, ('backlight',))])
def test_a_field_that_cannot_be_costs_no_reading(odd: dict[str, Any],
                                                 unknown: tuple[str, ...]) -> None:
    meter, _, _ = meter_with(encode(reading(**odd)))
    shown = meter.read()
    assert shown.unknown == unknown and shown.power_w == 2.0


def test_wrong_tail_is_a_warning_or_with_strict_a_refusal() -> None:
    wrong = FRAME[:-2] + b'\0\0'
    meter, _, _ = meter_with(wrong)
    meter.read()
    assert meter.take_counts() == LinkCounts(tail_warnings=1)
    with pytest.raises(ReadingRefused, match='tail'):
        meter_with(wrong, strict_tail=True)[0].read()


def test_um34c_checksum_is_always_checked() -> None:
    assert meter_with(UM34C_CAPTURE)[0].read().model == UM34C
    with pytest.raises(ReadingRefused, match='checksum'):
        meter_with(UM34C_WRONG_CHECKSUM)[0].read()
    assert meter_with(seal(UM34C_CAPTURE[:-1] + b'\0'))[0].read().model == UM34C


@pytest.mark.parametrize('method', ['read', 'write'])
@pytest.mark.parametrize('error', [OSError('gone'), TypeError('fd is None')])
def test_dead_port_is_a_lost_link(method: str, error: Exception) -> None:
    def fail(_: Any) -> None:
        raise error

    meter, port, _ = meter_with(FRAME)
    setattr(port, method, fail)
    with pytest.raises(LinkLost, match='supply may be lost'):
        meter.read()


def test_nothing_is_sent_unasked() -> None:
    meter, port, _ = meter_with(FRAME)
    meter.read()
    meter.close()
    assert port.written == commands.READ


def test_command_is_followed_by_a_pause() -> None:
    meter, port, clock = meter_with(FRAME)
    waited = []

    def wait(timeout: float | None = None) -> bool:
        waited.append(timeout)
        clock.now_s += timeout or 0.0
        return False
    meter._cancelled.wait = wait
    meter.send(commands.NEXT_SCREEN)
    meter.read()
    assert waited[-1] == COMMAND_PAUSE_S
    assert port.written_at_s[1] - port.written_at_s[0] >= COMMAND_PAUSE_S


def test_counters_may_go_back_after_clearing() -> None:
    meter, port, clock = meter_with(FRAME, encode(reading(groups=reading().groups[:9] + (
        type(reading().groups[0])(0, 0),))))
    meter.read()
    meter.send(commands.CLEAR_DATA_GROUP)
    clock.now_s += 1.0
    assert meter.read().groups[9].energy_mwh == 0
    assert port.written == commands.READ + commands.CLEAR_DATA_GROUP + commands.READ


def test_what_was_ordered_goes_out_before_the_next_reading_and_nothing_else() -> None:
    serial, port, clock = meter_with(FRAME, FRAME)
    meter = UmMeter(serial, 'UM25C here')
    meter.read()
    assert port.written == commands.READ and meter.take_counts().commands == 0
    meter.orders.put(commands.NEXT_SCREEN)
    clock.now_s += 1.0
    serial._cancelled.wait = lambda timeout=None: False
    sample = meter.read()
    assert port.written == commands.READ + commands.NEXT_SCREEN + commands.READ
    assert meter.take_counts().commands == 1 and meter.take_counts() == LinkCounts()
    assert sample.t_s == serial.asked_s and sample.reading == reading()


def test_cancelled_meter_ends_at_once() -> None:
    meter, port, clock = meter_with(FRAME)
    meter.cancel()
    before_s = clock()
    with pytest.raises(Cancelled):
        meter.read()
    assert clock() == before_s
    meter.close()
    meter.close()
    assert port.closed
