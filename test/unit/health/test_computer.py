"""Heat, clock and supply, as a fake /sys and a fake vcgencmd report them."""

import subprocess
from collections.abc import Iterator
from itertools import cycle
from math import isnan
from pathlib import Path

import pytest
from unit.health.fake_sysfs import FakeSysfs

from offload_perception.health import Level
from offload_perception.health.board import USUAL_LIMIT_C, VCGENCMD_PERIOD_S, Board
from offload_perception.health.computer import CALM_C, NEAR_C, ComputerWatch


@pytest.fixture
def sysfs(tmp_path: Path) -> FakeSysfs:
    return FakeSysfs(tmp_path)


@pytest.fixture
def watch(sysfs: FakeSysfs) -> ComputerWatch:
    return ComputerWatch(Board(sysfs.root), offset=lambda: 0.0)


def found(watch: ComputerWatch, now_s: float = 0.0) -> dict[str, tuple[Level, str]]:
    return {f.name: (f.level, f.text) for f in watch.findings(now_s) if f.name != 'system clock'}


def test_a_computer_that_tells_nothing_is_well(watch: ComputerWatch) -> None:
    assert found(watch) == {} and watch.values() == {}


def test_the_zone_nearest_to_its_limit_counts(sysfs: FakeSysfs) -> None:
    sysfs.zone(0, 'acpitz', 70.0, active=40.0, passive=95.0)
    sysfs.zone(1, 'soc', 60.0, hot=66.0, critical=90.0)
    sysfs.zone(2, 'wifi', 45.0)
    sysfs.zone(3, 'off', -274.0, passive=0.0)
    state = Board(sysfs.root).read(0.0)
    assert (state.zone.name, state.zone.temperature_c, state.zone.limit_c) == ('soc', 60.0, 66.0)
    assert isnan(state.clock_hz)
    assert [z.limit_c for z in Board(sysfs.root).zones()] == [95.0, 66.0, USUAL_LIMIT_C]


def test_heat_warns_before_the_limit_and_does_not_flicker(sysfs: FakeSysfs,
                                                          watch: ComputerWatch) -> None:
    warned = []
    for celsius in (85.0 - NEAR_C - 1, 85.0 - NEAR_C + 1, 85.0 - NEAR_C - 1, 85.0 - CALM_C - 1):
        sysfs.zone(0, 'cpu-thermal', celsius, passive=85.0)
        warned.append('heat' in found(watch))
    assert warned == [False, True, True, False]
    assert watch.values()['temperature [C]'] == '76.0 (cpu-thermal)'


def test_a_clock_slowed_by_the_kernel_is_reported(sysfs: FakeSysfs, watch: ComputerWatch) -> None:
    sysfs.zone(0, 'x86_pkg_temp', 96.0, passive=95.0)
    sysfs.clock(1200, 3600)
    sysfs.cooling('Processor', 3)
    level, text = found(watch)['heat']
    assert level is Level.WARN
    assert text.startswith('the CPU is throttled at 96 C (x86_pkg_temp) by Processor, clock 1.20 '
                           'of 3.60 GHz')
    sysfs.cooling('Fan', 3)
    assert found(watch)['heat'][1].startswith('hot at 96 C')


def test_the_flags_of_a_raspberry_pi_are_reported(sysfs: FakeSysfs, watch: ComputerWatch) -> None:
    sysfs.flags(0x50005)
    said = found(watch)
    assert said['supply'][0] is Level.ERROR and 'under-voltage' in said['supply'][1]
    assert 'throttled by throttled' in said['heat'][1]
    assert watch.values()['since the start'] == 'under-voltage, throttled'
    sysfs.flags(0x50000)
    assert found(watch) == {'supply': (Level.WARN, found(watch)['supply'][1])}
    sysfs.flags(0x40000)
    assert found(watch) == {}


def test_without_the_file_vcgencmd_is_asked_now_and_then(tmp_path: Path) -> None:
    answers: Iterator[str | Exception] = cycle([
        'throttled=0x1\n', 'nonsense', subprocess.SubprocessError()])
    asked = []

    def vcgencmd() -> str:
        answer = next(answers)
        asked.append(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer
    board = Board(tmp_path, vcgencmd)
    assert [board.flags(float(s)) for s in range(30)] == [1] * 30
    assert len(asked) == 30 / VCGENCMD_PERIOD_S


def test_without_firmware_the_kernels_monitor_of_the_supply_counts(sysfs: FakeSysfs) -> None:
    board = Board(sysfs.root)
    sysfs.write('class/hwmon/hwmon1/name', 'rpi_volt')
    sysfs.write('class/hwmon/hwmon1/in0_lcrit_alarm', 0)
    assert board.flags(0.0) is None
    sysfs.write('class/hwmon/hwmon1/in0_lcrit_alarm', 1)
    assert board.flags(0.0) == 1
    sysfs.write('class/hwmon/hwmon1/name', 'another')
    assert board.flags(0.0) is None


def test_a_jump_of_the_system_clock_comes_through(sysfs: FakeSysfs) -> None:
    offsets = iter([1000.0, 1000.0, 5000.0])
    watch = ComputerWatch(Board(sysfs.root), offset=lambda: next(offsets))
    assert [[f.name for f in watch.findings(float(s))] for s in range(3)] == [
        [], [], ['system clock']]
