"""The Monsoon's node on a stand-in of the maker's package; no real device was ever attached."""

import sys
import time
from collections.abc import Iterator
from functools import partial

import pytest
from node.world import UNCONFIGURED, World
from offload_perception.msg import FrameEnergy, FrameLatency, PowerSample
from unit.power.monsoon_stand_in import StandIn

from offload_perception.nodes import qos
from offload_perception.nodes.monsoon import MonsoonNode


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    for name, part in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, part)
    yield stand_in
    stand_in.release.set()


def came_after(time_s: float, sample: PowerSample) -> bool:
    return bool(sample.header.stamp.sec + 1e-9 * sample.header.stamp.nanosec > time_s)


def test_power_is_published_and_a_frame_gets_its_energy(world: World, device: StandIn) -> None:
    samples = world.hear(PowerSample, 'power', qos.TELEMETRY)
    energies = world.hear(FrameEnergy, 'frame_energy', qos.TELEMETRY)
    world.start(MonsoonNode)
    latencies = world.speak(FrameLatency, 'frame_latency', qos.ENDS)
    sample = samples.wait_for(5)[0]
    assert not sample.emulated and sample.source == 'Monsoon HVPM'
    assert sample.power == pytest.approx(device.voltage_v * device.current_ma / 1000, rel=0.01)
    for _ in range(50):  # on a busy computer the meter misses some frames
        latencies.publish(FrameLatency(sequence=7, total=0.05, head=0.04, end=time.monotonic()))
        samples.wait_for(partial(came_after, time.time() + 0.2))  # overlapping frames share energy
        if energies:
            break
    energy = energies.wait_for(1)[0]
    assert energy.sequence == 7 and energy.method == 'trapezoid'
    assert energy.energy == pytest.approx(0.05 * sample.power, rel=0.05)


def test_a_missing_monsoon_is_refused_with_the_remedy(world: World, device: StandIn) -> None:
    device.present = False
    node = world.make(MonsoonNode)
    world.drive(node, 'configure')
    assert 'udev' in world.said('no Monsoon')
    assert world.state(node) == UNCONFIGURED
