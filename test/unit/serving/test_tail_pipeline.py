import base64
from collections import Counter
from collections.abc import Iterator
from math import nan
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.pipeline.pipeline_fakes import (
    ARTEFACT,
    CUT_IMAGE,
    CUT_POOL,
    POOLED,
    WAIT_S,
    Clock,
    FakeNetwork,
    Log,
    packet,
)

from offload_perception import codec
from offload_perception.frames import PROBE_CODEC, Result, Status
from offload_perception.serving.fair_shares import KNOWN_S
from offload_perception.serving.server_pipeline import ServerSettings
from offload_perception.serving.tail_pipeline import TailPipeline
from offload_perception.tensor import TensorSpec


class Server:
    """A pipeline whose replies are recorded; `hold` keeps its worker in a tail."""

    def __init__(self, queue_limit: int = 16) -> None:
        self.clock, self.replies = Clock(), Log()
        self.network = FakeNetwork(self.clock)
        self.pipeline = TailPipeline(
            network=self.network, reply=self.replies, clock=self.clock,
            settings=ServerSettings('/server', queue_limit, top_k=2))
        self.pipeline.start()

    def hold(self) -> None:
        self.network.gate.close()
        self.pipeline.submit(packet(1, first=1))
        assert self.network.gate.reached.wait(WAIT_S)

    @property
    def statuses(self) -> list[tuple[int, Status]]:
        return [(r.packet.sequence, r.status) for r in self.replies]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(queue_limit=3)
    yield server
    server.network.gate.open()
    server.pipeline.stop()


def test_a_result_has_its_durations_inside(server: Server) -> None:
    server.network.take_s = 0.25
    sent = packet(5)
    server.pipeline.submit(sent)
    reply, = server.replies.wait_for(1)
    assert reply.packet is sent and reply.status is Status.OK
    assert (reply.result.ids, reply.result.labels) == ((3, 2), ('three', 'two'))
    assert reply.result.scores == pytest.approx((.5, .2))
    assert (reply.server_wait_s, reply.decode_s, reply.tail_s, reply.server_total_s) == (
        0.0, 0.0, 0.25, 0.25)
    assert (reply.server, reply.runtime, reply.device) == ('/server', 'fake', 'cpu')


def test_a_probe_is_answered_once_and_at_once_and_is_no_tensor(server: Server) -> None:
    server.hold()
    server.pipeline.submit(packet(2, codec=PROBE_CODEC, data=bytes(4096), parts=()))
    reply, = server.replies
    assert (reply.status, reply.packet.sequence, reply.server) == (Status.PROBE, 2, '/server')
    assert reply.server_total_s == 0.0 and server.pipeline.counts.received == 1


def test_the_backlog_is_the_work_ahead(server: Server) -> None:
    assert server.pipeline.backlog_s() == 0.0
    server.hold()
    server.pipeline.submit(packet(2))
    assert server.pipeline.backlog_s() == 0.0  # how long a tail takes is not known yet
    server.network.take_s = 0.25
    server.network.gate.open()
    server.replies.wait_for(2)
    server.hold()
    assert server.pipeline.backlog_s() == pytest.approx(0.25)
    server.pipeline.submit(packet(4, cut=CUT_IMAGE))  # of no known time: as others
    server.pipeline.submit(packet(5))
    assert server.pipeline.backlog_s() == pytest.approx(0.75)
    server.clock.now_s += 0.1
    assert server.pipeline.backlog_s() == pytest.approx(0.65)
    server.clock.now_s += 0.4  # longer than usual already
    assert server.pipeline.backlog_s() == pytest.approx(0.5)
    server.network.take_s = 0.01  # shorter than expected
    server.network.gate.open()
    server.replies.wait_for(5)
    server.pipeline.stop()
    assert server.pipeline.backlog_s() == 0.0


