import pytest
from unit.live import drone
from unit.live.drone import Clock

from offload_perception.live.state import LiveState


@pytest.fixture
def clock() -> Clock:
    return drone.Clock()


@pytest.fixture
def state(clock: Clock) -> LiveState:
    return LiveState('/drone1', ('/server', '/server2'), clock)
