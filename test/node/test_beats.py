"""A server's beats: that they come, with its backlog, and reach the drone's planner."""

import threading
from collections.abc import Callable
from itertools import pairwise
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


def test_beats_tell_clock_period_and_backlog(world: World, server: Callable[..., Any],
                                             beats: Heard) -> None:
    node = server(beat_period=PERIOD_S)
    first = beats.wait_for(3)[:3]
    assert all(m.period == pytest.approx(PERIOD_S) and m.expected_wait == 0.0 for m in first)
    assert all(a.clock < b.clock for a, b in pairwise(first))
    node.session.pipeline.backlog_s = lambda: 1.5
    beats.wait_for(lambda m: m.expected_wait == 1.5)


def test_beats_come_while_the_executor_is_busy(world: World, server: Callable[..., Any],
                                               beats: Heard) -> None:
    server(beat_period=PERIOD_S)
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
    beats.wait_for(3)
    assert 'beats' in {t.name for t in threading.enumerate()}
    world.drive(node, 'deactivate')
    assert 'beats' not in {t.name for t in threading.enumerate()}
    world.drive(node, 'activate')
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
    drone.session.strategy.observe_beat = lambda *args, **fields: heard.append((args, fields))
    until(lambda: len(heard) > 3)
    (server_name, age_s), fields = heard[-1]
    assert server_name == name and 0.0 < age_s < 1.0  # exactly 0 where the stamp is missing
    assert fields['period_s'] == pytest.approx(PERIOD_S) and fields['wait_s'] == 0.0
    del drone.session.strategy.observe_beat
    node.session.pipeline.backlog_s = lambda: 0.75
    load = drone.session.strategy.session._routes[name].load
    until(lambda: load.seen_wait_s(drone.session.strategy._clock()) == 0.75)


def test_a_drone_with_a_fixed_split_does_not_listen_to_beats(
        world: World, edge: Callable[..., Any], server: Callable[..., Any]) -> None:
    node = server()
    edge(split='block4_pool')
    until(lambda: world.node.count_subscribers(f'{world.ns}/server/features') == 1)
    until(lambda: world.node.count_subscribers(f'{world.ns}/server/status') == 1)
    assert not node._parts.beats.get_subscription_count()
