"""The reader against fake meters: every poll is accounted for, whatever the meter does."""

import threading
from dataclasses import replace
from math import isnan, nan
from typing import Any

import numpy as np
import pytest
from unit.power.fake_meters import ScriptedMeter
from unit.power.um_frames import reading

from offload_perception.errors import MeterError
from offload_perception.power.drivers.meter import UmMeter
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.power_meter import (
    Cancelled,
    LinkCounts,
    LinkLost,
    MeterSilent,
    PowerMeter,
    ReadingRefused,
    ShortReply,
    pace_hz,
)
from offload_perception.power.drivers.samples import Sample, SampleStream, State, merged

PATIENCE_S = 10.0


class FakeMeter(PowerMeter):
    """Plays a script of readings and errors, then hangs until it is cancelled."""

    description, rate_hz, no_load, waits = 'fake meter', 1000.0, UmMeter.no_load, True

    def __init__(self, *script: Any) -> None:
        self.script, self.asked_s, self.closed = list(script), 0.0, False
        self._stream = SampleStream()
        self._cancelled = threading.Event()
        self.hanging = threading.Event()

    def read(self) -> Sample:
        self.asked_s += 0.5
        if not self.script:
            self.hanging.set()
            assert self._cancelled.wait(PATIENCE_S)
            raise Cancelled('closing')
        if isinstance(step := self.script.pop(0), Exception):
            raise step
        return self._stream.take(self.asked_s, step)

    def take_counts(self) -> Any:
        return LinkCounts(garbage_bytes=1)

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self.closed = True


def run(*meters: Any) -> Any:
    """Run a reader over the meters until the last one has played its script; return all of it."""
    samples, events, waiting = [], [], list(meters)

    def open_next() -> Any:
        meter = waiting.pop(0)
        if isinstance(meter, Exception):
            raise meter
        return meter

    reader = MeterReader(open_next, samples.append, events.append, back_off_s=(0.001, 0.01))
    reader.start()
    assert meters[-1].hanging.wait(PATIENCE_S)
    status = reader.status
    assert reader.stop()
    return reader, samples, events, status


def test_readings_become_samples() -> None:
    meter = FakeMeter(reading(), reading(current_a=0.2, power_w=1.0))
    reader, samples, events, status = run(meter)
    assert [s.reading.current_a for s in samples] == [0.4, 0.2]
    assert [s.t_s for s in samples] == [0.5, 1.0]
    assert status.state is State.MEASURING
    assert reader.status.state is State.STOPPED
    assert [e.kind for e in events] == ['connected', 'stopped']
    assert meter.closed


def test_each_way_to_fail_is_counted_under_its_name() -> None:
    meter = FakeMeter(
        reading(), MeterSilent('s'), ReadingRefused('power is odd'), ShortReply('t'), reading())
    reader, samples, _, _ = run(meter)
    counters = reader.counters
    assert len(samples) == 2
    assert counters.errors == {
        'silent': 1, 'refused: power is odd': 1, 'short': 1, 'cancelled': 1}
    assert counters.polls == counters.accounted == 6
    assert counters.garbage_bytes == 6


def test_lost_link_is_opened_again() -> None:
    first, second = FakeMeter(reading(), LinkLost('gone')), FakeMeter(reading())
    reader, samples, events, _ = run(first, MeterError('no such port'), second)
    assert len(samples) == 2
    assert [e.kind for e in events] == ['connected', 'lost', 'lost', 'connected', 'stopped']
    assert (reader.counters.reconnects, reader.counters.failed_opens) == (1, 1)
    assert first.closed


def test_lasting_silence_opens_the_port_again() -> None:
    dead = FakeMeter(*[MeterSilent('no answer')] * 5)
    reader, samples, events, _ = run(dead, FakeMeter(reading()))
    assert len(samples) == 1
    assert dead.closed
    assert reader.counters.errors['silent'] == 5
    assert any('opening the port again' in e.message for e in events)


def test_no_current_at_all_is_reported_once() -> None:
    _, _, events, _ = run(FakeMeter(*[reading(current_a=0.0, power_w=0.0)] * 12))
    told = [e for e in events if e.kind == 'no_load']
    assert len(told) == 1
    assert 'output side' in told[0].message


def test_gap_is_counted() -> None:
    meter = FakeMeter(reading(), *[MeterSilent('s')] * 4, reading())
    reader, _, events, _ = run(meter)
    assert reader.counters.gaps == 1
    assert any(e.kind == 'gap' and '2.5 s' in e.message for e in events)


def test_stop_does_not_wait_for_a_port_that_hangs_in_opening() -> None:
    entered, release = threading.Event(), threading.Event()

    def open_slowly() -> PowerMeter:
        entered.set()
        release.wait(PATIENCE_S)
        raise MeterError('late')

    reader = MeterReader(open_slowly, lambda _: None, lambda _: None)
    reader.start()
    assert entered.wait(PATIENCE_S)
    assert not reader.stop()
    release.set()
    reader._supervisor._worker._thread.join(PATIENCE_S)
    assert reader.stop()


