"""What the drone's node passes on to its planner, and what it keeps from it."""

from collections.abc import Callable
from typing import Any

import pytest
from node.world import Heard, World, image, until
from offload_perception.msg import FeatureTensor, FrameEnergy, FrameLatency, RemoteResult
from sensor_msgs.msg import Image

from offload_perception.frames import PROBE_CODEC
from offload_perception.nodes import qos
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.pipeline.plan import Plan
from offload_perception.planning.probing import Probe
from offload_perception.profiles.device_profile import RADIOS


@pytest.fixture
def drone(edge: Callable[..., Any]) -> EdgeInferenceNode:
    return edge(split='auto')


@pytest.fixture
def tensors(world: World, drone: EdgeInferenceNode) -> Heard:
    """What a server would hear; it never answers by itself."""
    heard = world.hear(FeatureTensor, f'{world.ns}/server/features', qos.features(8))
    until(lambda: drone._parts.servers.listening(f'{world.ns}/server'))
    return heard


@pytest.fixture
def sent(world: World, drone: EdgeInferenceNode, tensors: Heard) -> FeatureTensor:
    """A frame's tensor that is out; the planner has nothing to say in it."""
    drone.session.pipeline._strategy = lambda frame: Plan(0, 'raw', f'{world.ns}/server')
    world.speak(Image, 'image_raw', qos.CAMERA).publish(image())
    return tensors.wait_for(lambda m: m.codec == 'raw')


def answer_to(tensor: FeatureTensor, **changes: Any) -> RemoteResult:
    return RemoteResult(**{
        'header': tensor.header, 'sequence': tensor.sequence, 'nonce': tensor.nonce,
        'server': tensor.drone.rpartition('/')[0] + '/server',
        'model_digest': tensor.model_digest, 'kind': 'classification', 'labels': ['x'],
        'ids': [1], 'scores': [1.0],
        **changes})


def test_an_energy_is_learned_only_if_it_is_known_better_than_nothing(
        world: World, drone: EdgeInferenceNode) -> None:
    learned = []
    drone.session.strategy.observe_energy = lambda _, sequence, joules: learned.append(
        (sequence, joules))
    meter = world.speak(FrameEnergy, 'frame_energy', qos.TELEMETRY)
    for sequence, uncertainty in enumerate((float('inf'), float('nan'), 2.0, 0.5)):
        meter.publish(FrameEnergy(sequence=sequence, energy=3.0, idle_energy=1.0,
                                  uncertainty=uncertainty))
    until(lambda: learned)
    assert learned == [(3, 2.0)]  # of the others the half interval is no less than the energy


@pytest.mark.parametrize('emulate', ['', 'raspberry_pi_3b_plus'])
def test_a_radio_by_name_counts_for_the_planner_and_for_an_emulated_computer(
        edge: Callable[..., Any], emulate: str) -> None:
    drone = edge(split='auto', emulate=emulate, radio='lte')
    assert drone._planner.profile.radio == RADIOS['lte']
    assert not emulate or drone._network.profile.radio == RADIOS['lte']


def test_no_probe_is_asked_for_while_a_frame_is_on_the_link(world: World, drone: EdgeInferenceNode,
                                                            sent: FeatureTensor) -> None:
    asked = []
    drone.session.strategy.next_probe = lambda link_idle: asked.append(link_idle)
    until(lambda: len(asked) > 1)
    assert not any(asked)
    world.speak(RemoteResult, 'remote_result', qos.RESULTS).publish(answer_to(sent))
    until(lambda: asked[-1])


def test_a_probe_that_nobody_takes_is_given_back(world: World, drone: EdgeInferenceNode) -> None:
    unsent, probe = [], Probe('/nobody', 64, 0.0)
    drone._parts.servers._publishers['/nobody'] = drone.create_lifecycle_publisher(
        FeatureTensor, '/nobody/features', qos.features(1))
    drone.session.strategy.take_back_probe = unsent.append
    drone.session.strategy.next_probe = lambda link_idle: (7, probe) if not unsent else None
    until(lambda: unsent)
    assert unsent == [7]


def test_a_probe_and_its_answer_carry_one_nonce(world: World, drone: EdgeInferenceNode,
                                                tensors: Heard) -> None:
    answered, probe = [], Probe(f'{world.ns}/server', 64, 0.0)
    drone.session.strategy.next_probe = lambda link_idle: (77, probe) if not answered else None
    drone.session.strategy.observe_probe = lambda *what: answered.append(what)
    tensor = tensors.wait_for(lambda m: m.codec == PROBE_CODEC)
    assert (tensor.nonce, len(tensor.data)) == (77, 64)
    world.speak(RemoteResult, 'remote_result', qos.RESULTS).publish(
        answer_to(tensor, status=RemoteResult.PROBE, server_total=0.25))
    until(lambda: answered)
    assert answered == [(77, f'{world.ns}/server', 0.25)]
    assert drone.session.pipeline.counts.unexpected_replies == 0


def test_numbers_of_the_activation_before_are_forgotten(world: World,
                                                        drone: EdgeInferenceNode) -> None:
    ends = world.hear(FrameLatency, 'frame_latency', qos.ENDS)
    world.speak(Image, 'image_raw', qos.CAMERA).publish(image())
    assert ends.wait_for(1)[0].outcome == FrameLatency.LOCAL
    until(lambda: drone.session.strategy._ended)  # learned after it was published
    world.drive(drone, 'deactivate', 'activate')
    assert not drone.session.strategy._ended and not drone.session.strategy._probes


@pytest.mark.parametrize('status', [RemoteResult.REFUSED, RemoteResult.FAILED])
def test_a_refused_frame_that_was_to_be_safe_is_finished_on_board(
        world: World, drone: EdgeInferenceNode, tensors: Heard, status: int) -> None:
    plan = Plan(0, 'raw', f'{world.ns}/server', hedge_at_s=1e9)
    drone.session.pipeline._strategy = lambda frame: plan
    ends = world.hear(FrameLatency, 'frame_latency', qos.ENDS)
    world.speak(Image, 'image_raw', qos.CAMERA).publish(image())
    tensor = tensors.wait_for(lambda m: m.codec == 'raw')
    refusal = {'labels': [], 'ids': [], 'scores': []}
    world.speak(RemoteResult, 'remote_result', qos.RESULTS).publish(
        answer_to(tensor, status=status, message='not this one', **refusal))
    end, = ends.wait_for(1)
    assert (end.outcome, end.reason, end.bytes) == (FrameLatency.LOCAL, '', len(tensor.data))
    world.said('not this one; hedged, so finished on board')
