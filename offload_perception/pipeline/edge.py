"""The drone's side of a frame: newest image, head, encode, send; then the reply or a drop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Thread
from typing import Any, Protocol

import numpy as np

from offload_perception import codec
from offload_perception.errors import ImageError
from offload_perception.model.artefact import Artefact
from offload_perception.pipeline.ledger import Counts, FrameLedger
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


class Head(Protocol):
    """The layers on board: a `runtime.network.Network`."""

    artefact: Artefact
    ran: str
    ran_on: str

    def head(self, cut: int, image: np.ndarray) -> np.ndarray:
        """Return the tensor at `cut`."""


@dataclass(frozen=True)
class Ended:
    """A frame that has just ended: its record, its result if there is one, and the totals."""

    frame: Frame
    counts: Counts
    top: TopK | None = None
    reply: ReceivedReply | None = None


@dataclass(frozen=True)
class Plan:
    """What to do with a frame: cut, codec and server."""

    split: int
    codec: str = 'auto'
    server: str = ''


@dataclass(frozen=True)
class EdgeSettings:
    """Limits of the drone's pipeline.

    `deadline_s` 0 = none. A reply is given up `reply_timeout_s` after the tensor was sent. With
    `max_in_flight` tensors unanswered no new frame is started, so that a slow server or link is
    met with fresh frames, not with a queue of old ones.
    """

    drone: str
    reply_topic: str
    deadline_s: float = 0.0
    reply_timeout_s: float = 1.0
    max_in_flight: int = 2
    top_k: int = 5


class EdgePipeline:
    """Takes images, ends each as exactly one of remote result, local result or drop.

    Images and replies come in from any thread and return at once; one worker thread does the
    work. `preprocess` writes an image into a uint8 array of the network's input shape and raises
    ImageError. `send` publishes a packet, or returns False where nobody listens. `ended` is told
    of every frame's end, from whichever thread ended it; `problem` gets a sentence for the log.
    """

    def __init__(self, *, network: Head, settings: EdgeSettings, preprocess: Preprocess,
                 send: Callable[[FeaturePacket], bool], ended: Callable[[Ended], None],
                 problem: Callable[[DropReason, str], None],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._network, self._artefact, self._settings = network, network.artefact, settings
        self._preprocess, self._send, self._ended = preprocess, send, ended
        self._problem, self._clock = problem, clock
        self._ledger = FrameLedger()
        self._wake = Condition()
        self._newest: Frame | None = None
        self._in_flight: dict[int, Frame] = {}
        self._plan = Plan(split=self._artefact.last)
        self._running = False
        self._thread: Thread | None = None

    # -- from outside, any thread -----------------------------------------------------------

    def start(self, plan: Plan) -> None:
        """Start the worker."""
        self._plan, self._running = plan, True
        self._thread = Thread(target=self._work, name='edge_pipeline', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the frame that is being worked on, drop what is left, end the worker."""
        with self._wake:
            self._running = False
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
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
        """Return what the next frame will be done with."""
        return self._plan

    def set_deadline(self, deadline_s: float) -> None:
        """Ask for another deadline from the next image on."""
        self._settings = replace(self._settings, deadline_s=deadline_s)

    @property
    def counts(self) -> Counts:
        """Return the frame totals."""
        return self._ledger.counts

    def offer(self, header: Any, image: Any) -> None:
        """Take a new image; an older one that still waits is dropped as superseded."""
        frame = self._ledger.open(self._clock(), header, image, self._settings.deadline_s)
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
        # A drone that was started again counts from 1 again: the header tells its frames apart.
        frame = self._land(reply.sequence, reply.header)
        if frame is None:
            self._ledger.count_unexpected_reply()
            return
        self._note_reply(frame, reply, now)
        if reply.status is Status.OK:
            self._end(frame, Outcome.REMOTE, now, top=reply.top, reply=reply)
        else:
            reason = DROP_REASON_OF[reply.status]
            self._problem(reason, f'{reply.server}: {reply.message}')
            self._drop(frame, reason)

    def expire(self) -> None:
        """Drop the frames whose reply has not come in time; call this from a timer."""
        limit = self._clock() - self._settings.reply_timeout_s
        with self._wake:
            lost = [f for f in self._in_flight.values() if f.sent_s < limit]
            for frame in lost:
                del self._in_flight[frame.sequence]
            self._wake.notify()
        for frame in lost:
            self._problem(DropReason.TIMEOUT,
                          f'no reply from {frame.server} within '
                          f'{self._settings.reply_timeout_s:.2f} s')
            self._drop(frame, DropReason.TIMEOUT)

    # -- worker thread ----------------------------------------------------------------------

    def _work(self) -> None:
        while (frame := self._take()) is not None:
            self._process(frame, self._plan)

    def _take(self) -> Frame | None:
        """Wait for the newest frame and for room on the link; None when stopped."""
        with self._wake:
            self._wake.wait_for(lambda: not self._running or (
                self._newest is not None and self._has_room()))
            if not self._running:
                return None
            frame, self._newest = self._newest, None
            return frame

    def _has_room(self) -> bool:
        return (self._plan.split == self._artefact.last
                or len(self._in_flight) < self._settings.max_in_flight)

    def _process(self, frame: Frame, plan: Plan) -> None:
        frame.split, frame.split_name = plan.split, self._artefact.cut_names[plan.split]
        try:
            tensor = self._run_head(frame)
            if plan.split == self._artefact.last:
                scores = self._artefact.tensor(plan.split).dequantise(tensor)
                top = top_k(scores, self._artefact.label, self._settings.top_k)
                self._end(frame, Outcome.LOCAL, self._clock(), top=top)
            else:
                self._transmit(frame, plan, tensor)
        except ImageError as e:
            self._problem(DropReason.BAD_IMAGE, str(e))
            self._drop(frame, DropReason.BAD_IMAGE)
        except Exception as e:  # whatever it is, the frame is accounted and the drone goes on
            self._land(frame.sequence, frame.header)
            self._problem(DropReason.HEAD_FAILED, f'{type(e).__name__}: {e}')
            self._drop(frame, DropReason.HEAD_FAILED)

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

    def _transmit(self, frame: Frame, plan: Plan, tensor: np.ndarray) -> None:
        spec = self._artefact.tensor(plan.split)
        started = self._clock()
        data = codec.encode(tensor, spec, plan.codec)
        frame.sent_s = self._clock()
        frame.stages.encode = frame.sent_s - started
        frame.codec, frame.server, frame.sent_bytes = plan.codec, plan.server, len(data)
        remaining = 0.0
        if frame.deadline_s:
            remaining = frame.deadline_s - (frame.sent_s - frame.arrival_s)
        with self._wake:
            self._in_flight[frame.sequence] = frame
        packet = FeaturePacket(
            header=frame.header, drone=self._settings.drone, sequence=frame.sequence,
            model_digest=self._artefact.digest, split=plan.split, split_name=frame.split_name,
            codec=plan.codec, dtype=spec.dtype, shape=spec.shape, scale=spec.scale,
            zero_point=spec.zero_point, remaining_s=remaining,
            reply_topic=self._settings.reply_topic, data=data)
        if not self._send(packet) and self._land(frame.sequence, frame.header):
            self._problem(DropReason.NO_SERVER, f'no server listens at {plan.server}')
            self._drop(frame, DropReason.NO_SERVER)

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

    def _drop(self, frame: Frame, reason: DropReason) -> None:
        self._end(frame, Outcome.DROPPED, self._clock(), reason)

    def _end(self, frame: Frame, outcome: Outcome, now: float,
             reason: DropReason | None = None, top: TopK | None = None,
             reply: ReceivedReply | None = None) -> None:
        counts = self._ledger.close(frame, outcome, now, reason)
        if counts is not None:
            self._ended(Ended(frame, counts, top, reply))
