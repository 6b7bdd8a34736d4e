"""The power meter of CONTRIBUTING.md runs as a node."""

import sys
from pathlib import Path
from typing import Any

import pytest
from contributing import apply
from node.world import UNCONFIGURED, World
from offload_perception.msg import PowerSample

from offload_perception.nodes import qos
from offload_perception.nodes.managed import ManagedNode


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> type[ManagedNode[Any, Any]]:
    apply('A power meter', monkeypatch)
    return sys.modules['offload_perception.nodes.hwmon'].HwmonNode


def test_the_meter_publishes_power(world: World, meter: type[ManagedNode[Any, Any]],
                                   tmp_path: Path) -> None:
    for name, value in (('in1_input', 5000), ('curr1_input', 500)):
        (tmp_path / name).write_text(f'{value}\n')
    samples = world.hear(PowerSample, 'power', qos.TELEMETRY)
    node = world.start(meter, folder=str(tmp_path), rate=50.0)
    sample = samples.wait_for(3)[-1]
    assert (sample.voltage, sample.current, sample.power) == (5.0, 0.5, 2.5)
    assert sample.integrated_energy > 0 and not sample.emulated
    world.drive(node, 'deactivate', 'cleanup', 'configure', 'activate')
    samples.wait_for(len(samples) + 2)


def test_a_missing_sensor_refuses_to_configure(world: World, meter: type[ManagedNode[Any, Any]],
                                               tmp_path: Path) -> None:
    node = world.make(meter, folder=str(tmp_path))
    world.drive(node, 'configure')
    assert world.state(node) == UNCONFIGURED
    assert '/sys/class/hwmon' in world.said('no power sensor')
