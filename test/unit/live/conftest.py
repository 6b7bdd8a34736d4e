import pytest
from unit.live import drone
from unit.live.drone import Clock

from offload_perception.live.fleet_state import FleetState
from offload_perception.live.state import LiveState


@pytest.fixture
def clock() -> Clock:
    return drone.Clock()


@pytest.fixture
def fleet(clock: Clock) -> FleetState:
    return FleetState('/drone1', ('/server', '/server2'), clock)


@pytest.fixture
def state(fleet: FleetState) -> LiveState:
    """The state of the fleet's own drone."""
    return fleet.own
