"""Stand-ins that make the pipelines deterministic: a constant network, a clock set by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Event
from typing import Any

import numpy as np
from waits import WAIT_S

from offload_perception import codec
from offload_perception.frames import FeaturePacket, Part, ReceivedReply, Result, Status
from offload_perception.network.artefact import Artefact, Layer
from offload_perception.network.pixels import PixelInput
from offload_perception.tensor import Tensors, TensorSpec

IMAGE = TensorSpec((4, 4, 3), 'uint8')
POOLED = TensorSpec((2, 2, 4), 'int8', 0.5, -128)
SCORES = TensorSpec((6,), 'int8', 1 / 256, -128)
ARTEFACT = Artefact(
    Path('/nowhere'), 'fake', 'd1' * 32, 'seed:0', False, PixelInput(IMAGE), 0, (2,),
    {1: POOLED, 2: SCORES},
    (Layer(1, 'pool', 'pool', 1, (0,), (1,), 0, 0, '', ''),
     Layer(2, 'predictions', 'fc', 2, (1,), (2,), 0, 0, '', '')),
    ('zero', 'one', 'two', 'three', 'four', 'five'))
CUT_IMAGE, CUT_POOL, ON_BOARD = 0, 1, 2


class Clock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Gate:
    """Something that a worker passes only when opened; tells when the worker has come."""

    def __init__(self, is_open: bool = True) -> None:
        self._open, self.reached = Event(), Event()
        if is_open:
            self._open.set()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self.reached.clear()
        self._open.clear()

    def wait(self) -> None:
        self.reached.set()
        assert self._open.wait(WAIT_S)


@dataclass
class FakeNetwork:
    """Returns constant tensors, `take_s` later; `error` is raised instead."""

    clock: Clock
    artefact: Artefact = ARTEFACT
    gate: Gate = field(default_factory=Gate)
    error: Exception | None = None
    take_s: float = 0.0
    order: list[int] = field(default_factory=list)
    ran: str = 'fake'
    ran_on: str = 'cpu'
    emulated: str = ''
    join: int = ON_BOARD
    most: int = 1
    together_s: Mapping[int, float] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    def to_join(self, cut: int, xs: Tensors) -> Tensors:
        return self.tail(cut, xs) if cut < self.join else xs

    def together(self, cuts: Sequence[int], frames: Sequence[Tensors]) -> list[Tensors]:
        self.batches.append(len(frames))
        if self.join == ON_BOARD:
            return list(frames)
        self.order += [int(xs[0].flat[0]) for xs in frames]
        self._work()
        return [self._scores()] * len(frames)

    def head(self, cut: int, image: np.ndarray) -> Tensors:
        self._work()
        spec, = self.artefact.tensors(cut)
        q = np.full(spec.shape, -128, spec.dtype)
        q.flat[3] = 127
        return (q,)

    def run(self, first: int, last: int, xs: Tensors) -> Tensors:
        return self.head(last, xs[0])

    def tail(self, cut: int, xs: Tensors) -> Tensors:
        self.order.append(int(xs[0].flat[0]))
        self._work()
        return self._scores()

    def _scores(self) -> Tensors:
        return (np.array([.1, .0, .2, .5, .15, .05], np.float32),)

    def _work(self) -> None:
        self.gate.wait()
        self.clock.now_s += self.take_s
        if self.error is not None:
            raise self.error


class Log(list[Any]):
    """A list that other threads append to and a test waits on; `then` is raised afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = Condition()
        self.then: Exception | None = None

    def __call__(self, *items: object) -> None:
        with self._changed:
            self.append(items if len(items) > 1 else items[0])
            self._changed.notify_all()
        if self.then is not None:
            raise self.then

    def wait_for(self, length: int) -> list[Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self) >= length, WAIT_S), list(self)
        return self


def packet(sequence: int = 1, cut: int = CUT_POOL, first: int = 0,
           **changes: Any) -> FeaturePacket:
    """A packet that a server of ARTEFACT takes; `first` marks its tensor.

    `changes` are fields of the packet, or of its one part: dtype, shape, scale, zero_point.
    """
    spec, = ARTEFACT.tensors(cut)
    tensor = np.zeros(spec.shape, spec.dtype)
    tensor.flat[0] = first
    data = codec.encode(tensor, spec, 'raw')
    of_part = {k: changes.pop(k) for k in list(changes) if k in TensorSpec.__dataclass_fields__}
    sent = replace(spec, **{'scale': float(np.float32(spec.scale)), **of_part})
    good = FeaturePacket(
        header=f'header {sequence}', drone='/drone1/edge', sequence=sequence,
        nonce=sequence + 1000, model_digest=ARTEFACT.digest, split=cut,
        split_name=ARTEFACT.cut_names[cut], codec='raw', remaining_s=0.0,
        parts=(Part(sent, 0, len(changes.get('data', data))),), data=data)
    return replace(good, **changes)


def reply_to(sent: FeaturePacket, status: Status = Status.OK, **changes: Any) -> ReceivedReply:
    """What a server answers to `sent`."""
    result = Result((3,), ('three',), (0.5,)) if status is Status.OK else Result()
    good = ReceivedReply(
        header=sent.header, sequence=sent.sequence, nonce=sent.nonce,
        model_digest=sent.model_digest,
        status=status, message='' if status is Status.OK else 'because', result=result,
        server='/server', runtime='litert', device='cpu', expected_wait_s=0.01,
        server_wait_s=0.01,
        decode_s=0.02, tail_s=0.03, server_total_s=0.07)
    return replace(good, **changes)
