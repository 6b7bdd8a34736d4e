"""Whatever comes in: no callback raises, no thread ends, and the node works on."""

import json
import re
from collections.abc import Iterator
from math import inf, nan
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node.world import World, image, until
from offload_perception.msg import (
    Classification,
    Detections,
    FeatureTensor,
    FrameEnergy,
    FrameLatency,
    MissionPolicy,
    OffloadDecision,
    OutputTensors,
    PowerSample,
    RemoteResult,
    ServerBeat,
    ServerStatus,
)
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from offload_perception import threads
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.dashboard import DashboardNode
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.nodes.message_types import class_of
from offload_perception.nodes.monitor import MonitorNode
from offload_perception.nodes.power import PowerNode
from offload_perception.nodes.recorder import RecorderNode
from offload_perception.nodes.remote_inference import RemoteInferenceNode
from offload_perception.nodes.um25c import Um25cNode
from offload_perception.telemetry.rules import RULES

# The usual first draws of fuzzers are dull; these have been seen to end a thread.
NUMBERS = st.one_of(st.sampled_from([nan, inf, -inf, 0.0, -1.0, 1e12, 1e308, 5e-324]), st.floats())
TEXTS = st.one_of(st.sampled_from(['', '\x1b[2J', 'a\nb', 'x' * 100_000, '/', '‮']), st.text())


def field(kind: str) -> st.SearchStrategy:
    """Return values of a field of that ROS type, the worst ones too."""
    if kind.startswith('sequence<'):
        inner = field(kind[9:-1].split(',')[0])
        return st.one_of(st.lists(inner, max_size=4), inner.map(lambda v: [v] * 5000))
    if '[' in kind:
        return st.tuples(*[field(kind.partition('[')[0])] * int(kind[:-1].partition('[')[2]))
    if re.fullmatch(r'u?int\d+', kind):
        bits = int(kind.strip('uint'))
        low, high = (0, 2**bits - 1) if kind[0] == 'u' else (-2**(bits - 1), 2**(bits - 1) - 1)
        return st.one_of(st.sampled_from([low, high, min(7, high)]), st.integers(low, high))
    simple = {'double': NUMBERS, 'float': NUMBERS.filter(lambda v: not 3e38 < abs(v) < inf),
              'string': TEXTS, 'boolean': st.booleans(),
              'octet': st.binary(min_size=1, max_size=1)}
    return simple[kind] if kind in simple else anything(class_of(kind.replace('/', '/msg/')))


def anything(kind: Any, **good: Any) -> st.SearchStrategy:
    """Return messages with any fields: all wrong, or good ones with a few that are wrong."""
    fields = {name: field(t) for name, t in kind.get_fields_and_field_types().items()}
    wrong = st.fixed_dictionaries({}, optional=fields)
    few = st.sampled_from(list(fields)).flatmap(lambda name: st.fixed_dictionaries(
        {name: fields[name]}))
    return st.one_of(wrong, few, st.just({})).map(lambda changes: made(kind, {**good, **changes}))


def made(kind: type, fields: dict[str, Any]) -> Any:
    message = kind()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def throw(world: World, subscription: Any, data: st.DataObject, **good: dict[str, Any]) -> None:
    """Give a message with any fields to a callback, as the executor would."""
    kind = subscription.msg_type
    message = data.draw(anything(kind, **good.get(kind.__name__, {})))
    info = {'source_timestamp': 0, 'received_timestamp': data.draw(st.integers(0, 2**62)),
            'publication_sequence_number': data.draw(st.integers(0, 2**64 - 1))}
    if subscription.raw:
        message = data.draw(st.one_of(st.binary(), st.just(serialize_message(message))))
    with_info = subscription._callback_type is type(subscription).CallbackType.WithMessageInfo
    def call() -> None:
        try:
            subscription.callback(message, *([info] if with_info else []))
        except Exception as e:  # would end the executor of this world
            raised.append(e)
    raised: list[Exception] = []
    world.do(call)
    if raised:
        raise raised[0]


def test_every_field_of_our_messages_that_needs_a_check_has_one() -> None:
    for kind in (Classification, Detections, FeatureTensor, FrameEnergy, FrameLatency,
                 MissionPolicy, OffloadDecision, OutputTensors, PowerSample, RemoteResult,
                 ServerBeat, ServerStatus):
        needy = {name for name, t in kind.get_fields_and_field_types().items()
                 if t in ('double', 'float', 'string') or t.startswith('sequence')
                 or t == 'std_msgs/Header'}
        assert needy - {'data'} <= RULES[kind.__name__].keys() <= set(
            kind.get_fields_and_field_types())


