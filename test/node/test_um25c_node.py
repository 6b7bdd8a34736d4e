import pytest
from offload_perception.msg import PowerSample
from world import INACTIVE, UNCONFIGURED

from offload_perception.nodes import qos
from offload_perception.nodes.um25c import Um25cNode
from offload_perception.power.emulator_process import spawn_emulator


@pytest.fixture
def samples(world):
    return world.hear(PowerSample, 'power', qos.TELEMETRY)


def test_without_a_port_the_samples_say_that_they_are_emulated(world, samples):
    world.start(Um25cNode, rate=7.0)
    assert 'raspberry_pi_3b_plus' in world.said('EMULATED')
    first, second = samples.wait_for(2)[:2]
    assert first.emulated and 'emulated' in first.source
    assert first.power == pytest.approx(first.voltage * first.current, rel=0.05)
    assert 4.5 < first.voltage < 5.5 and first.power > 0.5
    assert second.integrated_energy > first.integrated_energy >= 0.0


def test_a_real_port_is_read_and_named(world, samples):
    with spawn_emulator(device='raspberry_pi_3b_plus') as emulator:
        node = world.start(Um25cNode, port=str(emulator.port), rate=7.0)
        sample = samples.wait_for(1)[0]
        assert not sample.emulated and str(emulator.port) in sample.source
        world.drive(node, 'deactivate', 'cleanup')


def test_the_emulator_ends_with_the_node(world, samples):
    node = world.start(Um25cNode)
    samples.wait_for(1)
    port = node._port
    world.drive(node, 'deactivate')
    assert world.state(node) == INACTIVE
    world.drive(node, 'cleanup')
    assert world.state(node) == UNCONFIGURED and node._emulator is None
    world.set(node, port=str(port))
    world.drive(node, 'configure')
    assert str(port) in world.said('refused to configure')
