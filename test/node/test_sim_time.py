"""With use_sim_time the node works on whatever /clock does."""

from collections.abc import Callable
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from node.world import World, image, until
from offload_perception.msg import FeatureTensor, FrameLatency, ServerStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from offload_perception.nodes import qos


@pytest.fixture(params=['no clock', 'paused'])
def clock(request: pytest.FixtureRequest, world: World) -> Callable[..., Any]:
    """Let the clock stand still at 100 s, or be absent; return which."""
    def start(node: Any) -> bool:
        if request.param == 'paused':
            message = Clock()
            message.clock.sec = 100
            world.speak(Clock, '/clock', qos.TELEMETRY).publish(message)
            until(lambda: node.get_clock().now().nanoseconds)
        return request.param == 'paused'
    return start


def test_frames_without_a_reply_end_and_health_is_reported(world: World, edge: Callable[..., Any],
                                                           clock: Callable[..., Any]) -> None:
    ends = world.hear(FrameLatency, 'frame_latency', qos.ENDS)
    health = world.hear(DiagnosticArray, '/diagnostics', 100)
    silent = world.hear(FeatureTensor, 'server/features', qos.features(8))
    node = edge(split='0', use_sim_time=True, reply_timeout=0.1)
    paused = clock(node)
    until(lambda: node._parts.servers.listening(node._parts.servers.names[0]))
    eye = world.speak(Image, 'image_raw', qos.CAMERA)
    for stamp in (1, 2, 3):
        eye.publish(image(stamp))
        silent.wait_for(stamp)
        ends.wait_for(stamp)
    assert {m.reason for m in ends} == {'no reply'}
    assert health.wait_for(lambda m: m.status[0].name == node.get_fully_qualified_name()
                           and m.status[0].message != 'not active'
                           and ('no /clock comes' in m.status[0].message) is not paused)


def test_a_server_announces_itself(world: World, server: Callable[..., Any],
                                   clock: Callable[..., Any]) -> None:
    statuses = world.hear(ServerStatus, 'server/status', qos.LATCHED)
    clock(server(use_sim_time=True))
    assert statuses.wait_for(len(statuses) + 3)
