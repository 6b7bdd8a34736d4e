"""A simulated radio and meter whose figures are known."""

import socket
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.characterize.radio import (
    DATAGRAM,
    MBIT,
    Phase,
    RadioFit,
    Schedule,
    datagrams,
    fit_radio,
    measure_radio,
)
from offload_perception.errors import ConfigError, MeterError
from offload_perception.profiles.device_profile import RADIOS, Radio

IDLE_W = 1.9
SCHEDULE = Schedule((1 * MBIT, 4 * MBIT, 8 * MBIT))


class World:
    """Time, a radio that sends, and a meter whose readings are means, late, and have noise."""

    def __init__(self, radio: Radio, *, interval_s: float, noise_w: float = 0.02,
                 late: float = 0.0) -> None:
        self.now_s, self.sent_s = 100.0, []
        self._radio, self._interval_s, self._late = radio, interval_s, late
        self._noise_w, self._random = noise_w, np.random.default_rng(7)

    def clock(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def send(self) -> None:
        self.sent_s.append(self.now_s)

    def powers(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        step_s = 0.005
        times_s = np.arange(start_s - 1.0, end_s, step_s)
        sent_s, r = np.array(self.sent_s), self._radio
        counts = np.histogram(sent_s, np.append(times_s, times_s[-1] + step_s))[0]
        last = np.searchsorted(sent_s, times_s, side='right')
        before_s = times_s - np.concatenate([[-np.inf], sent_s])[last]
        busy = np.concatenate([sent_s, [np.inf]])[last] - times_s + before_s < 1.0
        watts = IDLE_W + busy * r.sending_w + r.j_per_byte * DATAGRAM * counts / step_s
        watts += ~busy * (before_s < r.tail_s) * r.tail_w
        width = round(self._interval_s / step_s)
        means = watts[:len(watts) // width * width].reshape(-1, width).mean(axis=1)
        ends_s = times_s[0] + self._interval_s * (1 + np.arange(len(means)))
        noise_w = self._random.normal(0.0, self._noise_w, len(means))
        return [(float(t), float(w)) for t, w in zip(ends_s + self._late * self._interval_s,
                                                     means + noise_w, strict=True)]

    def measured(self) -> RadioFit:
        return measure_radio(self.send, self.powers, SCHEDULE, clock=self.clock, wait=self.wait)


def close(found: float, true: float, error: float) -> bool:
    return abs(found - true) < 4 * error


@pytest.mark.parametrize('interval_s, late', [(0.02, 0.0), (0.1, 0.0), (0.5, 0.8)])
@pytest.mark.parametrize('true', [RADIOS['lte'], Radio(0.4, 1e-6, '', 0.25, 4.0)])
def test_the_figures_of_a_radio_are_found_within_their_errors(true: Radio, interval_s: float,
                                                             late: float) -> None:
    fit = World(true, interval_s=interval_s, late=late).measured()
    r, e = fit.radio, fit.errors
    assert close(r.sending_w, true.sending_w, e.sending_w) and 0.0 < e.sending_w < 0.05
    assert close(r.j_per_byte, true.j_per_byte, e.j_per_byte) and 0.0 < e.j_per_byte < 1e-7
    assert close(r.tail_w, true.tail_w, e.tail_w) and 0.0 < e.tail_w < 0.05
    assert close(r.tail_s, true.tail_s, e.tail_s) and 0.0 < e.tail_s < 0.5
    assert fit.rates == (1 * MBIT, 4 * MBIT, 8 * MBIT)


def test_a_fast_meter_sees_the_short_tail_of_wifi_and_a_slow_one_says_that_it_cannot() -> None:
    fast = World(RADIOS['wifi'], interval_s=0.02).measured()
    assert close(fast.radio.tail_s, 0.238, fast.errors.tail_s) and fast.radio.tail_w > 0.08
    slow = World(RADIOS['wifi'], interval_s=0.5).measured()
    assert slow.radio.tail_s == slow.radio.tail_w == slow.errors.tail_s == 0.0
    assert close(slow.radio.sending_w, 0.133, slow.errors.sending_w)
    assert 'too slow for one shorter than 2.00 s' in slow.describe()
    assert 'tail 0.1' in fast.describe()


def test_without_a_tail_none_is_found() -> None:
    assert World(Radio(1.0, 1e-6), interval_s=0.1).measured().radio.tail_s == 0.0


def test_a_power_below_zero_by_chance_is_zero() -> None:
    fit = World(Radio(0.0, 2e-6), interval_s=0.5, noise_w=0.05).measured()
    assert 0.0 <= fit.radio.sending_w < 0.05


@pytest.mark.parametrize('radio, interval_s, text', [
    (RADIOS['none'], 0.5, 'no more than chance'),
    (Radio(30.0), 0.5, 'at most 20 W'),
    (Radio(1.0, 0.0, '', 15.0, 19.0), 0.5, 'does not fall to idle'),
    (Radio(1.5, -1e-6), 0.5, 'negative'),
    (Radio(1.0), 4.0, 'too slow')])
def test_what_no_radio_does_is_refused(radio: Radio, interval_s: float, text: str) -> None:
    with pytest.raises(MeterError, match=text):
        World(radio, interval_s=interval_s).measured()


def test_a_meter_that_was_away_is_refused() -> None:
    world = World(RADIOS['lte'], interval_s=0.5)

    def powers(start_s: float, end_s: float) -> list[tuple[float, float]]:
        return [(t, w) for t, w in world.powers(start_s, end_s) if not 150.0 < t < 170.0]

    with pytest.raises(MeterError, match='0 readings of use'):
        measure_radio(world.send, powers, SCHEDULE, clock=world.clock, wait=world.wait)


def test_a_link_that_takes_one_rate_only_is_refused() -> None:
    world = World(RADIOS['lte'], interval_s=0.5)

    def slow_send() -> None:
        world.send()
        world.wait(DATAGRAM / (0.5 * MBIT))

    with pytest.raises(MeterError, match='use lower rates'):
        measure_radio(slow_send, world.powers, SCHEDULE, clock=world.clock, wait=world.wait)


@pytest.mark.parametrize('rates', [(), (1e6,), (1e6, 1e6), (1e6, float('nan')), (1e6, 0.0)])
def test_rates_that_cannot_tell_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match='2 to 5 different rates'):
        Schedule(rates)


def phases_of(*rates: float, seconds: float = 10.0) -> list[Phase]:
    edges = [number * seconds for number in range(len(rates) + 1)]
    return [Phase(a, b, rate) for (a, b), rate in zip(pairwise(edges), rates, strict=True)]


WATTS = st.floats(0.0, 25.0) | st.sampled_from([0.0, 1.0, 2000.0]) | st.floats()


@given(st.lists(st.tuples(st.floats(0.0, 50.0) | st.floats(), WATTS), max_size=20)
       | st.lists(WATTS, min_size=60, max_size=60).map(
           lambda ws: [(0.8 * n, w) for n, w in enumerate(ws)])
       | st.lists(st.floats(1.0, 4.0), min_size=5, max_size=5).map(
           lambda ws: [(0.5 * n, ws[n // 20]) for n in range(100)]))
def test_whatever_a_meter_gives_the_figures_are_finite_and_possible(
        powers: list[tuple[float, float]]) -> None:
    try:
        fit = fit_radio(phases_of(0.0, 1e5, 0.0, 4e5, 0.0), powers)
    except MeterError:
        return
    for r in (fit.radio, fit.errors):
        figures = [r.sending_w, r.j_per_byte, r.tail_w, r.tail_s]
        assert np.all(np.isfinite(figures)) and min(figures) >= 0.0
    assert fit.radio.sending_w <= 20.0 and fit.radio.tail_w <= 20.0


@pytest.mark.parametrize('target, text', [
    ('127.0.0.1', 'is this computer'), ('[::1]:9', 'is this computer'), ('', 'no host'),
    ('0.0.0.0', 'is this computer'), ('10.0.0.1:99999', 'HOST:PORT'), ('10.0.0.1:x', 'HOST:PORT'),
    ('no such host', "no host 'no such host'")])
def test_a_wrong_target_is_named(target: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text), datagrams(target):
        pass


def test_datagrams_arrive_at_their_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('ipaddress.IPv4Address.is_loopback', False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(('127.0.0.1', 0))
        sink.settimeout(10.0)
        with datagrams(f'127.0.0.1:{sink.getsockname()[1]}') as send:
            send()
            assert len(sink.recv(4096)) == DATAGRAM


def test_sending_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError('Network is unreachable')

    monkeypatch.setattr('socket.socket.sendto', refuse)
    with datagrams('192.0.2.1') as send, pytest.raises(ConfigError, match='unreachable'):
        send()
