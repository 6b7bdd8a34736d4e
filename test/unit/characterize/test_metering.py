import os
import threading
from pathlib import Path
from typing import cast

import pytest
from unit.power.fake_meters import FakePower

from offload_perception.characterize import metering
from offload_perception.characterize.metering import PowerLog, _Follower, open_meter, t_95
from offload_perception.errors import MeterError
from offload_perception.power.drivers.power_sources import open_power_source
from offload_perception.power.drivers.samples import Event
from offload_perception.power.emulation.emulator_process import EmulatorProcess


def log_of(*powers_w: float, start_s: float = 0.0, period_s: float = 0.5) -> PowerLog:
    log = PowerLog()
    for number, power_w in enumerate(powers_w):
        log.add(start_s + number * period_s, power_w)
    return log


def test_readings_that_reach_back_before_the_window_do_not_count() -> None:
    log = log_of(100.0, 100.0, 3.0, 4.0, 5.0, 100.0)  # at 0.0, 0.5, ... 2.5 s
    assert log.mean(0.0, 2.0).value_w == 4.0
    assert log.mean(0.0, 2.0).samples == 3


def test_the_interval_is_that_of_students_distribution() -> None:
    power = log_of(0.0, 0.0, 3.0, 4.0, 5.0).mean(0.0, 2.0)
    assert power.half_width_w == pytest.approx(4.303 * 1.0 / 3 ** 0.5, rel=0.01)


@pytest.mark.parametrize('freedom, point', [(1, 12.706), (10, 2.228), (11, 2.201), (30, 2.042)])
def test_points_of_students_distribution(freedom: int, point: float) -> None:
    assert t_95(freedom) == pytest.approx(point, rel=0.01)


def test_too_few_readings_are_refused_with_the_remedy() -> None:
    with pytest.raises(MeterError, match=r'1 readings in 1\.2 s.*--seconds'):
        log_of(0.0, 0.0, 3.0).mean(0.0, 1.2)


def test_a_lost_link_is_named_where_readings_are_missing() -> None:
    log = log_of(3.0)
    log.observe_event(Event(1.0, 'lost', 'the link is lost'))
    with pytest.raises(MeterError, match='the link is lost'):
        log.mean(0.0, 5.0)


def test_no_power_at_all_asks_which_side_the_meter_is_on() -> None:
    with pytest.raises(MeterError, match='input side'):
        log_of(*[0.0] * 8).mean(0.0, 4.0)


@pytest.mark.parametrize('power_w', [-1.0, 5000.0])
def test_absurd_power_is_refused(power_w: float) -> None:
    with pytest.raises(MeterError, match='impossible'):
        log_of(*[power_w] * 8).mean(0.0, 4.0)


def test_waiting_ends_with_the_first_reading() -> None:
    log = PowerLog()
    timer = threading.Timer(0.01, log.add, (0.0, 1.0))
    timer.start()
    log.wait_first()
    timer.join()


def test_waiting_outlasts_a_single_bad_reply() -> None:
    log = PowerLog()
    log.observe_event(Event(0.0, 'failed', 'garbage'))
    with pytest.raises(MeterError, match='garbage'):
        log.wait_first(timeout_s=0.0)
    log.add(0.0, 1.0)
    log.wait_first(timeout_s=0.0)


def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(MeterError, match=r'/dev/no_such_meter.*rfcomm'), \
            open_meter('/dev/no_such_meter', ''):
        pass


def test_a_missing_monsoon_says_what_to_install_or_to_plug_in() -> None:
    with pytest.raises(MeterError, match='Monsoon'), open_meter('monsoon', ''):
        pass


def test_any_source_of_a_meter_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakePower(tmp_path).jetson()
    monkeypatch.setattr(metering, 'open_power_source',
                        lambda source: open_power_source(source, tmp_path))
    with open_meter('hwmon:ina3221/VDD_IN', '') as meter:
        assert meter.description == 'hwmon:ina3221/VDD_IN' and not meter.emulated


def test_the_emulated_meter_says_so_and_gives_readings() -> None:
    with open_meter('emulated', 'raspberry_pi_4b') as meter:
        assert meter.emulated
        assert meter.description == 'emulated UM25C with the power of a raspberry_pi_4b'


class Emulator:
    """Records the power that it is set to draw."""

    def __init__(self) -> None:
        self.extra_w, self.told = [], threading.Event()

    def set_stage(self, name: str, extra_w: float) -> None:
        self.extra_w.append(extra_w)
        if len(self.extra_w) > 1:
            self.told.set()


def test_the_emulated_power_follows_one_process_and_no_other(
        monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator()
    monkeypatch.setattr('psutil.cpu_count', lambda: 4)
    monkeypatch.setattr('psutil.Process.cpu_percent', lambda process: 200.0)
    with _Follower(cast(EmulatorProcess, emulator), 'raspberry_pi_3b_plus') as follower:
        follower.follow(os.getpid())
        assert emulator.told.wait(10.0)
    assert emulator.extra_w[0] == 0.0
    assert emulator.extra_w[-1] == pytest.approx((5.1 - 1.9) * 2 / 4)
