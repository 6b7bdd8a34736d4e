from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from unit.pipeline.pipeline_fakes import (
    ARTEFACT,
    CUT_IMAGE,
    CUT_POOL,
    ON_BOARD,
    WAIT_S,
    Clock,
    FakeNetwork,
    Log,
    reply_to,
)

from offload_perception import codec
from offload_perception.errors import ImageError
from offload_perception.frames import FOREIGN_REPLY, DropReason, Outcome, Part, Status
from offload_perception.pipeline.edge_pipeline import EdgePipeline
from offload_perception.pipeline.plan import EdgeSettings, Plan
from offload_perception.planning.frame_report import FrameReport

REMOTE = Plan(CUT_POOL, 'raw', '/server')
LOCAL = Plan(ON_BOARD)
IMAGE_SIZE = (480, 640)


class Drone:
    """A pipeline with everything around it recorded; images are numbers, or what to raise."""

    def __init__(self, plan: Plan = REMOTE, *, planned: bool = False, emulated: str = '',
                 **settings: Any) -> None:
        self.clock = Clock()
        self.network = FakeNetwork(self.clock, emulated=emulated)
        self.sent, self.ended, self.problems, self.late = Log(), Log(), Log(), Log()
        self.decided = Log()
        self.listens, self.plan = True, plan
        self.pipeline = EdgePipeline(
            network=self.network, preprocess=self._preprocess, send=self._send, ended=self.ended,
            problem=self.problems, late=self.late, decided=self._tell, clock=self.clock,
            strategy=self._strategy if planned else None,
            settings=EdgeSettings('/drone1/edge', **settings))
        self.pipeline.start(plan)

    def _strategy(self, frame: Any) -> Plan:
        if isinstance(self.plan, Exception):
            raise self.plan
        return self.plan

    def _tell(self, frame: Any) -> None:
        if isinstance(frame.decision, Exception):
            raise frame.decision
        self.decided((frame.decision, len(self.sent), len(self.ended)))

    def _preprocess(self, image: object, out: np.ndarray) -> tuple[int, int]:
        if isinstance(image, Exception):
            raise image
        out[:] = image
        return IMAGE_SIZE

    def _send(self, packet: Any, server: Any) -> bool:
        if isinstance(self.listens, Exception):
            raise self.listens
        if self.listens:
            self.sent(packet)
        return bool(self.listens)

    def offer(self, image: object = 7, header: object = None) -> None:
        self.pipeline.offer(header or object(), image)

    def busy_with_head(self) -> None:
        """Let the worker take one frame and hold it in its head."""
        self.network.gate.close()
        self.offer(header='held')
        assert self.network.gate.reached.wait(WAIT_S)

    @property
    def reasons(self) -> list[str]:
        return [e.frame.reason for e in self.ended]


@pytest.fixture
def fly() -> Iterator[Any]:
    drones = []

    def make(*args: Any, **settings: Any) -> Drone:
        drones.append(Drone(*args, **settings))
        return drones[-1]
    yield make
    for drone in drones:
        drone.network.gate.open()
        drone.pipeline.stop()
        counts = drone.pipeline.counts
        assert counts.under_way == 0
        assert len(drone.ended) == counts.captured, 'every frame ends exactly once'


