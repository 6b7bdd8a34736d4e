"""What a node makes of requests and signals, at any time: it answers, and it ends when asked."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from graph.command import WAIT_S, Command
from graph.node_beside import node_beside
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter

from offload_perception.nodes.running import SAME_WISH_S

ASK_AGAIN_S = 10.0
KERAS = (Path(__file__).parents[2] / 'offload_perception' / 'weights' / 'aerial'
         / 'model.keras')


class Operator:
    """Calls services of nodes from a node of its own, one client for each service."""

    def __init__(self, node: Node) -> None:
        self._node, self._clients = node, {}

    def call(self, kind: type, name: str, request: Any) -> Any:
        client = self._clients.setdefault(name, self._node.create_client(kind, name))
        assert client.wait_for_service(WAIT_S), name
        give_up_s = time.monotonic() + WAIT_S
        while time.monotonic() < give_up_s:
            answered, future = Event(), client.call_async(request)
            future.add_done_callback(lambda _, answered=answered: answered.set())
            # A reply is lost if the node has not discovered this client's end of it yet.
            if answered.wait(WAIT_S if kind is ChangeState else ASK_AGAIN_S):
                return future.result()
        raise AssertionError(f'{name} does not answer')

    def change(self, name: str, transition: int) -> bool:
        return self.call(ChangeState, f'{name}/change_state',
                         ChangeState.Request(transition=Transition(id=transition))).success

    def state(self, name: str) -> int:
        return self.call(GetState, f'{name}/get_state', GetState.Request()).current_state.id


@pytest.fixture
def operator() -> Iterator[Any]:
    with node_beside('operator') as node:
        yield Operator(node)


def until_active(operator: Operator, name: str) -> None:
    give_up_s = time.monotonic() + WAIT_S
    while operator.state(name) != State.PRIMARY_STATE_ACTIVE:
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


def camera(run: Any, photos: str, *more: str) -> Command:
    return run('camera_node', '--ros-args', '-r', '__ns:=/d', '-p', f'source:={photos}', *more)


def test_requests_that_do_not_fit_leave_a_node_as_it_is(run: Callable[..., Command], operator: Any,
                                                        photos: str) -> None:
    node = camera(run, photos)
    node.said('showing')
    until_active(operator, '/d/camera')
    for unfit in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE,
                  Transition.TRANSITION_DESTROY, 200):
        assert not operator.change('/d/camera', unfit)
        assert operator.state('/d/camera') == State.PRIMARY_STATE_ACTIVE
    assert operator.change('/d/camera', Transition.TRANSITION_DEACTIVATE)
    assert operator.change('/d/camera', Transition.TRANSITION_ACTIVATE)
    node.interrupt()
    assert node.wait() == 0


def test_a_launch_file_that_configures_and_activates_beside_autostart(
        run: Callable[..., Command], operator: Any, photos: str) -> None:
    """The usual pattern of launch_ros: CONFIGURE at once, ACTIVATE when that is done."""
    node = camera(run, photos)
    operator.change('/d/camera', Transition.TRANSITION_CONFIGURE)
    operator.change('/d/camera', Transition.TRANSITION_ACTIVATE)
    assert operator.state('/d/camera') == State.PRIMARY_STATE_ACTIVE
    node.interrupt()
    assert node.wait() == 0


@pytest.fixture
def preparing(run: Callable[..., Command], tmp_path: Path) -> Any:
    """A node that prepares a user's model, which takes long."""
    if not KERAS.is_file():
        pytest.skip('the bundled model.keras is not beside the tests')
    node = run('edge_inference_node', '--ros-args', '-r', '__ns:=/d', '-p', f'model:={KERAS}',
               env={'OFFLOAD_PERCEPTION_MODELS': str(tmp_path)})
    node.said('building')
    return node


def test_a_model_is_prepared_in_a_process_of_its_own(preparing: Any) -> None:
    """TensorFlow keeps Python's lock while it quantises, for a minute with a large model."""
    assert {p.pid for p in preparing.family()} > {preparing.process.pid}


def test_services_answer_while_a_model_is_prepared(preparing: Any, operator: Any) -> None:
    assert (operator.state('/d/edge_inference') == State.TRANSITION_STATE_CONFIGURING
            or 'loading' in preparing.output)


