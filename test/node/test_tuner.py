"""A tuner whose drone answers late, or not at the first time."""


import pytest
from node.world import World
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import Parameter
from rclpy.task import Future

from offload_perception.bringup.tuning import TUNABLE
from offload_perception.errors import TuningError
from offload_perception.nodes import tuner
from offload_perception.nodes.tuner import Tuner

VALUES = {'split': 'block3_pool', 'codec': 'zstd', 'deadline': 0.5}


class LosesAnswers:
    """A client of a drone's parameters that loses the first `lost` answers."""

    def __init__(self, lost: int) -> None:
        self.asked, self._lost = 0, lost

    def wait_for_services(self, timeout_s: float) -> bool:
        return True

    def get_parameters(self, names: list[str]) -> Future:
        self.asked += 1
        answer = Future()
        if self.asked > self._lost:
            answer.set_result(GetParameters.Response(values=[_value(name) for name in names]))
        return answer


def _value(name: str) -> ParameterValue:
    return Parameter(name, value=VALUES[name]).to_parameter_msg().value


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, 'ASK_AGAIN_S', 0.01)


def tuner_with(world: World, client: LosesAnswers) -> Tuner:
    found = Tuner(world.node, world.ns)
    found._client = client  # type: ignore[assignment]
    return found


def test_a_lost_answer_is_asked_for_again(world: World) -> None:
    assert list(TUNABLE) == list(VALUES)
    client = LosesAnswers(2)
    assert tuner_with(world, client).values() == VALUES
    assert client.asked == 3


def test_answers_that_are_all_lost_are_an_error(world: World) -> None:
    client = LosesAnswers(1_000_000)
    with pytest.raises(TuningError, match='does not answer within'):
        tuner_with(world, client).values(timeout_s=0.1)
    assert client.asked > 1