def test_all_on_board(fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.network.take_s = 0.05
    drone.offer(header='camera header')
    end, = drone.ended.wait_for(1)
    assert end.frame.outcome is Outcome.LOCAL and not drone.sent
    assert end.result.labels[0] == 'three' and end.result.scores[0] == pytest.approx(255 / 256)
    assert end.frame.header == 'camera header' and end.frame.split_name == 'predictions'
    assert end.frame.stages.head == pytest.approx(0.05)
    assert end.frame.stages.total == pytest.approx(0.05)
    assert isnan(end.frame.stages.link) and isnan(end.frame.stages.tail)
    assert (end.frame.runtime, end.frame.server, end.frame.sent_bytes) == ('fake', '', 0)


@pytest.mark.parametrize('cut', [CUT_IMAGE, CUT_POOL])
def test_remote_result(fly: Callable[..., Any], cut: int) -> None:
    drone = fly(Plan(cut, 'raw', '/server'))
    drone.offer(image=9, header='camera header')
    packet, = drone.sent.wait_for(1)
    spec, = ARTEFACT.tensors(cut)
    decoded = codec.decode(packet.data, spec)
    assert decoded.array.shape == spec.shape
    if cut == CUT_IMAGE:
        assert (decoded.array == 9).all()
    assert (packet.header, packet.sequence, packet.split) == ('camera header', 1, cut)
    assert packet.parts == (Part(spec, 0, len(packet.data)),)
    assert packet.model_digest == ARTEFACT.digest
    drone.clock.now_s += 0.1
    drone.pipeline.reply(reply_to(packet))
    end, = drone.ended.wait_for(1)
    stages = end.frame.stages
    assert end.frame.outcome is Outcome.REMOTE and end.result.labels == ('three',)
    assert (stages.server_wait, stages.decode, stages.tail) == (0.01, 0.02, 0.03)
    assert stages.link == pytest.approx(0.1 - 0.07) and stages.total == pytest.approx(0.1)
    assert end.frame.sent_bytes == len(packet.data)
    assert (end.frame.server_runtime, end.frame.server_device) == ('litert', 'cpu')
    assert end.counts.remote == end.counts.captured == 1


@pytest.mark.parametrize(('plan', 'sent', 'ended'), [(REMOTE, 1, 0), (LOCAL, 0, 1)])
def test_a_decision_is_reported_after_the_work_on_its_frame(fly: Callable[..., Any], plan: Plan,
                                                            sent: Any, ended: int) -> None:
    drone = fly(replace(plan, decision='as planned'))
    drone.offer()
    assert drone.decided.wait_for(1) == [('as planned', sent, ended)]


def test_a_decision_that_cannot_be_reported_is_a_problem_and_the_frame_flies(
        fly: Callable[..., Any]) -> None:
    drone = fly(replace(LOCAL, decision=OSError('no telemetry')))
    drone.offer()
    assert drone.ended.wait_for(1)[0].frame.outcome is Outcome.LOCAL
    assert 'no telemetry' in drone.problems.wait_for(1)[0][1]


def test_a_plan_without_a_decision_is_not_told(fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.offer()
    drone.ended.wait_for(1)
    drone.pipeline.stop()
    assert not drone.decided


def test_the_newest_image_wins(fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.busy_with_head()
    drone.offer(header='old')
    drone.offer(header='new')
    drone.network.gate.open()
    drone.ended.wait_for(3)
    assert {e.frame.header: e.frame.reason for e in drone.ended} == {
        'held': '', 'old': 'superseded', 'new': ''}


def test_a_bad_image_is_dropped_and_named_and_the_next_one_flies(fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.offer(ImageError('unknown image encoding thermal'))
    drone.ended.wait_for(1)
    drone.offer()
    drone.ended.wait_for(2)
    assert drone.reasons == ['bad image', '']
    assert drone.problems == [(DropReason.BAD_IMAGE, 'unknown image encoding thermal')]


def test_a_head_that_fails_costs_one_frame(fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.network.error = RuntimeError('out of memory')
    drone.offer()
    drone.ended.wait_for(1)
    drone.network.error = None
    drone.offer()
    drone.ended.wait_for(2)
    assert drone.reasons == ['head failed', '']
    assert drone.problems == [(DropReason.HEAD_FAILED, 'RuntimeError: out of memory')]


@pytest.mark.parametrize(('plan', 'listens', 'reason', 'text'), [
    (RuntimeError('no sizes'), True, 'planning failed', 'RuntimeError: no sizes'),
    (replace(REMOTE, codec='png'), True, 'encoding failed', "codec 'png'"),
    (REMOTE, RuntimeError('destroyed'), 'sending failed', 'RuntimeError: destroyed')])
def test_each_step_that_fails_costs_one_frame_and_is_named(fly: Callable[..., Any], plan: Plan,
                                                           listens: RuntimeError | bool,
                                                           reason: str, text: str) -> None:
    drone = fly(planned=True, max_in_flight=1)
    drone.plan, drone.listens = plan, listens
    drone.offer()
    drone.ended.wait_for(1)
    assert drone.problems[0][0] == reason and text in drone.problems[0][1]
    drone.plan, drone.listens = REMOTE, True
    drone.offer()
    drone.sent.wait_for(1)  # with max_in_flight 1: the failed one takes no room
    assert drone.reasons == [reason] and drone.ended[0].frame.sent_bytes == 0


def test_an_end_that_cannot_be_published_is_counted_and_no_fault_of_the_head(
        fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.ended.then = RuntimeError('publisher destroyed')
    drone.offer()
    assert drone.problems.wait_for(1) == [
        ('reporting failed', 'RuntimeError: publisher destroyed')]
    drone.offer()
    drone.ended.wait_for(2)
    assert drone.pipeline.counts.local == 2 and not drone.pipeline.counts.dropped


def test_nobody_listens(fly: Callable[..., Any]) -> None:
    drone = fly()
    drone.listens = False
    drone.offer()
    drone.ended.wait_for(1)
    assert drone.reasons == ['no server'] and '/server' in drone.problems[0][1]
    assert drone.ended[0].frame.sent_bytes == 0


HEDGED = Plan(CUT_IMAGE, 'raw', '/server', hedge_at_s=1e9)


@pytest.mark.parametrize(('listens', 'plan', 'reason'), [
    (False, HEDGED, 'no server'), (OSError('no buffers'), HEDGED, 'sending failed'),
    (True, replace(HEDGED, codec='png'), 'encoding failed')])
def test_what_cannot_be_sent_is_finished_on_board_where_that_was_planned(
        fly: Callable[..., Any], listens: RuntimeError | bool, plan: Plan, reason: str) -> None:
    drone = fly(plan)
    drone.listens = listens
    drone.offer()
    end, = drone.ended.wait_for(1)
    assert end.frame.outcome is Outcome.LOCAL and end.result.labels[0] == 'three'
    assert (end.frame.sent_bytes, end.frame.remote_failure) == (0, reason)
    assert drone.problems[0][0] == reason and drone.problems[0][1].endswith('finished on board')
    report = FrameReport.of(end.frame)
    assert report.hedge_used and not report.unanswered


@pytest.mark.parametrize('status', [Status.REFUSED, Status.FAILED, Status.BUSY])
def test_a_refused_frame_is_finished_on_board_where_that_was_planned(
        fly: Callable[..., Any], status: Status) -> None:
    drone = fly(HEDGED)
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.pipeline.reply(reply_to(packet, status))
    end, = drone.ended.wait_for(1)
    assert end.frame.outcome is Outcome.LOCAL and end.frame.sent_bytes == len(packet.data)
    assert isnan(end.frame.stages.link) and isnan(end.frame.stages.server_wait)
    report = FrameReport.of(end.frame)
    assert report.hedge_used and not report.unanswered and report.trouble
    assert (report.rejected, report.overloaded) == (status != Status.BUSY, status == Status.BUSY)


@pytest.mark.parametrize(('status', 'reason'), [
    (Status.REFUSED, 'server refused'), (Status.BUSY, 'server busy'),
    (Status.LATE, 'late at server'), (Status.FAILED, 'server failed')])
def test_a_refusal_is_a_drop_with_its_reason_and_text(fly: Callable[..., Any], status: Status,
                                                      reason: str) -> None:
    drone = fly()
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.pipeline.reply(reply_to(packet, status))
    drone.ended.wait_for(1)
    assert drone.reasons == [reason] and drone.ended[0].result is None
    assert drone.problems == [(DropReason(reason), '/server: because')]
    assert drone.pipeline.counts.reasons == {reason: 1}


def test_a_server_of_another_model_may_refuse(fly: Callable[..., Any]) -> None:
    drone = fly()
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.pipeline.reply(reply_to(packet, Status.REFUSED, model_digest='ee' * 32))
    assert drone.reasons == ['server refused'] and not drone.pipeline.counts.foreign_replies


def test_a_frame_that_is_to_be_finished_on_board_is_no_timeout(fly: Callable[..., Any]) -> None:
    drone = fly(HEDGED, reply_timeout_s=0.5)
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.clock.now_s += 1000.0
    drone.pipeline.expire()
    assert not drone.ended and not drone.problems
    drone.pipeline.reply(reply_to(packet))
    assert drone.ended[0].frame.outcome is Outcome.REMOTE


@pytest.mark.parametrize(('plan', 'kept'), [(REMOTE, False), (HEDGED, True)])
def test_a_frame_in_flight_keeps_its_tensor_only_to_finish_it_on_board(
        fly: Callable[..., Any], plan: Plan, kept: bool) -> None:
    drone = fly(plan)
    drone.offer()
    packet, = drone.sent.wait_for(1)
    frame = drone.pipeline._pending.find(packet.sequence)
    assert frame.image is None and (frame.tensors is not None) is kept
    drone.pipeline.reply(reply_to(packet))
    assert drone.ended[0].frame is frame and frame.tensors is None


def test_no_frame_that_has_ended_keeps_its_image(fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL)
    drone.busy_with_head()
    drone.offer(header='superseded')
    drone.offer(ImageError('broken'))
    drone.network.gate.open()
    drone.ended.wait_for(3)
    drone.pipeline.set_pace(1e9, 1.0)
    drone.offer(header='paced')
    drone.pipeline.set_pace(0.0, 1.0)
    drone.pipeline.stop()
    drone.offer(header='not even begun')
    assert sorted(drone.reasons) == ['', 'bad image', 'paced', 'shutdown', 'superseded']
    assert [e.frame.image for e in drone.ended] == [None] * 5


def test_the_link_is_idle_while_no_frame_is_out(fly: Callable[..., Any]) -> None:
    drone = fly()
    assert drone.pipeline.link_idle
    drone.offer()
    packet, = drone.sent.wait_for(1)
    assert not drone.pipeline.link_idle
    drone.pipeline.reply(reply_to(packet))
    assert drone.pipeline.link_idle


def test_a_reply_that_does_not_come_is_a_timeout_and_then_comes_too_late(
        fly: Callable[..., Any]) -> None:
    drone = fly(reply_timeout_s=0.5)
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.clock.now_s += 0.4
    drone.pipeline.expire()
    assert not drone.ended
    drone.clock.now_s += 0.2
    drone.pipeline.expire()
    assert drone.reasons == ['no reply'] and '0.50 s' in drone.problems[0][1]
    drone.pipeline.reply(reply_to(packet))
    drone.pipeline.expire()
    assert len(drone.ended) == 1 and drone.pipeline.counts.unexpected_replies == 1


def test_a_reply_that_overtakes_the_end_of_its_sending_finds_a_frame_that_was_sent(
        fly: Callable[..., Any]) -> None:
    drone, told = fly(), Log()

    def sent(packet: Any) -> None:
        drone.pipeline.reply(reply_to(packet))
        told(drone.ended[0].frame.sent_bytes)
    drone.sent = sent
    drone.offer()
    assert told.wait_for(1)[0] > 0 and drone.ended[0].frame.outcome is Outcome.REMOTE


def test_the_same_reply_twice_counts_once(fly: Callable[..., Any]) -> None:
    drone = fly()
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.pipeline.reply(reply_to(packet))
    drone.pipeline.reply(reply_to(packet, Status.BUSY))
    assert drone.pipeline.counts.remote == 1
    assert drone.pipeline.counts.unexpected_replies == 1


@pytest.mark.parametrize(('forged', 'why'), [
    ({'nonce': 0}, 'does not carry'), ({'header': 'yesterday'}, 'does not carry'),
    ({'server': '/elsewhere'}, "comes from '/elsewhere', the tensor went to /server"),
    ({'model_digest': 'ee' * 32}, "another model ('eeeeeeeeeeee')")],
    ids=['nonce', 'header', 'server', 'model'])
@pytest.mark.parametrize('hedge_at_s', [inf, 1e9], ids=['not hedged', 'hedged'])
def test_a_reply_that_is_not_that_of_the_frame_never_ends_it(
        fly: Callable[..., Any], forged: dict[str, Any], why: str, hedge_at_s: float) -> None:
    drone = fly(replace(REMOTE, hedge_at_s=hedge_at_s))
    drone.offer(header='today')
    packet, = drone.sent.wait_for(1)
    drone.pipeline.reply(reply_to(packet, **forged))
    if 'model_digest' not in forged:  # a server of another model refuses
        drone.pipeline.reply(reply_to(packet, Status.REFUSED, **forged))
    assert not drone.ended and drone.pipeline.counts.foreign_replies == len(drone.problems)
    assert {reason for reason, _ in drone.problems} == {FOREIGN_REPLY}
    assert why in drone.problems[0][1]
    drone.pipeline.reply(reply_to(packet))
    assert drone.pipeline.counts.remote == 1 and drone.pipeline.counts.unexpected_replies == 0


def test_a_server_that_counts_more_time_than_passed_makes_no_negative_link(
        fly: Callable[..., Any]) -> None:
    drone = fly()
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.pipeline.reply(reply_to(packet, server_total_s=1e5))
    assert drone.ended[0].frame.stages.link == 0.0


def test_no_more_in_flight_than_allowed_and_a_reply_makes_room(fly: Callable[..., Any]) -> None:
    drone = fly(max_in_flight=2)
    for n in (1, 2):
        assert drone.pipeline._has_room()
        drone.offer()
        drone.sent.wait_for(n)
    assert not drone.pipeline._has_room()
    drone.offer(header='waits')
    drone.offer(header='newest')
    drone.ended.wait_for(1)
    assert drone.reasons == ['superseded'] and len(drone.sent) == 2
    drone.pipeline.reply(reply_to(drone.sent[0]))
    assert drone.sent.wait_for(3)[2].header == 'newest'


def test_a_timeout_makes_room(fly: Callable[..., Any]) -> None:
    drone = fly(max_in_flight=1, reply_timeout_s=0.5)
    drone.offer()
    drone.sent.wait_for(1)
    drone.offer(header='next')
    drone.clock.now_s += 1.0
    drone.pipeline.expire()
    assert drone.sent.wait_for(2)[1].header == 'next'


def test_a_plan_without_link_needs_no_room(fly: Callable[..., Any]) -> None:
    drone = fly(max_in_flight=1)
    drone.offer()
    drone.sent.wait_for(1)
    drone.offer(header='next')
    drone.pipeline.set_plan(LOCAL)
    assert drone.ended.wait_for(1)[0].frame.header == 'next'
    assert drone.ended[0].frame.outcome is Outcome.LOCAL


def test_a_new_plan_holds_from_the_next_frame(fly: Callable[..., Any]) -> None:
    drone = fly()
    drone.busy_with_head()
    drone.pipeline.set_plan(LOCAL)
    assert drone.pipeline.plan == LOCAL
    drone.network.gate.open()
    packet, = drone.sent.wait_for(1)
    assert packet.header == 'held'
    drone.offer()
    assert drone.ended.wait_for(1)[0].frame.split == ON_BOARD


def test_shutdown_ends_what_waits_and_what_is_in_flight(fly: Callable[..., Any]) -> None:
    drone = fly(max_in_flight=1)
    drone.offer(header='in flight')
    drone.sent.wait_for(1)
    drone.offer(header='waiting')
    drone.pipeline.stop()
    assert drone.reasons == ['shutdown', 'shutdown']
    drone.offer()
    assert drone.reasons == ['shutdown'] * 3 and drone.pipeline.counts.under_way == 0
    drone.pipeline.stop()


def test_the_deadline_is_counted_from_arrival(fly: Callable[..., Any]) -> None:
    drone = fly(deadline_s=0.2)
    drone.network.take_s = 0.05
    drone.offer()
    packet, = drone.sent.wait_for(1)
    assert packet.remaining_s == pytest.approx(0.15)
    drone.clock.now_s += 0.16
    drone.pipeline.reply(reply_to(packet))
    assert drone.ended[0].frame.outcome is Outcome.REMOTE
    assert not drone.ended[0].frame.deadline_met
    drone.pipeline.set_deadline(1.0)
    drone.offer()
    assert drone.sent.wait_for(2)[1].remaining_s == pytest.approx(0.95 - (0.16 - 0.07))  # the link


def test_images_and_replies_from_many_threads_add_up(fly: Callable[..., Any]) -> None:
    drone = fly(max_in_flight=4)
    with ThreadPoolExecutor(4) as pool:
        offers = [pool.submit(drone.offer) for _ in range(200)]
        replies = [pool.submit(drone.pipeline.reply, reply_to(p))
                   for f in offers if f.result() is None for p in list(drone.sent)]
        assert all(f.result() is None for f in replies)
    drone.pipeline.stop()
    counts = drone.pipeline.counts
    assert counts.captured == 200 == counts.remote + counts.dropped
    assert sorted(e.frame.sequence for e in drone.ended) == list(range(1, 201))


def test_a_pace_drops_what_comes_too_soon_and_stretches_the_deadline(
        fly: Callable[..., Any]) -> None:
    drone = fly(LOCAL, deadline_s=0.2)
    drone.pipeline.set_pace(1.0, 2.5)
    for moment_s in (0.0, 0.4, 0.6, 0.5):  # at 0, 0.4, 1.0 and 1.5 s
        drone.clock.now_s += moment_s
        drone.offer()
        drone.ended.wait_for(drone.pipeline.counts.captured)
    assert drone.reasons == ['', 'paced', '', 'paced']
    assert [e.frame.deadline_s for e in drone.ended] == [0.5, 0.0, 0.5, 0.0]
    assert drone.pipeline.counts.reasons == {'paced': 2}
    drone.pipeline.set_pace(0.0, 1.0)
    drone.offer()
    assert drone.ended.wait_for(5)[-1].frame.deadline_s == 0.2 and not drone.reasons[-1]


def test_an_overdue_frame_is_finished_on_board_from_what_was_sent(fly: Callable[..., Any]) -> None:
    drone = fly(replace(HEDGED, hedge_at_s=101.0, decision='told after the sending'))
    drone.network.take_s = 0.05
    drone.offer()
    packet, = drone.sent.wait_for(1)
    drone.decided.wait_for(1)
    drone.clock.now_s += 1.0
    drone.pipeline.expire()
    end, = drone.ended.wait_for(1)
    assert end.frame.outcome is Outcome.LOCAL and end.frame.sent_bytes == len(packet.data)
    assert end.result.labels[0] == 'three' and end.frame.stages.tail == pytest.approx(0.1)
    drone.pipeline.reply(reply_to(packet))
    assert drone.pipeline.counts.unexpected_replies == len(drone.late) == 1


@pytest.mark.parametrize(('head_s', 'first'), [(0.5, Outcome.LOCAL), (0.1, Outcome.DROPPED)])
def test_a_hedge_that_would_become_due_while_the_worker_is_busy_runs_first(
        fly: Callable[..., Any], head_s: float, first: Outcome) -> None:
    drone = fly(replace(HEDGED, hedge_at_s=100.3), planned=True)
    drone.offer()
    drone.sent.wait_for(1)
    drone.plan = Plan(ON_BOARD, head_s=head_s)
    drone.offer(ImageError('broken'))
    assert drone.ended.wait_for(1)[0].frame.outcome is first


def test_a_reply_saves_what_is_left_to_finish_on_board(fly: Callable[..., Any]) -> None:
    drone = fly(Plan(CUT_IMAGE, 'raw', '/server', hedge_at_s=100.0))
    drone.network.take_s = 0.05
    drone.network.gate.close()
    drone.offer()
    packet, = drone.sent.wait_for(1)
    assert drone.network.gate.reached.wait(WAIT_S)  # in the first block
    drone.pipeline.reply(reply_to(packet))
    drone.network.gate.open()
    end, = drone.ended.wait_for(1)
    drone.pipeline.stop()
    assert end.frame.outcome is Outcome.REMOTE
    assert drone.clock.now_s == pytest.approx(100.05), 'one block of two has run'


@pytest.mark.parametrize('plan', [Plan(CUT_IMAGE, 'raw', '/server'), REMOTE, LOCAL])
def test_every_frame_of_an_emulated_computer_says_so(fly: Callable[..., Any], plan: Plan) -> None:
    drone = fly(plan, emulated='emulated slow')
    drone.listens, drone.network.ran_on = False, 'emulated slow'
    for n, picture in enumerate((7, ImageError('broken')), 1):
        drone.offer(picture)
        drone.ended.wait_for(n)
    drone.pipeline.stop()
    drone.offer()  # not even begun
    assert [e.frame.device for e in drone.ended] == ['emulated slow'] * 3