REFUSALS = {
    'another model': ({'model_digest': 'ff' * 32}, 'same model and weights'),
    'cut of the last layer': ({'split': 2}, 'use 0..1'),
    'cut that does not exist': ({'split': 99}, 'cut 99 does not exist'),
    'wrong dtype': ({'dtype': 'uint8'}, 'got uint8'),
    'wrong shape': ({'shape': (2, 2, 5)}, '(2, 2, 5)'),
    'shape of another cut': ({'split': 0, 'split_name': 'input'}, 'cut 0 is uint8'),
    'scale not a number': ({'scale': float('nan')}, 'scale'),
    'infinite scale': ({'scale': float('inf')}, 'scale'),
    'other scale': ({'scale': 0.51}, 'scale'),
    'other zero point': ({'zero_point': 0}, 'zero point'),
    'no data': ({'data': b''}, '0 bytes'),
    'far too much data': ({'data': bytes(10_000)}, '10000 bytes'),
    'damaged data': ({'data': b'garbage that is no stream'}, 'format'),
}


@pytest.mark.parametrize(('changes', 'text'), REFUSALS.values(), ids=REFUSALS)
def test_a_packet_that_cannot_be_right_is_refused_in_words(server: Server, changes: dict[str, Any],
                                                           text: str) -> None:
    server.pipeline.submit(packet(1, **changes))
    reply, = server.replies.wait_for(1)
    assert reply.status is Status.REFUSED and text in reply.message
    assert reply.result == Result()
    server.pipeline.submit(packet(2))
    assert server.replies.wait_for(2)[1].status is Status.OK


@pytest.mark.parametrize('cut', [CUT_IMAGE, CUT_POOL])
def test_data_may_be_twice_the_tensor_and_4_kb_and_no_more(server: Server, cut: int) -> None:
    limit = 2 * ARTEFACT.tensors(cut)[0].nbytes + 4096
    for n in (limit, limit + 1):
        server.pipeline.submit(packet(n, cut=cut, data=bytes(n)))
    said = {r.packet.sequence: r.message for r in server.replies.wait_for(2)}
    assert 'format' in said[limit] and f'{limit + 1} bytes of data' in said[limit + 1]


def test_data_of_another_tensor_than_announced_are_refused(server: Server) -> None:
    other = codec.encode(np.zeros((4, 4), np.int8), TensorSpec((4, 4), 'int8', .5, -128), 'raw')
    assert len(other) <= POOLED.nbytes + 100
    server.pipeline.submit(packet(1, data=other))
    reply, = server.replies.wait_for(1)
    assert reply.status is Status.REFUSED and 'checksum' in reply.message


def test_a_drone_of_an_earlier_version_is_refused_in_clear_words(server: Server) -> None:
    recorded = base64.b64decode('pABQoidAjKSAgJeUgKs=')  # as codec format 0xA4 was
    server.pipeline.submit(packet(data=recorded))
    reply, = server.replies.wait_for(1)
    assert reply.status is not Status.OK
    assert 'install the same version on drone and server' in reply.message


def test_what_a_packet_says_makes_no_refusal_long_or_unprintable(server: Server) -> None:
    server.pipeline.submit(packet(1, dtype='\x1b[2J' + 'x' * 100_000))
    reply, = server.replies.wait_for(1)
    assert reply.status is Status.REFUSED
    assert reply.message.isprintable() and len(reply.message) <= 1000


def test_tensors_are_computed_in_the_order_of_arrival(server: Server) -> None:
    server.hold()
    for n in (2, 3, 4):
        server.pipeline.submit(packet(n, first=n))
    server.network.gate.open()
    server.replies.wait_for(4)
    assert server.network.order == [1, 2, 3, 4]
    assert [n for n, _ in server.statuses] == [1, 2, 3, 4]


def test_a_full_queue_refuses_at_once(server: Server) -> None:
    server.hold()
    for n in range(2, 6):
        server.pipeline.submit(packet(n))
    assert server.statuses == [(5, Status.BUSY)] and '3 tensors' in server.replies[0].message
    assert server.pipeline.current_load().queue_length == 3
    server.clock.now_s += 1e-3  # the shortest time that a rate is taken over
    assert server.pipeline.current_load().arrival_rate == pytest.approx(4 / 1e-3, rel=0.01)
    server.network.gate.open()
    server.replies.wait_for(5)
    assert dict(server.statuses) == {5: Status.BUSY, **dict.fromkeys(range(1, 5), Status.OK)}


