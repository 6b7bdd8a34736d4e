import pytest
from unit.live import drone

from offload_perception.live.state import LiveState


@pytest.fixture
def clock():
    return drone.Clock()


@pytest.fixture
def state(clock):
    return LiveState('/drone1', ('/server', '/server2'), clock)
