"""The Monsoon source against a stand-in of its package."""

import errno
import queue
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from unit.power.monsoon_stand_in import CHANNELS, USB_PASSTHROUGH, StandIn

from offload_perception.errors import MeterError
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.monsoon import open_monsoon, open_monsoon_source
from offload_perception.power.drivers.samples import State
from offload_perception.power.energy.power_trace import PowerTrace

PATIENCE_S = 10.0


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    for name, module in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    yield stand_in
    stand_in.release.set()


def test_measures_and_does_nothing_else(device: StandIn) -> None:
    """The stand-in fails the test on setVout, on default scales and on cutting USB power."""
    meter = open_monsoon()
    meter.start()
    block = meter.collect(500)
    meter.close()
    assert block.current_a == pytest.approx(np.full(503, 0.2585))
    assert block.power_w == pytest.approx(np.full(503, 1.2925))
    assert not device.console
    assert (device.sampling, device.closed) == (False, 1)
    assert device.passthrough == USB_PASSTHROUGH.On


def test_times_are_even_and_monotonic(device: StandIn) -> None:
    meter = open_monsoon()
    meter.start()
    block = meter.collect(100)
    step_s = block.times_s[1] - block.times_s[0]
    assert step_s >= 0.0002 and np.diff(block.times_s) == pytest.approx(step_s)
    trace = PowerTrace(block.times_s, block.power_w, clock_s=0.0)
    assert trace.drawn_j(block.times_s[[10, 60]]) == pytest.approx([1.2925 * 50 * step_s])


def test_usb_channel_is_enabled(device: StandIn) -> None:
    open_monsoon(channel='usb')
    assert {CHANNELS.USBCurrent, CHANNELS.USBVoltage} <= device.enabled


def test_a_read_gives_the_means_and_the_curve_of_a_block(device: StandIn) -> None:
    meter = open_monsoon_source('17')
    sample = meter.read()
    assert device.sampling and meter.description == 'Monsoon HVPM 17'
    assert (sample.voltage_v, sample.current_a, sample.power_w) == pytest.approx(
        (5.0, 0.2585, 1.2925))
    assert sample.curve.times_s[0] < sample.t_s < sample.curve.times_s[-1]
    assert sample.curve.powers_w == pytest.approx(np.full(503, 1.2925))
    device.dropped = 5
    assert [meter.take_counts().dropped for _ in range(2)] == [5, 0]


@pytest.mark.parametrize('text', ['', 'x', '-1', '1' * 11, '5/aux', '٣'])
def test_a_source_that_names_no_monsoon(device: StandIn, text: str) -> None:
    with pytest.raises(MeterError, match=r'serial number|choose one of main, usb'):
        open_monsoon_source(text)


def test_number_0_is_the_first_monsoon(device: StandIn) -> None:
    assert open_monsoon_source('0/usb').description == 'Monsoon HVPM'
    assert {CHANNELS.USBCurrent, CHANNELS.USBVoltage} <= device.enabled


def test_dropped_samples_are_reported(device: StandIn) -> None:
    device.dropped = 17
    assert open_monsoon().collect(10).dropped == 17


def test_missing_device(device: StandIn) -> None:
    device.present = False
    with pytest.raises(MeterError, match=r'no Monsoon with serial number 123 .*udev'):
        open_monsoon(123)


@pytest.mark.parametrize(('error', 'words'), [
    (OSError(errno.EACCES, 'Access denied'), 'no permission.*2ab9'),
    (ValueError('No backend available'), 'libusb'),
    (AttributeError('ctrl_transfer'), 'cable'),
    (IndexError('short packet'), 'cable'),
])
def test_failures_of_the_usb_library(device: StandIn, error: Exception, words: str) -> None:
    device.connect_error = error
    with pytest.raises(MeterError, match=words):
        open_monsoon()


def test_device_that_does_not_calibrate(device: StandIn) -> None:
    device.calibrates = False
    with pytest.raises(MeterError, match='did not calibrate'):
        open_monsoon().start()


def test_unknown_channel() -> None:
    with pytest.raises(MeterError, match='main, usb'):
        open_monsoon(channel='aux')


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'Monsoon', None)
    with pytest.raises(MeterError, match='pip install monsoon'):
        open_monsoon()


def test_reader_collects_and_comes_back_after_a_failure(device: StandIn) -> None:
    blocks, events = queue.Queue(), []
    reader = MeterReader(open_monsoon, blocks.put, events.append, back_off_s=(0.001, 0.01))
    reader.start()
    blocks.get(timeout=PATIENCE_S)
    device.collect_error = OSError('unplugged')
    while reader.counters.errors.get('lost', 0) == 0:
        blocks.get(timeout=PATIENCE_S)
    blocks.get(timeout=PATIENCE_S)
    assert reader.stop()
    assert [e.kind for e in events[:2]] == ['connected', 'lost']
    assert reader.status.state is State.STOPPED
    assert device.closed == 2


def test_absurd_samples_are_refused_and_counted(device: StandIn) -> None:
    device.current_ma = -500.0
    told = queue.Queue()
    published = []
    reader = MeterReader(open_monsoon, published.append, told.put)
    reader.start()
    first = told.get(timeout=PATIENCE_S)
    assert reader.stop()
    assert first.kind == 'failed' and 'the right way round' in first.message
    assert reader.counters.errors['refused: out of range'] >= 1
    assert not published


def test_times_stretch_over_what_was_dropped(device: StandIn) -> None:
    times_s = iter([10.0, 11.0])
    meter = open_monsoon()
    meter._clock = lambda: next(times_s)
    block = meter.collect(497)
    assert np.diff(block.times_s) == pytest.approx(1.0 / 500)


def test_sampling_that_never_returns_is_reported_and_holds_nothing_up(device: StandIn) -> None:
    now_s = [0.0]

    def take(_: object) -> None:
        device.never_returns.set()

    reader = MeterReader(open_monsoon, take, lambda _: None, clock=lambda: now_s[0],
                         deadline_s=5.0)
    reader.start()
    assert device.stuck.wait(PATIENCE_S)
    before = reader.status
    assert before.state is State.MEASURING
    now_s[0] = 6.0
    assert reader.status.state is State.FAULTY
    assert 'switch the meter off' in reader.status.message
    assert not reader.stop()
    samples = reader.counters.samples
    device.release.set()
    reader._supervisor._worker._thread.join(PATIENCE_S)
    assert reader.stop() and reader.counters.samples == samples  # what came later is nobody's
