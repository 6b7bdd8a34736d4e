from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from node.world import World

    from offload_perception.network.artefact import Artefact
    from offload_perception.nodes.edge_inference import EdgeInferenceNode
    from offload_perception.nodes.remote_inference import RemoteInferenceNode

try:
    import offload_perception.msg  # noqa: F401
    import rclpy
    MISSING = ''
except ImportError as e:
    MISSING = f'needs ROS 2 and the built messages: {e}'
    collect_ignore_glob = ['test_*.py']


def pytest_report_header() -> str | None:
    return f'test/node is skipped: {MISSING}' if MISSING else None


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.shutdown()


@pytest.fixture
def world(ros: None) -> Iterator['World']:
    from node.world import World

    world = World()
    yield world
    world.close()


@pytest.fixture
def edge(world: 'World', artefact: 'Artefact') -> Callable[..., 'EdgeInferenceNode']:
    """Start a drone's node in this world, on board or with the server in it."""
    from offload_perception.nodes.edge_inference import EdgeInferenceNode

    def start(**parameters: Any) -> 'EdgeInferenceNode':
        return world.start(EdgeInferenceNode, **{
            'model': str(artefact.path), 'server': f'{world.ns}/server', 'runtime': 'litert',
            'image_reliability': 'reliable', 'max_in_flight': 8, 'reply_timeout': 10.0,
            **parameters})
    return start


@pytest.fixture
def server(world: 'World', artefact: 'Artefact') -> Callable[..., 'RemoteInferenceNode']:
    """Start the server of this world."""
    from offload_perception.nodes.remote_inference import RemoteInferenceNode

    def start(**parameters: Any) -> 'RemoteInferenceNode':
        return world.start(RemoteInferenceNode, ns='/server', **{
            'model': str(artefact.path), 'runtime': 'litert', 'status_period': 0.05,
            **parameters})
    return start


@pytest.fixture(scope='session')
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of small pictures: opened in no time."""
    folder = tmp_path_factory.mktemp('photos')
    for n in range(3):
        cv2.imwrite(str(folder / f'{n}.png'), np.full((32, 48, 3), 60 * n, np.uint8))
    return str(folder)
