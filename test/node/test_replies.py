"""Replies reach their drone, also before its subscription is known."""

from collections.abc import Callable, Iterator
from threading import Barrier, Thread
from typing import Any

import pytest
from node.world import WAIT_S, Heard, World, until
from offload_perception.msg import RemoteResult

from offload_perception.nodes import qos, replies
from offload_perception.nodes.replies import ReplyPublishers


@pytest.fixture
def publishers(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplyPublishers]:
    """The publishers of a server whose replies wait as long as a test may take."""
    monkeypatch.setattr(replies, 'MATCH_TIMEOUT_S', 10 * WAIT_S)
    publishers = ReplyPublishers(world.node)
    yield publishers
    world.do(publishers.close)


def reply(sequence: int) -> RemoteResult:
    return RemoteResult(sequence=sequence, drone='/drone')


def sequences(heard: list[RemoteResult] | Heard) -> list[int]:
    return [m.sequence for m in heard]


def listen(world: World, topic: str) -> Heard:
    """Return the messages on a topic, after the subscription is discovered."""
    heard = world.hear(RemoteResult, topic, qos.RESULTS)
    until(lambda: world.node.count_subscribers(topic))
    return heard


def made_for(world: World, topic: str) -> int:
    """Return how many publishers there are for a topic."""
    return sum(p.topic_name == topic for p in world.node.publishers)


def test_replies_reach_the_drone_once_and_in_order(world: World,
                                                   publishers: ReplyPublishers) -> None:
    topic = f'{world.ns}/a/remote_result'
    heard = listen(world, topic)
    for n in range(1, 6):
        publishers.publish(topic, reply(n))
    assert sequences(heard.wait_for(5)) == [1, 2, 3, 4, 5]
    assert publishers.lost == 0 and made_for(world, topic) == 1


def test_a_reply_waits_for_a_drone_that_is_not_known_yet(world: World,
                                                         publishers: ReplyPublishers) -> None:
    topic = f'{world.ns}/late/remote_result'
    for n in (1, 2, 3):
        publishers.publish(topic, reply(n))
    assert made_for(world, topic) == 0  # a name that was made up costs no publisher
    assert sequences(listen(world, topic).wait_for(3)) == [1, 2, 3]
    assert publishers.lost == 0 and not publishers._waiting
    until(publishers._timer.is_canceled)  # nothing waits, so nothing is looked for


def test_a_drone_that_does_not_come_holds_up_no_other_one(world: World,
                                                          publishers: ReplyPublishers) -> None:
    publishers.publish(f'{world.ns}/nobody/remote_result', reply(1))
    topic = f'{world.ns}/late/remote_result'
    publishers.publish(topic, reply(2))
    assert sequences(listen(world, topic).wait_for(1)) == [2]
    assert len(publishers._waiting) == 1 and publishers.lost == 0


def test_what_nobody_comes_for_is_lost_counted_and_named(world: World, publishers: ReplyPublishers,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, 'MATCH_TIMEOUT_S', 0.0)
    topic = f'{world.ns}/nobody/remote_result'
    publishers.publish(topic, reply(1))
    until(lambda: publishers.lost == 1)
    assert world.said(f'{topic} has no subscriber').endswith('a reply to /drone is lost')
    assert made_for(world, topic) == 0 and not publishers._waiting


def test_no_more_replies_wait_than_there_are_topics_and_the_oldest_go(
        world: World, publishers: ReplyPublishers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, 'MAX_TOPICS', 3)
    topic = f'{world.ns}/late/remote_result'
    for n in range(1, 6):
        publishers.publish(topic, reply(n))
    assert publishers.lost == 2
    assert sequences(listen(world, topic).wait_for(3)) == [3, 4, 5]


def test_the_publisher_that_was_used_least_recently_makes_room(
        world: World, publishers: ReplyPublishers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, 'MAX_TOPICS', 2)
    topics = [f'{world.ns}/{name}/remote_result' for name in 'abc']
    heard = {topic: listen(world, topic) for topic in topics}
    a, b, c = topics

    def numbered(n: int) -> Callable[[Any], bool]:
        return lambda m: m.sequence == n

    for n, topic in enumerate((a, b, a, c), 1):
        publishers.publish(topic, reply(n))
        heard[topic].wait_for(numbered(n))
    assert [made_for(world, topic) for topic in topics] == [1, 0, 1]
    publishers.publish(b, reply(5))
    assert sequences(heard[b].wait_for(2)) == [2, 5]


def test_threads_may_reply_at_the_same_time(world: World, publishers: ReplyPublishers) -> None:
    topic = f'{world.ns}/a/remote_result'
    heard, start = listen(world, topic), Barrier(4)

    def answer(first: int) -> None:
        start.wait()
        for n in (first, first + 1):
            publishers.publish(topic, reply(n))
    threads = [Thread(target=answer, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(sequences(heard.wait_for(8))) == [0, 1, 10, 11, 20, 21, 30, 31]
    assert made_for(world, topic) == 1


def test_after_the_end_nothing_is_published_and_nothing_is_left(
        world: World, publishers: ReplyPublishers) -> None:
    topic = f'{world.ns}/a/remote_result'
    heard = listen(world, topic)
    publishers.publish(topic, reply(1))
    heard.wait_for(1)
    world.do(publishers.close)
    publishers.publish(topic, reply(2))
    assert made_for(world, topic) == 0 and sequences(heard) == [1] and not publishers._waiting