def test_forged_names_neither_refuse_nor_delay_a_known_drone(server: Server) -> None:
    for at_s in (0.0, KNOWN_S):
        server.clock.now_s = at_s
        server.pipeline.submit(packet(0))
    server.replies.wait_for(2)
    server.hold()
    for n in range(100):  # each of another drone, and due first
        server.pipeline.submit(packet(100 + n, drone=f'/forged{n}/edge', remaining_s=10.0))
    server.pipeline.submit(packet(7, first=7, remaining_s=20.0))
    server.network.gate.open()
    server.replies.wait_for(2 + 1 + 100 + 1)
    assert server.network.order[:4] == [0, 0, 1, 7]
    assert (7, Status.OK) in server.statuses
    assert Counter(s for n, s in server.statuses if n >= 100)[Status.BUSY] >= 98


def test_a_tensor_whose_deadline_has_passed_is_not_computed(server: Server) -> None:
    server.hold()
    server.pipeline.submit(packet(2, remaining_s=0.1))
    server.pipeline.submit(packet(3, remaining_s=-0.1))
    server.pipeline.submit(packet(4, remaining_s=2.0))
    server.clock.now_s += 1.0
    server.network.gate.open()
    server.replies.wait_for(4)
    assert sorted(server.statuses) == [
        (1, Status.OK), (2, Status.LATE), (3, Status.LATE), (4, Status.OK)]
    assert 2 not in server.network.order and 3 not in server.network.order


def test_a_tensor_that_would_wait_too_long_is_refused_with_its_wait(server: Server) -> None:
    server.network.take_s = 0.25
    server.pipeline.submit(packet(1))
    server.replies.wait_for(1)
    server.hold()
    server.pipeline.submit(packet(2, remaining_s=0.4))
    reply = server.replies.wait_for(2)[1]
    assert (reply.packet.sequence, reply.status) == (2, Status.BUSY)
    assert reply.expected_wait_s == pytest.approx(0.25)
    assert 'the wait would be 0.25' in reply.message
    server.pipeline.submit(packet(3, remaining_s=0.6))
    server.network.gate.open()
    served = server.replies.wait_for(4)[3]
    assert (served.packet.sequence, served.status) == (3, Status.OK)
    assert served.expected_wait_s == pytest.approx(0.25) == served.server_wait_s


@pytest.fixture
def batches() -> Iterator[Server]:
    server = Server()
    server.pipeline.stop()
    server.network.join, server.network.most = CUT_POOL, 4
    server.network.together_s = {1: 0.1, 4: 0.1}
    server.pipeline = TailPipeline(network=server.network, reply=server.replies,
                                   clock=server.clock, settings=ServerSettings('/server'))
    server.pipeline.start()
    yield server
    server.network.gate.open()
    server.pipeline.stop()


def test_what_waits_is_computed_together_whatever_its_cut(batches: Server) -> None:
    batches.hold()
    for n in (2, 3, 4):
        batches.pipeline.submit(packet(n, drone=f'/drone{n}/edge', remaining_s=1.0))
    batches.pipeline.submit(packet(5, cut=CUT_IMAGE, drone='/drone5/edge', remaining_s=1.0))
    batches.pipeline.submit(packet(6, drone='/drone6/edge', remaining_s=1.0))
    batches.network.gate.open()
    replies = batches.replies.wait_for(6)
    assert batches.network.batches == [1, 4, 1]
    assert [r.batch for r in replies] == [1, 4, 4, 4, 4, 1]
    assert {r.status for r in replies} == {Status.OK}
    assert batches.pipeline.counts.batches == (2, 0, 0, 1)
    drones, waiting = batches.pipeline.drones()
    assert drones['/drone5/edge'].replies[Status.OK] == 1 and not waiting


