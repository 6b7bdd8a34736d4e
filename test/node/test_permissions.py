"""The policies of SROS2 against the graph: a node is granted what it has, and nothing else."""

import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from node import stand_in_packages
from node.world import AnyNode, World, image, until
from rclpy.action import graph as actions
from sensor_msgs.msg import Image
from unit.power.monsoon_stand_in import StandIn

from offload_perception.bringup.arguments import Settings
from offload_perception.bringup.graph import DRONE
from offload_perception.bringup.permissions import permissions
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.camera import CameraNode
from offload_perception.nodes.dashboard import DashboardNode
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.nodes.flight import FlightNode
from offload_perception.nodes.monsoon import MonsoonNode
from offload_perception.nodes.power import PowerNode
from offload_perception.nodes.recorder import RecorderNode
from offload_perception.nodes.remote_inference import RemoteInferenceNode
from offload_perception.nodes.um25c import Um25cNode

NODES: dict[str, Callable[..., AnyNode]] = {
    'camera': CameraNode, 'dashboard': DashboardNode, 'edge_inference': EdgeInferenceNode,
    'flight': FlightNode, 'monsoon': MonsoonNode, 'power': PowerNode,
    'recorder': RecorderNode, 'remote_inference': RemoteInferenceNode, 'um25c': Um25cNode}
QUALIFIERS = ('publish', 'subscribe', 'reply', 'request')


class Case(NamedTuple):
    """A node with the parameters of each of its runs, and the arguments of its launch file.

    `use` brings the node to all that it does; `rarely` is granted, and needs what no run has:
    another network, or a second node of the name.
    """

    name: str
    runs: tuple[dict[str, Any], ...] = ({},)
    arguments: Mapping[str, str] = MappingProxyType({})
    use: Callable[[World, AnyNode], None] = lambda world, node: None
    rarely: frozenset[str] = frozenset()


def view(world: World, node: Any) -> None:
    """Have the page show a drone in full, and change it."""
    session, drone = node.session, node.get_namespace()
    names = ('image_raw', 'image_raw/compressed', 'detections', 'class_map')
    world.do(lambda: session._view({f'{drone}/{name}': (drone, name) for name in names}), node)
    node._server.control._of(drone)


def fly(world: World, node: AnyNode) -> None:
    """Have a drone send a frame to the server."""
    images = world.node.create_publisher(Image, f'{world.ns}/drone/image_raw', qos.CAMERA)
    edge = world.start(EdgeInferenceNode, ns='/drone', model=node.config.model, runtime='litert',
                       server=node.get_namespace(), image_reliability='reliable')
    until(images.get_subscription_count)
    sent = iter(range(1, 10_000))
    until(lambda: images.publish(image(next(sent)))
          or world.node.count_publishers(f'{world.ns}/drone/remote_result'))
    world.drive(edge, 'deactivate', 'cleanup')


def cases(model: str, photos: str, bag: str, server: str) -> dict[str, Case]:
    network, known = {'model': model, 'runtime': 'litert'}, {'server': server}
    drone = {**network, **known}
    return {case.name: case for case in (
        Case('camera', ({'source': photos}, {'source': photos, 'transport': 'jpeg'})),
        Case('edge_inference', (
            {**drone, 'source': photos, 'preview': 'jpeg', 'split': 'auto'},
            {**drone, 'source': photos, 'emulate': 'raspberry_pi_3b_plus'},
            {**drone, 'transport': 'raw'}, {**drone, 'transport': 'compressed'}),
            rarely=frozenset({'detections', 'class_map', 'outputs', 'diagnostics'})),
        Case('remote_inference', (network,), use=fly),
        Case('um25c', ({'battery_state': True},)),
        Case('monsoon', ({'battery_state': True},), {'meter': 'monsoon'}),
        Case('power', ({'source': 'battery:/mavros/battery', 'battery_state': True},),
             {'meter': 'battery:/mavros/battery'}),
        Case('recorder', ({**known, 'bag': bag, 'images': True, 'tensors': True},),
             {'record': 'true'}),
        Case('dashboard', ({**known, 'port': 0},), {'dashboard': 'true'}, use=view),
        Case('flight', ({'stack': 'mavros', 'vision': 'on'},), {'flight_stack': 'mavros'}),
    )}


def has(world: World, node: AnyNode, places: dict[str, str]) -> dict[str, set[str]]:
    """Return the topics and services of a node in the graph, with the names of places changed."""
    def named(name: str) -> str:
        found = next((place for place in places if name.startswith(f'{place}/')), '')
        return places.get(found, '') + name.removeprefix(found)
    ask, who = world.node, (node.get_name(), node.get_namespace())
    assert not actions.get_action_server_names_and_types_by_node(ask, *who)
    assert not actions.get_action_client_names_and_types_by_node(ask, *who)
    found = (ask.get_publisher_names_and_types_by_node(*who),
             ask.get_subscriber_names_and_types_by_node(*who),
             ask.get_service_names_and_types_by_node(*who),
             ask.get_client_names_and_types_by_node(*who))
    return {qualifier: {named(name) for name, _ in names}
            for qualifier, names in zip(QUALIFIERS, found, strict=True)}


def used_by(world: World, case: Case) -> dict[str, set[str]]:
    """Return the topics and services that a node has in any of its runs, by qualifier."""
    used: dict[str, set[str]] = {qualifier: set() for qualifier in QUALIFIERS}
    serves = case.name == 'remote_inference'
    for number, parameters in enumerate(case.runs):
        ns = '/server' if serves else f'/run{number}'
        places = {f'{world.ns}{ns}': '/drone', f'{world.ns}/server': '/server',
                  f'{world.ns}/drone': '/drone'}
        node = world.start(NODES[case.name], ns=ns, use_sim_time=True, **parameters)
        case.use(world, node)
        awaited = 'request' if case.name == 'dashboard' else 'reply'
        until(partial(_found, world, node, places, awaited))
        for qualifier, names in has(world, node, places).items():
            used[qualifier] |= names
    return used


def _found(world: World, node: AnyNode, places: dict[str, str], qualifier: str) -> set[str]:
    return has(world, node, places)[qualifier]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put stand-ins for a Monsoon, and for messages of flight stacks if there are none."""
    stand_in_packages.provide()
    stand_in = StandIn()
    for name, part in stand_in.modules().items():
        monkeypatch.setitem(sys.modules, name, part)
    yield
    stand_in.release.set()


@pytest.mark.parametrize('name', NODES)
def test_a_node_is_granted_what_it_has_and_nothing_else(
        world: World, artefact: Artefact, photos: str, tmp_path: Path, stand_ins: None,
        name: str) -> None:
    case = cases(str(artefact.path), photos, str(tmp_path / 'bag'),
                 f'{world.ns}/server')[name]
    entry = next(e for e in DRONE if e.name == name)
    granted = permissions(entry, Settings(DRONE, {'namespace': '/drone', **case.arguments}))
    used = used_by(world, case)
    for qualifier in QUALIFIERS:
        allowed = getattr(granted, qualifier)
        assert not {n for n in used[qualifier] if not any(fnmatchcase(n, a) for a in allowed)}, (
            f'{name} may not {qualifier} these')
        unused = {a for a in allowed if not any(fnmatchcase(n, a) for n in used[qualifier])}
        assert {a.rpartition('/')[2] for a in unused} <= case.rarely, (
            f'{name} may {qualifier} what it never does: {unused}')
