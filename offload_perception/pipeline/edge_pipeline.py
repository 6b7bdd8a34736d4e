"""The drone's side of a frame: newest image, head, encode, send; then the reply or a drop."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from threading import Condition
from typing import Any

from offload_perception.errors import ImageError
from offload_perception.frames import (
    DROP_REASON_OF,
    FOREIGN_REPLY,
    REPORTING_FAILED,
    DropReason,
    FeaturePacket,
    Frame,
    Outcome,
    ReceivedReply,
    Result,
    Status,
)
from offload_perception.network.interpret import interpret
from offload_perception.network.runnable import Network
from offload_perception.pipeline.ledger import Counts, FrameLedger
from offload_perception.pipeline.link_times import LinkTimes
from offload_perception.pipeline.onboard import OnboardLayers, Preprocess
from offload_perception.pipeline.packing import pack
from offload_perception.pipeline.pending import PendingFrames
from offload_perception.pipeline.plan import EdgeSettings, Ended, Plan, Strategy
from offload_perception.pipeline.validate import reason_foreign
from offload_perception.tensor import Tensors
from offload_perception.threads import FOREVER, PATIENCE, JobQueue, Worker

_LONGEST_WAIT_S = 60.0  # Condition.wait takes no number of any size


class EdgePipeline:
    """Takes images, ends each as exactly one of remote result, local result or drop.

    Images and replies come in from any thread and return at once. One worker thread runs the
    layers on board; a second one encodes and sends, so that the next head can run.
    `preprocess` is that of `OnboardLayers`. `send` publishes a packet to a server, or returns
    False if that is not subscribed. `ended` is called with the end of every frame, in the thread
    that ended it; `problem` with a DropReason, REPORTING_FAILED or FOREIGN_REPLY and a sentence
    for the log; `late` with replies that no frame waits for.
    `strategy` plans each frame; without one the plan of `start` and `set_plan` holds. `decided`
    is called with each planned frame after it was sent or ended on board, so that this does not
    delay it.
    """

    def __init__(self, *, network: Network, settings: EdgeSettings, preprocess: Preprocess,
                 send: Callable[[FeaturePacket, str], bool], ended: Callable[[Ended], None],
                 problem: Callable[[str, str], None], strategy: Strategy | None = None,
                 late: Callable[[ReceivedReply], None] = lambda reply: None,
                 decided: Callable[[Frame], None] = lambda frame: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._onboard, self._artefact = OnboardLayers(network, preprocess, clock), network.artefact
        self._settings, self._send, self._ended = settings, send, ended
        self._problem, self._late, self._decided, self._clock = problem, late, decided, clock
        self._ledger, self._links = FrameLedger(), LinkTimes()
        self._wake = Condition()
        self._newest: Frame | None = None
        self._taken_s = -inf  # arrival of the last image that was not paced
        self._pending = PendingFrames(self._wake)
        self._plan = Plan(split=self._artefact.last)
        self._strategy = strategy or (lambda frame: self._plan)
        self._running = False
        self._sender = JobQueue('edge_sender', failed=self._failed, patience=FOREVER,
                                vital=True)
        self._worker = Worker('edge_worker', self._work, failed=self._failed,
                              patience=PATIENCE, vital=True)

    # -- from outside, any thread -----------------------------------------------------------

    def start(self, plan: Plan) -> None:
        """Start the threads, once.

        :param plan: holds until `set_plan`, or until the strategy makes another.
        """
        self._plan, self._running = plan, True
        self._sender.start()
        self._worker.start()

    def stop(self) -> None:
        """Finish the frame that is being worked on, drop what is left, end the threads."""
        with self._wake:
            self._running = False
            self._wake.notify_all()
        self._worker.stop()
        self._sender.stop()
        with self._wake:
            left = [*self._pending.remove_all(), *([self._newest] if self._newest else [])]
            self._newest = None
        for frame in left:
            self._drop(frame, DropReason.SHUTDOWN)

    def set_plan(self, plan: Plan) -> None:
        """Use `plan` from the next frame on."""
        with self._wake:
            self._plan = plan
            self._wake.notify()

    @property
    def plan(self) -> Plan:
        """Return the plan of the last frame, or a later one of `set_plan`."""
        return self._plan

    def set_deadline(self, deadline_s: float) -> None:
        """Use another deadline from the next image on."""
        self._settings = replace(self._settings, deadline_s=deadline_s)

    def set_pace(self, min_period_s: float, deadline_scale: float) -> None:
        """From now on process an image every `min_period_s` at most, with a longer deadline."""
        self._settings = replace(self._settings, min_period_s=min_period_s,
                                 deadline_scale=deadline_scale)

    @property
    def link_idle(self) -> bool:
        """Return whether no frame is on the link."""
        return not len(self._pending)

    @property
    def counts(self) -> Counts:
        """Return the frame totals."""
        return self._ledger.counts

    def offer(self, header: Any, image: Any) -> None:
        """Take a new image; an older one that still waits is dropped as superseded."""
        settings = self._settings
        frame = self._ledger.open(self._clock(), header, image,
                                  settings.deadline_s * settings.deadline_scale)
        frame.device = self._onboard.emulated  # of a frame without layers on board, too
        if frame.arrival_s < self._taken_s + settings.min_period_s:
            frame.deadline_s = 0.0  # its result is not wanted, so it cannot miss a deadline
            self._drop(frame, DropReason.PACED)
            return
        self._taken_s = frame.arrival_s
        with self._wake:
            if self._running:
                older, self._newest = self._newest, frame
                self._wake.notify()
            else:
                older = frame
        if older is not None:
            self._drop(older, DropReason.SUPERSEDED if older is not frame else
                       DropReason.SHUTDOWN)

    def reply(self, reply: ReceivedReply) -> None:
        """Take a server's reply; one that no frame waits for is counted and ignored."""
        now = self._clock()
        ok = reply.status is Status.OK
        frame = self._pending.find(reply.sequence)
        if frame is not None and (why := reason_foreign(reply, frame, self._artefact.digest)):
            self._ledger.count_foreign_reply()
            self._problem(FOREIGN_REPLY, why)
            return
        if frame is None or not self._pending.remove(frame, keep_hedged=not ok):
            self._ledger.count_unexpected_reply()
            self._late(reply)
            return
        frame.sent = True  # the sender's thread may not have set it yet
        if ok or not frame.hedged:
            frame.take_reply(reply, now)
        if ok:
            self._links.observe(frame.server, frame.stages.link)
            self._end(frame, Outcome.REMOTE, now, result=reply.result, reply=reply)
        else:
            frame.refused_wait_s = reply.expected_wait_s
            self._hedge_or_drop(frame, DROP_REASON_OF[reply.status],
                              f'{reply.server}: {reply.message}')

    def _hedge_or_drop(self, frame: Frame, reason: DropReason, text: str) -> None:
        """Start the hedge of a frame that gets no remote result, or drop a frame without one."""
        frame.remote_failure, frame.trouble = reason, text
        if not frame.hedged:
            self._fail(frame, reason, text)
            return
        self._pending.hedge_now(frame, self._clock())
        self._problem(reason, f'{text}; hedged, so finished on board')

    def expire(self) -> None:
        """Drop the frames whose reply has not come in time; call this from a timer."""
        limit = self._clock() - self._settings.reply_timeout_s
        for frame in self._pending.remove_unanswered(limit):
            self._fail(frame, DropReason.TIMEOUT, f'no reply from {frame.server} within '
                       f'{self._settings.reply_timeout_s:.2f} s')

    # -- worker thread ----------------------------------------------------------------------

    def _work(self) -> bool:
        if (job := self._next_job()) is None:
            return False
        job()
        return True

    def _next_job(self) -> Callable[[], None] | None:
        """Wait for a hedge to start, or a new frame and room for it; None = stopped."""
        with self._wake:
            while self._running:
                now = self._clock()
                if (overdue := self._pending.overdue(now)) is not None:
                    return partial(self._run_hedge, overdue)
                if self._newest is not None and self._has_room():
                    frame, self._newest = self._newest, None
                    return partial(self._process, frame)
                self._wake.wait(min(self._pending.next_hedge_s - now, _LONGEST_WAIT_S))
        return None

    def _has_room(self) -> bool:
        return (self._plan.split == self._artefact.last
                or len(self._pending) < self._settings.max_in_flight)

    def _process(self, frame: Frame) -> None:
        step = DropReason.PLAN_FAILED
        try:
            self._plan = plan = self._strategy(frame)
            frame.take_plan(plan, self._artefact.cut_names[plan.split])
            # A hedge that would become due while the worker is busy runs first.
            while (due := self._pending.overdue(self._clock() + plan.head_s)) is not None:
                self._run_hedge(due)
            step = DropReason.HEAD_FAILED
            tensors = self._onboard.head(frame)
            outputs = (self._artefact.real_outputs(tensors)
                       if plan.split == self._artefact.last else None)
        except ImageError as e:
            self._fail(frame, DropReason.BAD_IMAGE, str(e))
        except Exception as e:  # whatever it is, the frame is accounted and the drone goes on
            self._fail(frame, step, _words(e))
        else:
            if outputs is not None:
                self._end_on_board(frame, outputs)
            else:
                self._hand_over(frame, tensors)
        finally:
            if frame.decision is not None:
                self._sender.submit(partial(self._decided, frame))

    def _hand_over(self, frame: Frame, tensors: Tensors) -> None:
        frame.tensors = tensors if frame.hedged else None
        self._pending.add(frame)
        self._sender.submit(partial(self._transmit, frame, tensors, self._clock()))

    def _run_hedge(self, frame: Frame) -> None:
        """Run the remaining layers of a frame whose reply is late; the first result counts."""
        try:
            outputs = self._onboard.finish(frame, lambda: frame in self._pending)
        except Exception as e:
            if self._pending.remove(frame):
                self._fail(frame, DropReason.HEAD_FAILED, _words(e))
            return
        if outputs is not None and self._pending.remove(frame):
            self._end_on_board(frame, outputs)

    # -- sender thread ----------------------------------------------------------------------

    def _transmit(self, frame: Frame, tensors: Tensors, ready_s: float) -> None:
        step = DropReason.ENCODE_FAILED
        try:
            packet = pack(frame, tensors, ready_s, self._artefact, self._settings,
                          self._links, self._clock)
            step = DropReason.SEND_FAILED
            if self._send(packet, frame.server):
                frame.sent = True
                return
            step, why = DropReason.NO_SERVER, f'no server listens at {frame.server}'
        except Exception as e:  # as above
            why = _words(e)
        if self._pending.remove(frame, keep_hedged=True):
            self._hedge_or_drop(frame, step, why)

    def _failed(self, e: Exception) -> None:
        """Report that publishing failed; the frame is accounted for already."""
        self._problem(REPORTING_FAILED, _words(e))

    # -- ends -------------------------------------------------------------------------------

    def _end_on_board(self, frame: Frame, outputs: Tensors) -> None:
        try:
            result = interpret(outputs, self._artefact, top_k=self._settings.top_k,
                               min_score=self._settings.min_score)
        except Exception as e:
            self._fail(frame, DropReason.HEAD_FAILED, _words(e))
            return
        self._end(frame, Outcome.LOCAL, self._clock(), result=result)

    def _fail(self, frame: Frame, reason: DropReason, text: str) -> None:
        """Drop a frame, and say why."""
        self._problem(reason, text)
        self._drop(frame, reason)

    def _drop(self, frame: Frame, reason: DropReason) -> None:
        self._end(frame, Outcome.DROPPED, self._clock(), reason)

    def _end(self, frame: Frame, outcome: Outcome, now: float,
             reason: DropReason | None = None, result: Result | None = None,
             reply: ReceivedReply | None = None) -> None:
        frame.image = frame.tensors = None
        counts = self._ledger.close(frame, outcome, now, reason)
        if counts is not None:
            try:
                self._ended(Ended(frame, counts, result, reply))
            except Exception as e:
                self._failed(e)


def _words(e: Exception) -> str:
    return f'{type(e).__name__}: {e}'
