"""A drone with `server:=auto` uses the servers that it finds."""

from collections.abc import Callable
from typing import Any

import pytest
from node.world import World, image, until
from offload_perception.msg import FrameLatency
from sensor_msgs.msg import Image

from offload_perception.frames import Outcome
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import discovery, qos
from offload_perception.nodes.edge_inference import EdgeInferenceNode
from offload_perception.pipeline.plan import Plan


def test_servers_that_come_later_are_found_and_used(
        world: World, edge: Callable[..., Any], server: Callable[..., Any]) -> None:
    drone = edge(split='auto', server='auto')
    servers = drone._parts.servers
    assert servers.names == ()
    name = f'{world.ns}/server'
    server()
    until(lambda: servers.names == (name,))
    until(lambda: servers.listening(name))
    until(lambda: name in drone._planner._routes)  # its status has come
    drone.session.pipeline._strategy = lambda frame: Plan(0, 'raw', name)
    ended = world.hear(FrameLatency, 'frame_latency', qos.ENDS)
    world.speak(Image, 'image_raw', qos.CAMERA).publish(image())
    latency = ended.wait_for(lambda m: True)
    assert (latency.outcome, latency.server) == (Outcome.REMOTE, name)


def test_what_was_found_survives_a_deactivation(
        world: World, edge: Callable[..., Any], server: Callable[..., Any]) -> None:
    drone = edge(split='auto', server='auto')
    server()
    name = f'{world.ns}/server'
    until(lambda: drone._parts.servers.names == (name,))
    world.drive(drone, 'deactivate')
    world.drive(drone, 'activate')
    until(lambda: drone._parts.servers.listening(name))
    assert not [f.text for f in drone.findings(0.0) if 'is unknown' in f.text]


def test_forged_servers_are_not_used_without_end(
        world: World, edge: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, 'publishing',
                        lambda *_: [f'{world.ns}/s{n}' for n in range(100)])
    drone = edge(split='auto', server='auto')
    until(lambda: len(drone._parts.servers.names) == discovery.MAX_SERVERS)
    assert discovery.new_servers(drone, drone._parts.servers.names) == []


def test_a_fixed_cut_needs_the_name_of_a_server(world: World, artefact: Artefact) -> None:
    drone = world.make(EdgeInferenceNode, model=str(artefact.path), split='0', server='auto')
    world.drive(drone, 'configure')
    assert 'server auto needs split auto' in world.said('refused to configure')
