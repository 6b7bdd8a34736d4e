"""The emulator as a process, read by the driver as any meter would be."""

import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offload_perception.errors import MeterError
from offload_perception.power.drivers import commands
from offload_perception.power.drivers.meter import (
    SerialMeter,
    open_serial_meter,
    open_um_meter,
)
from offload_perception.power.drivers.meter_reader import MeterReader
from offload_perception.power.drivers.power_meter import MeterSilent, ReadingRefused
from offload_perception.power.drivers.um25c import UM34C
from offload_perception.power.emulation.emulator_process import (
    COMMAND,
    EmulatorControl,
    EmulatorProcess,
    spawn_emulator,
)
from offload_perception.power.emulation.faults import Fault

PATIENCE_S = 20.0


@pytest.fixture(scope='module')
def emulator() -> Iterator[EmulatorProcess]:
    with spawn_emulator(model='UM34C', idle_w=2.0, full_load_w=6.0) as process:
        yield process


@pytest.fixture
def meter(emulator: EmulatorProcess) -> Iterator[SerialMeter]:
    meter = open_serial_meter(emulator.port)
    yield meter
    meter.close()


def test_reading(emulator: EmulatorProcess, meter: SerialMeter) -> None:
    emulator.set_load(0.0)
    r = meter.read()
    assert r.model == UM34C
    assert 1.9 <= r.power_w <= 6.0


def test_commands_arrive(meter: SerialMeter) -> None:
    meter.send(commands.set_backlight(3))
    assert meter.read().backlight == 3


def test_injected_faults_hit_the_next_replies(emulator: EmulatorProcess,
                                              meter: SerialMeter) -> None:
    emulator.inject(Fault.IMPLAUSIBLE, 1)
    with pytest.raises(ReadingRefused):
        meter.read()
    emulator.inject(Fault.GARBAGE)
    assert meter.read().model == UM34C
    assert emulator.stats()['faults']['implausible'] == 1


def test_a_field_that_cannot_be_is_not_known(emulator: EmulatorProcess,
                                             meter: SerialMeter) -> None:
    emulator.inject(Fault.ODD_FIELD)
    assert meter.read().unknown
    assert not meter.read().unknown


def test_a_meter_in_the_cold() -> None:
    with spawn_emulator(temperature_c=-7) as emulator:
        meter = open_serial_meter(emulator.port)
        assert meter.read().temperature_c in (-7, -6, -5)  # its own heat comes on top
        meter.close()


def test_silence(emulator: EmulatorProcess) -> None:
    meter = open_serial_meter(emulator.port, timeout_s=0.3)
    emulator.inject(Fault.SILENCE)
    with pytest.raises(MeterSilent):
        meter.read()
    meter.close()


def test_reader_survives_unplugging(emulator: EmulatorProcess) -> None:
    samples, kinds = queue.Queue(), []
    reader = MeterReader(lambda: open_um_meter(emulator.port), samples.put,
                         lambda event: kinds.append(event.kind), 7.0)
    reader.start()
    samples.get(timeout=PATIENCE_S)
    emulator.inject(Fault.DISCONNECT)
    while reader.counters.reconnects == 0:
        samples.get(timeout=PATIENCE_S)
    assert reader.stop()
    assert kinds[:2] == ['connected', 'lost']
    assert reader.counters.polls == reader.counters.accounted


def test_stage_sets_the_power(emulator: EmulatorProcess, meter: SerialMeter) -> None:
    emulator.set_stage('head', 1.0)
    for _ in range(20):
        if (power_w := meter.read().power_w) == pytest.approx(3.0, abs=0.05):
            break
    assert power_w == pytest.approx(3.0, abs=0.05)
    assert emulator.stats()['stage'] == 'head'
    emulator.set_stage()


def test_wrong_control_message_is_answered(emulator: EmulatorProcess) -> None:
    with pytest.raises(MeterError, match='known messages'):
        emulator._ask('sing')


def test_nobody_listens(tmp_path: Path) -> None:
    control = EmulatorControl(tmp_path / 'nobody')
    with pytest.raises(MeterError, match='no emulator listens'):
        control.set_stage('head')
    control.close()


def test_wrong_option_is_one_line() -> None:
    with pytest.raises(MeterError, match='did not start'):
        spawn_emulator(fault='gremlin')


def test_ends_with_its_parent() -> None:
    """The middle process starts an emulator, prints its id and ends without closing it."""
    code = ('import os, sys, subprocess\n'
            f'p = subprocess.Popen([sys.executable, "-m", "{COMMAND}"], stdout=subprocess.PIPE)\n'
            'p.stdout.readline()\n'
            'print(p.pid, flush=True)\n'
            'os._exit(0)\n')
    read_pid = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                              check=True, timeout=PATIENCE_S)
    assert _ended(int(read_pid.stdout))


def _ended(pid: int) -> bool:
    """Wait for a process that is not our child."""
    psutil = pytest.importorskip('psutil')
    try:
        process = psutil.Process(pid)
        process.wait(PATIENCE_S)
    except psutil.NoSuchProcess:
        return True
    return not process.is_running()