def test_parameters_are_refused_in_words_while_a_model_is_prepared(
        preparing: Any, operator: Any) -> None:
    request = SetParameters.Request(parameters=[Parameter('deadline', value=0.5)
                                                .to_parameter_msg()])
    result, = operator.call(SetParameters, '/d/edge_inference/set_parameters', request).results
    assert not result.successful and 'this node is busy' in result.reason


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_model_is_prepared_ends_the_node_promptly(
        preparing: Any, tmp_path: Path, sent: Any) -> None:
    preparing.process.send_signal(sent)
    assert preparing.wait() == 0
    assert not list(tmp_path.rglob('manifest.json'))  # it did not wait for the model
    assert preparing.nobody_is_left()


@pytest.mark.parametrize('after', ['', 'building'])
def test_a_signal_at_any_moment_of_the_start_ends_the_node(run: Callable[..., Command],
                                                           tmp_path: Path, after: Any) -> None:
    node = run('edge_inference_node', '--ros-args', '-r', '__ns:=/d', '-p', f'model:={KERAS}',
               env={'OFFLOAD_PERCEPTION_MODELS': str(tmp_path)})
    if after:
        node.said(after)
    node.process.send_signal(signal.SIGTERM)
    assert node.wait() in (0, -signal.SIGTERM)  # before it is its own, the system ends it


FAULTY = """
import sys, time
from offload_perception.bringup.config import CameraConfig
from offload_perception.nodes import running
from offload_perception.nodes.managed import ManagedNode, Session
from offload_perception.nodes.running import run
from offload_perception.threads import Worker

class Faulty(ManagedNode):
    def __init__(self, **kwargs):
        super().__init__('faulty', CameraConfig, **kwargs)
    def load(self):
        {load}
    def activate(self):
        self.resources.callback(self.stop)
        {activate}
        return Session()
    def stop(self):
        {deactivate}
    def tick(self):
        self.ticks = getattr(self, 'ticks', 0) + 1
        print('tick', self.ticks, flush=True)
        if self.ticks == 2:
            raise RuntimeError('tick has a bug')

sys.exit(run(Faulty, sys.argv))
"""


def faulty(run: Any, activate: str = 'pass', deactivate: str = 'pass',
           load: str = 'pass') -> Command:
    return run('python', '-c', FAULTY.format(activate=activate, deactivate=deactivate, load=load))


def test_a_callback_that_raises_ends_no_node(run: Callable[..., Command]) -> None:
    node = faulty(run, 'self.create_timer(0.05, self.tick)')
    node.said('tick 5')
    assert 'a callback failed' in node.output and 'tick has a bug' in node.output
    node.interrupt()
    assert node.wait() == 0


def test_a_node_without_a_vital_thread_says_so_and_ends_with_a_code(
        run: Callable[..., Command]) -> None:
    node = faulty(run, "Worker('lame', lambda: 1 / 0, vital=True).start()")
    assert node.wait() == 1
    assert 'thread lame has ended: ZeroDivisionError' in node.output


def test_a_node_that_cannot_stop_well_ends_in_order_otherwise(run: Callable[..., Command]) -> None:
    node = faulty(run, "print('active', flush=True)", '1 / 0')
    node.said('active')
    node.interrupt()
    assert node.wait() == 0
    assert 'failed to deactivate: ZeroDivisionError' in node.output


def test_a_callback_that_does_not_come_back_holds_up_no_end(run: Callable[..., Command]) -> None:
    node = faulty(run, "self.create_timer(0.01, lambda: (print('stuck', flush=True), "
                       'time.sleep(600)))')
    node.said('stuck')
    node.interrupt()
    assert node.wait() == 0
    assert 'without waiting' in node.output


def test_what_loads_is_told_that_the_process_is_to_end(run: Callable[..., Command]) -> None:
    node = faulty(run, load="running.GRACE_S = 60.0; print('loading', flush=True); "
                            "self.cancelled.wait(600); print('told', flush=True)")
    node.said('loading')
    node.interrupt()
    node.said('told')
    assert node.wait() == 0


def test_a_second_signal_ends_a_node_at_once(run: Callable[..., Command]) -> None:
    node = faulty(run, "print('active', flush=True)",
                  "print('stopping', flush=True); time.sleep(600)")
    node.said('active')
    node.interrupt()
    node.said('stopping')
    time.sleep(SAME_WISH_S)  # sooner, it would count as the same Ctrl-C
    node.interrupt()
    assert node.wait() == 128 + signal.SIGINT
