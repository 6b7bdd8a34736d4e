"""A server's beats: that they come, with its backlog, and reach the drone's planner."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from node.world import Heard, World, until
from offload_perception.msg import ServerBeat, ServerStatus

from offload_perception.nodes import qos
from offload_perception.nodes.remote_inference import RemoteInferenceNode

PERIOD_S = 0.02


@pytest.fixture
def beats(world: World) -> Heard:
    return world.hear(ServerBeat, 'server/beat', qos.BEAT)


def test_beats_tell_the_backlog_while_there_is_one_and_its_end_once(
        world: World, server: Callable[..., Any], beats: Heard) -> None:
    node = server(beat_period=PERIOD_S)
    statuses = world.hear(ServerStatus, 'server/status', qos.LATCHED)
    statuses.wait_for(2)
    assert not beats
    node.session.pipeline.backlog_s = lambda: 1.5
    beats.wait_for(3)
    node.session.pipeline.backlog_s = lambda: 0.0
    beats.wait_for(lambda m: m.expected_wait == 0.0)
    count = len(beats)
    statuses.wait_for(len(statuses) + 2)
    assert len(beats) == count


def test_beats_come_while_the_executor_is_busy(world: World, server: Callable[..., Any],
                                               beats: Heard) -> None:
    server(beat_period=PERIOD_S).session.pipeline.backlog_s = lambda: 0.5
    sent, go = [], threading.Event()
    beats.wait_for(1)
    node = world.newest
    publish = node._parts.beats.publish

    def counting(message: Any) -> None:
        sent.append(publish(message))
        if len(sent) == 3:
            go.set()
    node._parts.beats.publish = counting
    assert world.do(lambda: go.wait(5.0), node)


def test_no_beats_where_the_period_is_zero_and_where_inactive(
        world: World, server: Callable[..., Any], beats: Heard) -> None:
    statuses = world.hear(ServerStatus, 'server/status', qos.LATCHED)
    node = server(beat_period=0.0)
    statuses.wait_for(5)
    assert not beats
    world.drive(node, 'deactivate', 'cleanup')
    world.set(node, beat_period=PERIOD_S)
    world.drive(node, 'configure')
    world.drive(node, 'activate')
    node.session.pipeline.backlog_s = lambda: 0.5
    beats.wait_for(3)
    assert 'beats' in {t.name for t in threading.enumerate()}
    world.drive(node, 'deactivate')
    assert 'beats' not in {t.name for t in threading.enumerate()}
    world.drive(node, 'activate')
    node.session.pipeline.backlog_s = lambda: 0.5
    beats.wait_for(len(beats) + 3)


@pytest.mark.parametrize('period', [-0.1, 1.5])
def test_a_period_out_of_range_is_refused(world: World, period: float) -> None:
    node = world.make(RemoteInferenceNode, ns='/server')
    verdict = world.set(node, beat_period=period)
    assert not verdict.successful and 'beat_period' in verdict.reason


def test_the_planner_hears_beats_at_the_time_of_the_middleware(
        world: World, edge: Callable[..., Any], server: Callable[..., Any]) -> None:
    node = server(beat_period=PERIOD_S)
    drone = edge(split='auto')
    name = f'{world.ns}/server'
    until(lambda: name in drone.session.strategy.session._routes)
    heard = []
    strategy = drone.session.strategy
    strategy.observe_backlog = lambda *args: heard.append(args)
    node.session.pipeline.backlog_s = lambda: 0.75
    until(lambda: heard)
    server_name, age_s, wait_s = heard[-1]
    assert server_name == name and 0.0 < age_s < 1.0  # exactly 0 where the stamp is missing
    assert wait_s == 0.75
    del strategy.observe_backlog
    route = strategy.session._routes[name]
    until(lambda: route.wait(strategy._clock())[0] > 0.4)


def test_a_drone_with_a_fixed_split_does_not_listen_to_beats(
        world: World, edge: Callable[..., Any], server: Callable[..., Any]) -> None:
    node = server()
    edge(split='block4_pool')
    until(lambda: world.node.count_subscribers(f'{world.ns}/server/features') == 1)
    until(lambda: world.node.count_subscribers(f'{world.ns}/server/status') == 1)
    assert not node._parts.beats.get_subscription_count()
