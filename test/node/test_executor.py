"""The executors of one node: frames have a lane, and nothing else that is done holds it up."""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Event, current_thread
from typing import Any

import pytest
import rclpy
from node.world import WAIT_S, World, until
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Empty

from offload_perception.bringup.config import CameraConfig
from offload_perception.nodes import qos
from offload_perception.nodes.executor import GroupExecutor
from offload_perception.nodes.managed import ManagedNode
from offload_perception.nodes.running import spin


class Notes:
    """Threads in which callbacks ran, by the name of the callback."""

    def __init__(self) -> None:
        self.threads: dict[str, str] = {}
        self._came: dict[str, Event] = {}

    def __call__(self, name: str) -> None:
        self.threads[name] = current_thread().name
        self._came.setdefault(name, Event()).set()

    def wait(self, name: str) -> str:
        assert self._came.setdefault(name, Event()).wait(WAIT_S), f'{name} was never called'
        return self.threads[name]


class Hearing(ManagedNode[CameraConfig, Any]):
    """A node with a subscription in its lane and another one beside it."""

    def __init__(self, note: Notes, **kwargs: Any) -> None:
        super().__init__('hearing', CameraConfig, **kwargs)
        self.subscribe(Empty, 'frames', lambda _: note('frame'), qos.RESULTS,
                       callback_group=self.lane)
        self.busy, self.let_go = Event(), Event()
        self.create_subscription(Empty, 'work', self._stay, qos.RESULTS)
        self._note, self._once = note, {}
        for name, group in (('lane', self.lane), ('orders', self.orders), ('callbacks', None)):
            self._once[name] = self.create_timer(0.001, partial(self._say, name),
                                                 callback_group=group)

    def _say(self, name: str) -> None:
        self._once[name].cancel()  # a lane that a timer wakes would not have to be woken
        self._note(name)

    def _stay(self, _: Empty) -> None:
        self.busy.set()
        self.let_go.wait(WAIT_S)


@pytest.fixture
def note() -> Notes:
    return Notes()


@pytest.fixture
def hearing(world: World, note: Notes) -> Iterator[Hearing]:
    """The node on the executors of its process."""
    node = Hearing(note, namespace=world.ns, cli_args=['--ros-args', '-p', 'autostart:=false'])
    spinners = spin(node)
    yield node
    node.let_go.set()
    assert all([spinner.stop(WAIT_S) for spinner in spinners])
    node.destroy_node()


def test_a_frame_does_not_wait_for_what_else_the_node_does(world: World, hearing: Hearing,
                                                           note: Notes) -> None:
    frames, work = (world.speak(Empty, topic, qos.RESULTS) for topic in ('frames', 'work'))
    work.publish(Empty())
    assert hearing.busy.wait(WAIT_S)
    frames.publish(Empty())
    assert note.wait('frame') == 'lane'
    assert not hearing.let_go.is_set()


def test_each_group_has_a_thread_of_its_own(hearing: Hearing, note: Notes) -> None:
    for name in ('lane', 'orders', 'callbacks'):
        assert note.wait(name) == name


def test_a_subscription_made_in_flight_is_served_when_the_lane_is_woken(
        world: World, hearing: Hearing, note: Notes) -> None:
    note.wait('lane')  # and sleeps now
    hearing.subscribe(Empty, 'more', lambda _: note('more'), qos.RESULTS,
                      callback_group=hearing.lane)
    hearing.wake_lane()
    world.speak(Empty, 'more', qos.RESULTS).publish(Empty())
    assert note.wait('more') == 'lane'


def test_a_step_runs_between_the_callbacks_and_its_result_comes_back(hearing: Hearing) -> None:
    assert hearing.on_loop(lambda: current_thread().name) == 'callbacks'
    with pytest.raises(ZeroDivisionError):
        hearing.on_loop(lambda: 1 / 0)


@pytest.mark.parametrize('kind', ['drone', 'server'])
def test_what_carries_frames_is_in_the_lane_and_nothing_else(
        edge: Callable[..., Any], server: Callable[..., Any], kind: str) -> None:
    node = edge(split='auto') if kind == 'drone' else server()
    in_lane = {s.topic_name.rpartition('/')[2] for s in node.subscriptions
               if s.callback_group is node.lane}
    assert in_lane == ({'image_raw', 'remote_result', 'beat'} if kind == 'drone'
                       else {'features'})
    assert not [t for t in node.timers if t.callback_group is node.lane]


@pytest.fixture
def alone(world: World) -> Iterator[tuple[Node, GroupExecutor]]:
    """A node whose entities one GroupExecutor serves, in the thread of the test."""
    node = rclpy.create_node('alone', namespace=world.ns)
    executor = GroupExecutor(node, lambda group: True)
    yield node, executor
    executor.shutdown()
    node.destroy_node()


def test_what_a_callback_raises_comes_out_and_the_next_step_goes_on(
        alone: tuple[Node, GroupExecutor]) -> None:
    node, executor = alone
    calls = []

    def call() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ValueError('the callback has a bug')
    node.create_timer(0.001, call)
    with pytest.raises(ValueError, match='the callback has a bug'):
        until(lambda: not executor.step())
    until(lambda: executor.step() and len(calls) > 1)


def test_an_executor_leaves_alone_what_is_not_its_own(world: World) -> None:
    node = rclpy.create_node('two_groups', namespace=world.ns)
    own = MutuallyExclusiveCallbackGroup()
    executor = GroupExecutor(node, lambda group: group is own)
    mine, others = [], []
    node.create_timer(0.001, lambda: others.append(1))
    node.create_timer(0.001, lambda: mine.append(1), callback_group=own)
    until(lambda: executor.step() and len(mine) > 9)
    assert not others
    executor.shutdown()
    node.destroy_node()


def test_after_the_end_a_step_says_so_and_raises_nothing(
        alone: tuple[Node, GroupExecutor]) -> None:
    node, executor = alone
    node.create_timer(0.001, lambda: 1 / 0)
    executor.shutdown()
    assert executor.step() is False


def test_an_entity_that_is_destroyed_at_the_same_time_is_let_go(
        alone: tuple[Node, GroupExecutor], monkeypatch: pytest.MonkeyPatch) -> None:
    def destroyed(*_: object) -> None:
        raise InvalidHandle('cannot use Destroyable because destruction was requested')
    monkeypatch.setattr(SingleThreadedExecutor, 'spin_once', destroyed)
    assert alone[1].step() is True
