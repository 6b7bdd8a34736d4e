"""Tensors that are sent on to replicas; Ray itself is in test_ray_tails.py."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Condition

import pytest
from unit.pipeline.pipeline_fakes import ARTEFACT, WAIT_S, Clock, Log, packet

from offload_perception.frames import PROBE_CODEC, FeaturePacket, Result, Status
from offload_perception.serving import ray_pipeline
from offload_perception.serving.compute_tails import Computed
from offload_perception.serving.ray_pipeline import RayPipeline
from offload_perception.serving.server_pipeline import ServerSettings

OK = Computed(Status.OK, '', Result((3,), ('three',), (.5,)), 'litert', 'cpu', 2, .001, .01, .02)


@dataclass
class FakeTails:
    """Replicas that answer when the test says so."""

    artefact = ARTEFACT
    running: int = 2
    most: int = 4
    asked: list[int] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    answers: dict[int, 'asyncio.Future[Computed]'] = field(default_factory=dict)

    def compute(self, packet: FeaturePacket) -> 'asyncio.Future[Computed]':
        with self.changed:
            answer = self.answers[packet.sequence] = asyncio.Future()
            self.asked.append(packet.sequence)
            self.changed.notify_all()
        return answer

    def answer(self, number: int, what: Computed | Exception) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: number in self.answers, WAIT_S)
            answer = self.answers[number]
        loop = answer.get_loop()
        if isinstance(what, Exception):
            loop.call_soon_threadsafe(answer.set_exception, what)
        else:
            loop.call_soon_threadsafe(answer.set_result, what)


class Server:
    """A pipeline whose replies are recorded."""

    def __init__(self) -> None:
        self.clock, self.replies, self.tails = Clock(), Log(), FakeTails()
        self.pipeline = RayPipeline(tails=self.tails, reply=self.replies, clock=self.clock,
                                    settings=ServerSettings('/server', queue_limit=3))
        self.pipeline.start()

    @property
    def statuses(self) -> dict[int, Status]:
        assert len({r.packet.sequence for r in self.replies}) == len(self.replies)
        return {r.packet.sequence: r.status for r in self.replies}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_pipeline, 'GRACE_S', 0.0)
        server.pipeline.stop()


def test_a_result_has_its_durations_inside(server: Server) -> None:
    sent = packet(5)
    server.pipeline.submit(sent)
    server.clock.now_s += 0.131
    server.tails.answer(5, OK)
    reply, = server.replies.wait_for(1)
    assert reply.packet is sent and reply.status is Status.OK and reply.result == OK.result
    assert (reply.server, reply.runtime, reply.device, reply.batch) == (
        '/server', 'litert', 'cpu', 2)
    assert (reply.decode_s, reply.tail_s) == pytest.approx((.001, .03))
    assert reply.server_wait_s == pytest.approx(0.1)
    assert reply.server_total_s == pytest.approx(0.131)
    assert (server.pipeline.ran, server.pipeline.ran_on) == ('litert', 'cpu')


def test_what_no_replica_is_needed_for_is_answered_at_once(server: Server) -> None:
    server.pipeline.submit(packet(1, codec=PROBE_CODEC, data=bytes(64), parts=()))
    server.pipeline.submit(packet(2, model_digest='ff' * 32))
    server.pipeline.submit(packet(3, remaining_s=-0.1))
    assert server.statuses == {1: Status.PROBE, 2: Status.REFUSED, 3: Status.LATE}
    assert not server.tails.asked and server.pipeline.counts.received == 2


def test_more_than_the_limit_under_way_are_refused_at_once(server: Server) -> None:
    for n in range(1, 5):
        server.pipeline.submit(packet(n))
    assert server.statuses == {4: Status.BUSY} and '3 tensors' in server.replies[0].message
    assert server.pipeline.current_load().queue_length == 3
    assert server.pipeline.drones()[1].total() == 3
    for n in (3, 1, 2):
        server.tails.answer(n, OK)
    server.replies.wait_for(4)
    assert server.statuses == {4: Status.BUSY, **dict.fromkeys((1, 2, 3), Status.OK)}
    counts = server.pipeline.counts
    assert counts.received == counts.replies.total() == 4 and counts.batches == (0, 1, 0, 0)
    assert server.pipeline.backlog_s() == 0.0 and not server.pipeline.drones()[1]


def test_a_tensor_is_given_up_at_its_deadline(server: Server) -> None:
    server.pipeline.submit(packet(1, remaining_s=0.01))
    reply, = server.replies.wait_for(1)
    assert reply.status is Status.LATE
    assert server.tails.answers[1].cancelled()


def test_a_tensor_without_a_deadline_is_not_awaited_for_ever(
        server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pipeline, 'ANSWER_S', 0.01)
    server.pipeline.submit(packet(1))
    reply, = server.replies.wait_for(1)
    assert reply.status is Status.FAILED and 'no replica answered' in reply.message


def test_the_wait_is_in_proportion_to_what_is_under_way(server: Server) -> None:
    server.pipeline.submit(packet(1))
    server.clock.now_s += 0.131
    server.tails.answer(1, OK)
    server.replies.wait_for(1)
    assert server.pipeline.backlog_s() == 0.0
    server.pipeline.submit(packet(2))
    assert server.pipeline.backlog_s() == pytest.approx(0.2)
    assert server.pipeline.current_load().expected_waits_s == pytest.approx((.2,) * ARTEFACT.last)
    server.pipeline.submit(packet(3, remaining_s=0.22))  # too little for its layers too
    reply = server.replies.wait_for(2)[1]
    assert reply.status is Status.BUSY and 'the wait would be 0.200 s' in reply.message
    server.pipeline.submit(packet(4, remaining_s=WAIT_S))
    server.tails.answer(4, OK)
    assert server.replies.wait_for(3)[2].expected_wait_s == pytest.approx(0.2)


def test_a_replica_that_dies_fails_its_tensors_and_no_others(server: Server) -> None:
    for n in (1, 2):
        server.pipeline.submit(packet(n))
    server.tails.answer(1, ConnectionError('the replica has died\npid: 1'))
    server.tails.answer(2, OK)
    server.replies.wait_for(2)
    assert server.statuses == {1: Status.FAILED, 2: Status.OK}
    assert {r.message for r in server.replies} == {'', 'ConnectionError: the replica has died'}


def test_stopping_answers_what_is_under_way(server: Server,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pipeline, 'GRACE_S', 0.0)
    for n in (1, 2):
        server.pipeline.submit(packet(n))
    server.pipeline.stop()
    assert server.statuses == {1: Status.BUSY, 2: Status.BUSY}
    server.pipeline.submit(packet(3))
    assert 'not serving' in server.replies[2].message
    assert server.pipeline.counts.received == server.pipeline.counts.replies.total() == 3


def test_a_reply_that_is_not_taken_does_not_stop_others(server: Server) -> None:
    server.replies.then = OSError('no link')
    server.pipeline.submit(packet(1))
    server.tails.answer(1, OK)
    server.replies.wait_for(1)
    server.replies.then = None
    server.pipeline.submit(packet(2))
    server.tails.answer(2, OK)
    assert server.replies.wait_for(2)[1].status is Status.OK
    assert server.pipeline.current_load().queue_length == 0