def test_a_reading_that_comes_after_the_stop_is_nobodys() -> None:
    """A port that hangs for long gives its reading to no later activation."""
    reading_now, late, samples = threading.Event(), threading.Event(), []

    class SlowMeter(FakeMeter):
        def read(self) -> Sample:
            reading_now.set()
            assert late.wait(PATIENCE_S)
            return SampleStream().take(0.0, reading())

    reader = MeterReader(SlowMeter, samples.append, lambda _: None)
    reader.start()
    assert reading_now.wait(PATIENCE_S)
    assert not reader.stop()
    late.set()
    reader._supervisor._worker._thread.join(PATIENCE_S)
    assert reader.stop() and not samples


def test_a_session_that_raises_what_it_should_not_is_reported_and_followed_by_another() -> None:
    samples, events, again = [], [], threading.Event()

    def on_sample(sample: Any) -> None:
        samples.append(sample)
        if len(samples) == 1:
            raise OverflowError('cannot convert float infinity to integer')
        again.set()

    reader = MeterReader(lambda: FakeMeter(*[reading()] * 3), on_sample, events.append,
                         back_off_s=(0.0, 0.0))
    reader.start()
    assert again.wait(PATIENCE_S)
    assert reader.status.state is State.MEASURING
    assert any('OverflowError: cannot convert' in e.message for e in events)
    assert reader.stop()


@pytest.mark.parametrize('rate_hz', [-1.0, 1000.1, float('nan')])
def test_a_rate_that_the_meter_cannot_take_is_refused(rate_hz: float) -> None:
    meter = FakeMeter()
    with pytest.raises(MeterError, match='fake meter can be read up to 1000 times'):
        pace_hz(meter, rate_hz)
    lost = threading.Event()
    reader = MeterReader(lambda: meter, lambda _: None, lambda _: lost.set(), rate_hz)
    reader.start()
    assert lost.wait(PATIENCE_S)
    assert 'times a second' in reader.status.message and reader.stop() and meter.closed


def test_the_rate_that_suits_a_meter_is_taken_if_no_other_is_wanted() -> None:
    assert (pace_hz(FakeMeter(), 0.0), pace_hz(FakeMeter(), 3.0)) == (1000.0, 3.0)


def test_a_failure_of_no_known_kind_opens_the_meter_again() -> None:
    reader, samples, _, _ = run(FakeMeter(MeterError('the bus failed')), FakeMeter(reading()))
    assert len(samples) == 1 and reader.counters.errors['lost'] == 1
    assert reader.counters.polls == reader.counters.accounted


class FastMeter(ScriptedMeter):
    """Is read 100 times a second; each sample is 10 ms after the one before."""

    rate_hz = 100.0

    def __init__(self, *script: tuple[float, float]) -> None:
        super().__init__(*script)
        self.late_s = 0.0

    def read(self) -> Sample:
        sample = super().read()
        return replace(sample, t_s=0.02 * sample.t_s + self.late_s)


def first_samples(meter: PowerMeter, count: int) -> list[Sample]:
    samples, enough = [], threading.Event()

    def take(sample: Sample) -> None:
        samples.append(sample)
        if len(samples) >= count:
            enough.set()
    reader = MeterReader(lambda: meter, take, lambda _: None)
    reader.start()
    assert enough.wait(PATIENCE_S) and reader.stop()
    return samples


def test_readings_of_a_fast_meter_are_merged_into_samples_of_a_tenth_of_a_second() -> None:
    first, second = first_samples(FastMeter(*[(5.0, 0.1 * n) for n in range(20)]), 2)[:2]
    assert (first.t_s, second.t_s) == pytest.approx((0.055, 0.155))
    assert (first.voltage_v, first.current_a, first.power_w) == pytest.approx((5.0, 0.45, 2.25))
    assert first.curve.times_s == pytest.approx(0.01 * np.arange(1, 11))
    assert first.curve.powers_w == pytest.approx(0.5 * np.arange(10))


def test_no_sample_reaches_over_a_gap() -> None:
    class Pausing(FastMeter):
        def read(self) -> Sample:
            sample = super().read()
            if sample.t_s > 0.055:
                self.late_s = 9.0
            return sample
    for sample in first_samples(Pausing((5.0, 1.0)), 2):
        assert np.ptp(sample.curve.times_s) < 0.1


def test_what_a_fast_meter_did_not_measure_is_not_in_the_curve() -> None:
    sample = merged([Sample(0.0, 5.0, 1.0, 5.0), Sample(0.1, 5.0, nan, nan)])
    assert sample.voltage_v == 5.0 and isnan(sample.power_w)
    assert sample.curve.powers_w.tolist() == [5.0]
    assert merged([Sample(0.0, 5.0, 1.0, 5.0), Sample(0.1, 5.0, 1.0, 5.0, emulated=True)]).emulated