GOOD: dict[str, dict[str, Any]] = {
    'FrameLatency': {'outcome': 1, 'split_name': 'block1_pool', 'total': 0.1, 'captured': 1},
    'Classification': {'labels': ['a', 'b'], 'ids': [0, 1], 'scores': [0.6, 0.4]},
    'Detections': {'image_width': 640, 'image_height': 480},
    'FrameEnergy': {'energy': 1.0, 'window': 0.1, 'stages': ['head'], 'stage_energy': [0.5]},
    'MissionPolicy': {'policy': 'full', 'deadline_scale': 1.0},
    'ServerStatus': {'server': '/server', 'utilisation': 0.5, 'tail_times': [0.1, nan]},
    'PowerSample': {'voltage': 5.0, 'current': 0.4, 'power': 2.0},
    'BatteryState': {'voltage': 11.5, 'current': -2.0, 'present': True},
    'RemoteResult': {'labels': ['a', 'b'], 'ids': [0, 1], 'scores': [0.6, 0.4]},
    'FeatureTensor': {'drone': '/flood/edge', 'split': 9},
    'OffloadDecision': {'split_name': 'block1_pool', 'candidates': 3},
    'Image': {name: getattr(image(), name) for name in (
        'height', 'width', 'encoding', 'step', 'data')},
    'CompressedImage': {'format': 'jpeg'},
}


@pytest.fixture(scope='module')
def flight(ros: None, artefact: Artefact,
           tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """All nodes that listen, in a world of their own for all examples."""
    world = World()
    common = {'model': str(artefact.path), 'runtime': 'litert'}
    nodes: list[Any] = [
        world.start(RemoteInferenceNode, ns='/server', **common),
        world.start(EdgeInferenceNode, server=f'{world.ns}/server', split='auto', deadline=0.5,
                    image_reliability='reliable', **common),
        world.start(DashboardNode, port=0, server=f'{world.ns}/server'),
        world.start(Um25cNode),
        world.start(RecorderNode, bag=str(tmp_path_factory.mktemp('bags') / 'bag'), images=True),
        world.start(PowerNode, ns='/a', source='topic:bench'),
        world.start(PowerNode, ns='/b', source='battery:battery')]
    nodes[2].session._look_timer.cancel()  # as if somebody looked
    nodes[2].session._view({f'{world.ns}/{name}': (world.ns, name)
                               for name in ('image_raw', 'detections', 'class_map')})
    monitor = MonitorNode(namespace=world.ns, server=f'{world.ns}/server')
    world.do(lambda: world.executor.add_node(monitor))
    yield SimpleNamespace(world=world, nodes=nodes, monitor=monitor,
                          hear=[s for node in (*nodes, monitor) for s in node.subscriptions],
                          eye=world.speak(Image, 'image_raw', qos.CAMERA))
    world.do(lambda: world.executor.remove_node(monitor))
    world.close()
    monitor.destroy_node()


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_message_stops_a_node(flight: SimpleNamespace, data: st.DataObject) -> None:
    world = flight.world
    GOOD['ServerStatus']['model_digest'] = GOOD['FeatureTensor']['model_digest'] = (
        flight.nodes[0]._network.artefact.digest)
    subscription = flight.hear[data.draw(st.integers(0, len(flight.hear) - 1))]
    throw(world, subscription, data, **GOOD)
    for health in flight.nodes:
        world.do(health.publish_diagnostics, health)
    for state in (flight.monitor.state, flight.nodes[2]._fleet.own):
        json.dumps(state.snapshot(), allow_nan=False)
    assert all(line.isprintable() for line in (
        flight.monitor.summary.live_line(1.0), *flight.monitor.summary.closing_lines()))
    assert not threads.troubled()


def test_after_all_that_a_frame_flies_and_is_metered(flight: SimpleNamespace) -> None:
    """Runs last in this file, in the same world."""
    ends = flight.world.hear(FrameLatency, 'frame_latency', qos.ENDS)
    results = flight.world.hear(Classification, 'classification', qos.RESULTS)
    powers = flight.world.hear(PowerSample, 'power', qos.TELEMETRY)
    flight.nodes[1].session.pipeline.set_pace(0.0, 1.0)
    until(lambda: flight.eye.publish(image(2)) or any(m.outcome != 2 for m in ends))
    results.wait_for(1)
    powers.wait_for(1)
    assert flight.nodes[0].session.pipeline._worker.alive and flight.nodes[4].session._bag
