"""The drone's side of a frame: newest image, head, encode, send; then the reply or a drop."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import inf
from threading import Condition, Thread
from typing import Any, Protocol

import numpy as np

from offload_perception import codec
from offload_perception.codec.calibration import basis_of
from offload_perception.errors import ImageError
from offload_perception.model.artefact import Artefact
from offload_perception.pipeline.ledger import Counts, FrameLedger
from offload_perception.pipeline.plan import EdgeSettings, Ended, Plan, Strategy
from offload_perception.pipeline.records import (
    DROP_REASON_OF,
    DropReason,
    FeaturePacket,
    Frame,
    Outcome,
    ReceivedReply,
    Status,
    TopK,
    top_k,
)

Preprocess = Callable[[Any, np.ndarray], None]


class Layers(Protocol):
    """The network on board: a `runtime.network.Network`."""

    artefact: Artefact
    ran: str
    ran_on: str

    def head(self, cut: int, image: np.ndarray) -> np.ndarray:
        """Return the tensor at `cut`."""

    def run(self, first: int, last: int, x: np.ndarray) -> np.ndarray:
        """Return the tensor behind layer `last` for the one in front of layer `first`."""


class EdgePipeline:
    """Takes images, ends each as exactly one of remote result, local result or drop.

    Images and replies come in from any thread and return at once. One worker thread runs the
    layers on board; a second one encodes and sends, so that the next head runs meanwhile.
    `preprocess` writes an image into a uint8 array of the network's input shape and raises
    ImageError. `send` publishes a packet to a server, or returns False where that does not
    listen. `ended` is told of every frame's end, from whichever thread ended it; `problem` gets
    a sentence for the log.
    `late` is told of replies that no frame waits for.
    `strategy` plans each frame; without one the plan of `start` and `set_plan` holds. `decided` is
    told of the frames that it has made a decision for, behind their sending or their end on
    board, so that telling takes none of their time.
    """

    def __init__(self, *, network: Layers, settings: EdgeSettings, preprocess: Preprocess,
                 send: Callable[[FeaturePacket, str], bool], ended: Callable[[Ended], None],
                 problem: Callable[[DropReason, str], None], strategy: Strategy | None = None,
                 late: Callable[[ReceivedReply], None] = lambda reply: None,
                 decided: Callable[[Frame], None] = lambda frame: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._network, self._artefact, self._settings = network, network.artefact, settings
        self._preprocess, self._send, self._ended = preprocess, send, ended
        self._problem, self._late, self._decided, self._clock = problem, late, decided, clock
        self._strategy = strategy or (lambda frame: self._plan)
        self._block_ends = [k for k, layer in enumerate(self._artefact.layers, 1)
                            if layer.kind == 'pool']
        self._ledger = FrameLedger()
        self._wake = Condition()
        self._newest: Frame | None = None
        self._taken_s = -inf  # arrival of the last image that was not paced
        self._in_flight: dict[int, Frame] = {}
        self._plan = Plan(split=self._artefact.last)
        self._running = False
        self._worker: Thread | None = None
        self._sender: ThreadPoolExecutor | None = None

    # -- from outside, any thread -----------------------------------------------------------

    def start(self, plan: Plan) -> None:
        """Start the worker; `plan` holds until `set_plan`, or until the strategy says another."""
        self._plan, self._running = plan, True
        self._sender = ThreadPoolExecutor(1, thread_name_prefix='edge_sender')
        self._worker = Thread(target=self._work, name='edge_worker', daemon=True)
        self._worker.start()

    def stop(self) -> None:
        """Finish the frame that is being worked on, drop what is left, end the threads."""
        with self._wake:
            self._running = False
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.join()
            self._sender.shutdown()
            self._worker = self._sender = None
        with self._wake:
            left = [*self._in_flight.values(), *([self._newest] if self._newest else [])]
            self._in_flight.clear()
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
        """Return what the last frame was done with, or what `set_plan` said since."""
        return self._plan

    def set_deadline(self, deadline_s: float) -> None:
        """Ask for another deadline from the next image on."""
        self._settings = replace(self._settings, deadline_s=deadline_s)

    def set_pace(self, min_period_s: float, deadline_scale: float) -> None:
        """Work on an image every `min_period_s` at most, with a longer deadline, from now on."""
        self._settings = replace(self._settings, min_period_s=min_period_s,
                                 deadline_scale=deadline_scale)

    @property
    def link_idle(self) -> bool:
        """Tell whether no frame is on the link."""
        return not self._in_flight

    @property
    def counts(self) -> Counts:
        """Return the frame totals."""
        return self._ledger.counts

    def offer(self, header: Any, image: Any) -> None:
        """Take a new image; an older one that still waits is dropped as superseded."""
        settings = self._settings
        frame = self._ledger.open(self._clock(), header, image,
                                  settings.deadline_s * settings.deadline_scale)
        if frame.arrival_s < self._taken_s + settings.min_period_s:
            frame.deadline_s = 0.0  # nobody asks for its result, so it misses nothing
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
        if reply.status is not Status.OK and self._hedge_now(reply):
            return
        # A drone that was started again counts from 1 again: the header tells its frames apart.
        frame = self._land(reply.sequence, reply.header)
        if frame is None:
            self._ledger.count_unexpected_reply()
            self._late(reply)
            return
        self._note_reply(frame, reply, now)
        if reply.status is Status.OK:
            self._end(frame, Outcome.REMOTE, now, top=reply.top, reply=reply)
        else:
            self._fail(frame, DROP_REASON_OF[reply.status], f'{reply.server}: {reply.message}')

    def _hedge_now(self, reply: ReceivedReply) -> bool:
        """Have a refused frame finished on board; False where that was not planned."""
        with self._wake:
            frame = self._in_flight.get(reply.sequence)
            if frame is None or frame.header != reply.header or not frame.hedged:
                return False
            frame.hedge_at_s = min(frame.hedge_at_s, self._clock())
            self._wake.notify()
        self._problem(DROP_REASON_OF[reply.status],
                      f'{reply.server}: {reply.message}; finished on board')
        return True

    def expire(self) -> None:
        """Drop the frames whose reply has not come in time; call this from a timer."""
        limit = self._clock() - self._settings.reply_timeout_s
        with self._wake:
            lost = [f for f in self._in_flight.values() if f.sent_s < limit and not f.hedged]
            for frame in lost:
                del self._in_flight[frame.sequence]
            self._wake.notify()
        for frame in lost:
            self._fail(frame, DropReason.TIMEOUT, f'no reply from {frame.server} within '
                       f'{self._settings.reply_timeout_s:.2f} s')

    # -- worker thread ----------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            try:
                job()
            except Exception as e:  # of `ended` or `problem`: the next frame may do better
                self._problem(DropReason.HEAD_FAILED, f'{type(e).__name__}: {e}')

    def _next_job(self) -> Callable[[], None] | None:
        """Wait for a frame to finish on board, or a new one and room for it; None = stopped."""
        with self._wake:
            while self._running:
                now = self._clock()
                overdue = min(self._in_flight.values(), key=lambda f: f.hedge_at_s, default=None)
                if overdue is not None and overdue.hedge_at_s <= now:
                    overdue.hedge_at_s = inf
                    return partial(self._finish_on_board, overdue)
                if self._newest is not None and self._has_room():
                    frame, self._newest = self._newest, None
                    return partial(self._process, frame)
                hedge_at_s = overdue.hedge_at_s if overdue is not None else inf
                self._wake.wait(None if hedge_at_s == inf else hedge_at_s - now)
        return None

    def _has_room(self) -> bool:
        return (self._plan.split == self._artefact.last
                or len(self._in_flight) < self._settings.max_in_flight)

    def _process(self, frame: Frame) -> None:
        try:
            plan = self._strategy(frame)
            self._plan = plan
            frame.take_plan(plan, self._artefact.cut_names[plan.split])
            tensor = self._run_head(frame)
            if plan.split == self._artefact.last:
                scores = self._artefact.tensor(plan.split).dequantise(tensor)
                self._end_on_board(frame, scores)
                return
            frame.tensor = tensor if frame.hedged else None
            with self._wake:
                self._in_flight[frame.sequence] = frame
            self._sender.submit(self._transmit, frame, tensor, self._clock())
        except ImageError as e:
            self._fail(frame, DropReason.BAD_IMAGE, str(e))
        except Exception as e:  # whatever it is, the frame is accounted and the drone goes on
            self._fail(frame, DropReason.HEAD_FAILED, f'{type(e).__name__}: {e}')
        finally:
            if frame.decision is not None:
                self._sender.submit(self._tell, frame)

    def _run_head(self, frame: Frame) -> np.ndarray:
        started = self._clock()
        pixels = np.empty(self._artefact.input.shape, np.uint8)
        self._preprocess(frame.image, pixels)
        frame.image = None  # frees the message while the frame is in flight
        prepared = self._clock()
        tensor = pixels
        if frame.split:
            tensor = self._network.head(frame.split, pixels)
            frame.runtime, frame.device = self._network.ran, self._network.ran_on
        stages = frame.stages
        stages.queue, stages.preprocess = started - frame.arrival_s, prepared - started
        stages.head = self._clock() - prepared
        return tensor

    def _finish_on_board(self, frame: Frame) -> None:
        """Compute the rest of a frame whose reply is overdue; whichever comes first counts.

        Block by block, so that a reply saves what is left to do.
        """
        started = self._clock()
        at, tensor, last = frame.split, frame.tensor, self._artefact.last
        try:
            for end in (*(e for e in self._block_ends if e > at), last):
                if frame.sequence not in self._in_flight:
                    return
                at, tensor = end, self._network.run(at + 1, end, tensor)
            scores = self._artefact.tensor(last).dequantise(tensor)
        except Exception as e:
            if self._land(frame.sequence, frame.header):
                self._fail(frame, DropReason.HEAD_FAILED, f'{type(e).__name__}: {e}')
            return
        if self._land(frame.sequence, frame.header):
            frame.stages.tail = self._clock() - started
            frame.runtime, frame.device = self._network.ran, self._network.ran_on
            self._end_on_board(frame, scores)

    # -- sender thread ----------------------------------------------------------------------

    def _transmit(self, frame: Frame, tensor: np.ndarray, ready_s: float) -> None:
        try:
            sent = self._send(self._packet(frame, tensor, ready_s), frame.server)
        except Exception as e:  # as above
            if self._land(frame.sequence, frame.header):
                self._fail(frame, DropReason.HEAD_FAILED, f'{type(e).__name__}: {e}')
            return
        if sent:
            return
        if frame.hedged:
            self._hedge_unsent(frame)
        elif self._land(frame.sequence, frame.header):
            self._fail(frame, DropReason.NO_SERVER, f'no server listens at {frame.server}')

    def _tell(self, frame: Frame) -> None:
        try:
            self._decided(frame)
        except Exception as e:  # the frame has its end; this must not stay unheard
            self._problem(DropReason.HEAD_FAILED, f'{type(e).__name__}: {e}')

    def _packet(self, frame: Frame, tensor: np.ndarray, ready_s: float) -> FeaturePacket:
        """Encode; `encode` counts from the end of the head, `ready_s`."""
        spec = self._artefact.tensor(frame.split)
        basis = basis_of(self._artefact, frame.split)
        data = codec.encode(tensor, spec, frame.codec, basis=basis)
        frame.sent_bytes, frame.sent_s = len(data), self._clock()
        frame.stages.encode = frame.sent_s - ready_s
        remaining_s = 0.0
        if frame.deadline_s:
            remaining_s = frame.deadline_s - (frame.sent_s - frame.arrival_s)
        return FeaturePacket(
            header=frame.header, drone=self._settings.drone, sequence=frame.sequence,
            model_digest=self._artefact.digest, split=frame.split, split_name=frame.split_name,
            codec=frame.codec, dtype=spec.dtype, shape=spec.shape, scale=spec.scale,
            zero_point=spec.zero_point, remaining_s=remaining_s,
            reply_topic=self._settings.reply_topic, data=data)

    def _hedge_unsent(self, frame: Frame) -> None:
        with self._wake:
            frame.hedge_at_s = -inf
            self._wake.notify()

    # -- ends -------------------------------------------------------------------------------

    def _land(self, sequence: int, header: Any) -> Frame | None:
        """Take a frame out of the air; None where none flies with that number and header."""
        with self._wake:
            frame = self._in_flight.get(sequence)
            if frame is None or frame.header != header:
                return None
            self._wake.notify()
            return self._in_flight.pop(sequence)

    @staticmethod
    def _note_reply(frame: Frame, reply: ReceivedReply, now: float) -> None:
        stages = frame.stages
        stages.server_wait, stages.decode = reply.server_wait_s, reply.decode_s
        stages.tail = reply.tail_s
        stages.link = now - frame.sent_s - reply.server_total_s
        frame.server_runtime, frame.server_device = reply.runtime, reply.device

    def _end_on_board(self, frame: Frame, scores: np.ndarray) -> None:
        top = top_k(scores, self._artefact.label, self._settings.top_k)
        self._end(frame, Outcome.LOCAL, self._clock(), top=top)

    def _fail(self, frame: Frame, reason: DropReason, text: str) -> None:
        """Drop a frame, and say why."""
        self._problem(reason, text)
        self._drop(frame, reason)

    def _drop(self, frame: Frame, reason: DropReason) -> None:
        self._end(frame, Outcome.DROPPED, self._clock(), reason)

    def _end(self, frame: Frame, outcome: Outcome, now: float,
             reason: DropReason | None = None, top: TopK | None = None,
             reply: ReceivedReply | None = None) -> None:
        frame.tensor = None
        counts = self._ledger.close(frame, outcome, now, reason)
        if counts is not None:
            self._ended(Ended(frame, counts, top, reply))
