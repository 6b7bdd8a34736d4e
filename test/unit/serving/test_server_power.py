import threading
from math import isnan
from typing import Any

import pytest
from unit.power.fake_meters import ScriptedMeter

from offload_perception.errors import MeterError
from offload_perception.power.drivers.samples import Sample, State
from offload_perception.serving.server_power import PeriodPower, ServerPower


def given(power: ServerPower, *samples: tuple[float, float]) -> ServerPower:
    """Give samples at times [s] with powers [W]."""
    for t_s, power_w in samples:
        power._on_sample(Sample(t_s, float('nan'), float('nan'), power_w))
    return power


@pytest.fixture
def now_s() -> list[float]:
    return [0.0]


@pytest.fixture
def power(now_s: list[float]) -> ServerPower:
    return ServerPower(lambda: ScriptedMeter((5.0, 1.0)), lambda _: None, lambda: now_s[0])


def test_a_period_has_its_mean_power_and_the_energy_of_each_frame(
        power: ServerPower, now_s: list[float]) -> None:
    given(power, (0.0, 10.0), (1.0, 30.0), (2.0, 30.0))
    now_s[0] = 2.0
    assert power.period(10) == PeriodPower(25.0, 5.0)
    given(power, (3.0, 30.0))
    now_s[0] = 3.0
    assert power.period(13) == PeriodPower(30.0, 10.0)


def test_a_period_without_frames_has_power_alone(power: ServerPower, now_s: list[float]) -> None:
    given(power, (0.0, 10.0), (1.0, 10.0))
    now_s[0] = 1.0
    found = power.period(0)
    assert found.power_w == 10.0 and isnan(found.frame_j)


def test_a_period_without_samples_is_not_metered(power: ServerPower, now_s: list[float]) -> None:
    now_s[0] = 1.0
    found = power.period(5)
    assert isnan(found.power_w) and isnan(found.frame_j)
    given(power, (1.0, 10.0), (5.0, 10.0))  # a gap: what was drawn in it is not known
    given(power, (5.0, float('nan')))
    now_s[0] = 5.0
    assert isnan(power.period(9).power_w)


def test_a_meter_is_read_until_the_server_stops() -> None:
    read = threading.Event()

    class Meter(ScriptedMeter):
        waits = True

        def read(self) -> Sample:
            sample = super().read()
            if self.t_s > 1.0:
                read.set()
            return sample
    power = ServerPower(lambda: Meter((5.0, 1.0)), lambda _: None)
    power.start()
    assert read.wait(10.0)
    power.stop()
    assert power.status.state is State.STOPPED
    assert power.period(0).power_w == pytest.approx(5.0)


def test_a_meter_that_is_lost_is_reported() -> None:
    def fail() -> Any:
        raise MeterError('no such zone')
    told: list[str] = []
    lost = threading.Event()
    power = ServerPower(fail, lambda event: told.append(event.message) or lost.set())
    power.start()
    assert lost.wait(10.0)
    assert power.status.state is State.LOST and 'no such zone' in told
    power.stop()