def test_a_batch_that_fails_is_answered_once_for_each_drone(batches: Server) -> None:
    batches.hold()
    for n in (2, 3):
        batches.pipeline.submit(packet(n))
    batches.network.error = MemoryError('no room')
    batches.network.gate.open()
    replies = batches.replies.wait_for(3)
    assert {r.status for r in replies} == {Status.FAILED} and len(replies) == 3
    batches.network.error = None
    batches.pipeline.submit(packet(4))
    assert batches.replies.wait_for(4)[3].status is Status.OK


def test_a_damaged_tensor_does_not_spoil_a_batch(batches: Server) -> None:
    batches.hold()
    batches.pipeline.submit(packet(2))
    batches.pipeline.submit(packet(3, data=b'x' * 20))
    batches.network.gate.open()
    batches.replies.wait_for(3)
    assert dict(batches.statuses) == {1: Status.OK, 2: Status.OK, 3: Status.REFUSED}


def test_without_a_deadline_nothing_is_late(server: Server) -> None:
    server.hold()
    server.pipeline.submit(packet(2))
    server.pipeline.submit(packet(3))
    server.clock.now_s += 1e6
    server.network.gate.open()
    server.replies.wait_for(3)
    assert {status for _, status in server.statuses} == {Status.OK}


def test_a_tail_that_fails_is_answered_and_survived(server: Server) -> None:
    server.network.error = MemoryError('no room')
    server.pipeline.submit(packet(1))
    reply, = server.replies.wait_for(1)
    assert reply.status is Status.FAILED and reply.message == 'MemoryError: no room'
    server.network.error = None
    server.pipeline.submit(packet(2))
    assert server.replies.wait_for(2)[1].status is Status.OK


def test_stopping_answers_what_waits(server: Server) -> None:
    server.hold()
    server.pipeline.submit(packet(2))
    stopper = Thread(target=server.pipeline.stop)
    stopper.start()
    server.network.gate.open()
    stopper.join(WAIT_S)
    assert not stopper.is_alive()
    assert dict(server.statuses)[1] is Status.OK and len(server.replies) == 2
    server.pipeline.submit(packet(3))
    assert server.statuses[2] == (3, Status.BUSY)
    assert 'not serving' in server.replies[2].message


def test_load_is_that_of_the_tails_computed(server: Server) -> None:
    server.network.take_s = 0.5
    server.pipeline.submit(packet(1))
    server.replies.wait_for(1)
    load = server.pipeline.current_load()
    assert load.tail_times_s == pytest.approx((nan, 0.5), nan_ok=True)
    assert load.utilisation > 0.9 and len(load.tail_times_s) == ARTEFACT.last


KINDS: dict[str, dict[str, Any]] = {
    'good': {}, 'late': {'remaining_s': 1e-9}, 'foreign': {'model_digest': ''},
    'damaged': {'data': b'x' * 20}, 'wrong cut': {'split': 7}}


@given(st.lists(st.sampled_from(list(KINDS)), max_size=30), st.integers(1, 5))
def test_every_packet_gets_exactly_one_reply(kinds: list[str], queue_limit: int) -> None:
    server = Server(queue_limit)
    for n, kind in enumerate(kinds):
        server.clock.now_s += 0.01
        server.pipeline.submit(packet(n, **KINDS[kind]))
    server.pipeline.stop()
    counts = server.pipeline.counts
    assert sorted(n for n, _ in server.statuses) == list(range(len(kinds)))
    assert counts.received == counts.replies.total() == len(kinds)
    assert {s: n for s, n in counts.replies.items() if n} == {
        s: [t for _, t in server.statuses].count(s) for s in {t for _, t in server.statuses}}
    for n, status in server.statuses:
        if kinds[n] in ('foreign', 'wrong cut'):
            assert status is Status.REFUSED
        if kinds[n] == 'good':
            assert status in (Status.OK, Status.BUSY)
