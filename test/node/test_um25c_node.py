import math
import time

import pytest
from node.world import INACTIVE, UNCONFIGURED, Heard, World, until
from offload_perception.msg import FrameLatency, PowerSample
from sensor_msgs.msg import BatteryState
from std_srvs.srv import Trigger
from unit.power.um_frames import reading

from offload_perception.nodes import qos
from offload_perception.nodes.um25c import Um25cNode
from offload_perception.power.drivers.samples import Sample
from offload_perception.power.drivers.um25c import Accumulator
from offload_perception.power.emulation.emulator_process import spawn_emulator


@pytest.fixture
def samples(world: World) -> Heard:
    return world.hear(PowerSample, 'power', qos.TELEMETRY)


def test_without_a_port_the_samples_say_that_they_are_emulated(
        world: World, samples: Heard) -> None:
    world.start(Um25cNode, rate=7.0)
    assert 'raspberry_pi_3b_plus' in world.said('EMULATED')
    first, second = samples.wait_for(2)[:2]
    assert first.emulated and 'emulated' in first.source
    assert first.power == pytest.approx(first.voltage * first.current, rel=0.05)
    assert 4.5 < first.voltage < 5.5 and first.power > 0.5
    assert second.integrated_energy > first.integrated_energy >= 0.0


def test_a_real_port_is_read_and_named(world: World, samples: Heard) -> None:
    with spawn_emulator(device='raspberry_pi_3b_plus') as emulator:
        node = world.start(Um25cNode, port=str(emulator.port), rate=7.0)
        sample = samples.wait_for(1)[0]
        assert not sample.emulated and str(emulator.port) in sample.source
        world.drive(node, 'deactivate', 'cleanup')


def test_a_reply_with_an_odd_field_still_tells_the_power(world: World, samples: Heard) -> None:
    with spawn_emulator(fault='odd-field') as emulator:
        node = world.start(Um25cNode, port=str(emulator.port), rate=7.0)
        samples.wait_for(lambda m: math.isnan(m.temperature))
        lost = samples.wait_for(lambda m: m.data_group == 255)
        assert all(m.power > 0.5 for m in samples)
        assert math.isnan(lost.energy) and math.isnan(lost.charge)
        assert [f for f in node.findings(0.0) if f.name == 'fields']
        assert node._reader.counters.reconnects == 0
        world.drive(node, 'deactivate', 'cleanup')


def test_the_emulator_ends_with_the_node(world: World, samples: Heard) -> None:
    node = world.start(Um25cNode)
    samples.wait_for(1)
    port = node._port
    world.drive(node, 'deactivate')
    assert world.state(node) == INACTIVE
    world.drive(node, 'cleanup')
    assert world.state(node) == UNCONFIGURED
    world.set(node, port=str(port))
    world.drive(node, 'configure')
    assert str(port) in world.said('refused to configure')


def call(world: World, node: Um25cNode, service: str) -> Trigger.Response:
    client = world.node.create_client(Trigger, f'{node.get_fully_qualified_name()}/{service}')
    until(client.service_is_ready)
    future = client.call_async(Trigger.Request())
    until(future.done)
    return future.result()


def test_commands_reach_the_meter_only_when_asked_for(world: World, samples: Heard) -> None:
    node = world.start(Um25cNode, rate=7.0)
    samples.wait_for(1)
    assert node._reader.counters.commands == 0
    assert call(world, node, 'next_screen').success
    until(lambda: node._reader.counters.commands == 1)
    answer = call(world, node, 'next_data_group')
    assert not answer.success and 'UM25C' in answer.message


def test_a_setting_of_the_meter_is_a_parameter(world: World, samples: Heard) -> None:
    node = world.start(Um25cNode, rate=7.0, data_group=3)
    assert samples.wait_for(lambda m: m.data_group == 3)
    assert world.set(node, data_group=5).successful
    assert samples.wait_for(lambda m: m.data_group == 5)
    assert not world.set(node, data_group=12).successful


def test_a_frame_of_another_computer_has_no_energy_and_is_reported(
        world: World, samples: Heard) -> None:
    node = world.start(Um25cNode, rate=7.0)
    ends = world.speak(FrameLatency, 'frame_latency', qos.ENDS)
    ends.publish(FrameLatency(sequence=1, total=0.1, end=time.monotonic() + 1000.0))
    until(lambda: [f for f in node.findings(time.monotonic()) if f.name == 'clock'])
    assert node.values()['frames not metered'] == 1


@pytest.mark.parametrize(('factor', 'told'), [(1.0, False), (1.1, True)])
def test_a_counter_that_disagrees_is_reported(world: World, samples: Heard, factor: float,
                                              told: bool) -> None:
    node = world.start(Um25cNode, rate=7.0)
    session, began_s = node.session, time.monotonic() + 1000.0
    world.drive(node, 'deactivate')  # its own meter is silent now
    for t_s in range(200):
        mwh = round(factor * 5.0 * t_s / 3.6)
        shown = reading(voltage_v=5.0, current_a=1.0, groups=(Accumulator(0, mwh),) * 10)
        session.on_sample(Sample(began_s + t_s, 5.0, 1.0, 7.0, reading=shown))  # calibrated
    assert told == ('counter' in [f.name for f in session.findings(time.monotonic())])


def test_a_supply_is_shown_as_a_battery_state_only_where_that_is_asked_for(world: World) -> None:
    supply = world.hear(BatteryState, 'um25c/supply', qos.TELEMETRY)
    world.start(Um25cNode, rate=7.0, battery_state=True)
    state = supply.wait_for(1)[0]
    assert state.current < 0.0 and state.location == 'computer supply'
    assert math.isnan(state.percentage)
