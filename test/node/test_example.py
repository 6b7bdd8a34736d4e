"""The example of docs/examples, run as it stands there."""

import json
import runpy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from node.world import World, until
from offload_perception.msg import FrameLatency, GeotaggedClassification
from std_msgs.msg import String

from offload_perception.nodes import qos

EXAMPLE = Path(__file__).parents[2] / 'docs' / 'examples' / 'photo_request.py'


@pytest.fixture
def example(world: World) -> Iterator[Callable[..., Any]]:
    """Run the example beside two publishers; yields a function that says a pair."""
    node = runpy.run_path(str(EXAMPLE))['PhotoRequest'](namespace=world.ns)
    world.executor.add_node(node)
    tagged = world.speak(GeotaggedClassification, 'geotagged', qos.RESULTS)
    latency = world.speak(FrameLatency, 'frame_latency', qos.ENDS)
    until(lambda: world.node.count_publishers(f'{world.ns}/photo_request'))

    def say(stamp: int, *, late: bool = False, labels: Sequence[str] = ('water', 'field'),
            scores: Sequence[float] = (0.75, 0.2), **fields: Any) -> None:
        m = GeotaggedClassification(**{
            'position_valid': True, 'latitude': 47.5, 'longitude': 8.25, **fields})
        m.classification.labels, m.classification.scores = labels, scores
        m.classification.trained = True
        end = FrameLatency(deadline=0.2, deadline_met=not late)
        m.header.stamp.sec = end.header.stamp.sec = stamp
        for publisher, half in ((latency, end), (tagged, m))[::-1 if stamp % 2 else 1]:
            publisher.publish(half)
    yield say
    world.executor.remove_node(node)
    node.destroy_node()


def test_the_example_asks_for_photos_of_what_was_seen_in_time(
        world: World, example: Callable[..., Any]) -> None:
    heard = world.hear(String, 'photo_request', qos.RESULTS)
    until(lambda: world.node.count_subscribers(f'{world.ns}/photo_request'))
    example(1)
    heard.wait_for(1)
    example(2, late=True)
    example(3, position_valid=False, reason='no position: none received')
    world.said('not where: no position')
    example(4, labels=(), scores=())  # a detector that found nothing
    example(5, labels=('boat', 'water', 'water'), scores=(0.9, 0.8, 0.1))
    first, second = (json.loads(m.data) for m in heard.wait_for(2))
    assert (first['latitude'], first['longitude'], first['stamp']) == (47.5, 8.25, [1, 0])
    assert second['stamp'] == [5, 0] and second['score'] == 0.8
