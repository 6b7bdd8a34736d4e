"""The plain data that the drone and the server work with; the nodes turn them into messages."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import partial
from math import inf, isnan, nan
from secrets import randbits
from typing import Any

from offload_perception.tensor import Tensors, TensorSpec


class Outcome(IntEnum):
    """How a frame ended; the values are those of FrameLatency."""

    REMOTE = 0
    LOCAL = 1
    DROPPED = 2


class DropReason(StrEnum):
    """Why a frame has no result."""

    SUPERSEDED = 'superseded'  # a newer image came before its work could start
    PACED = 'paced'  # it came sooner than the mission's policy allows
    BAD_IMAGE = 'bad image'
    PLAN_FAILED = 'planning failed'  # split auto: nothing can run, or the planner failed
    HEAD_FAILED = 'head failed'  # the layers on board
    ENCODE_FAILED = 'encoding failed'  # tensor to bytes
    SEND_FAILED = 'sending failed'  # the middleware did not take the tensor
    NO_SERVER = 'no server'
    TIMEOUT = 'no reply'
    REFUSED = 'server refused'
    BUSY = 'server busy'
    LATE = 'late at server'
    SERVER_FAILED = 'server failed'
    SHUTDOWN = 'shutdown'


class Status(IntEnum):
    """A server's verdict on a tensor; the values are those of RemoteResult."""

    OK = 0
    REFUSED = 1
    BUSY = 2
    LATE = 3
    FAILED = 4
    PROBE = 5


REPORTING_FAILED = 'reporting failed'
"""Not a drop: a frame's end or its decision could not be published."""

FOREIGN_REPLY = 'foreign reply'
"""Not a drop: a reply has the number of a frame in flight and is not for it."""

REPLIES = 'remote_result'
"""Name, in a drone's namespace, of the topic on which servers answer it."""

PROBE_CODEC = 'probe'
"""Codec name of a packet that only measures the link: it is answered at once, with no result."""

DROP_REASON_OF = {
    Status.REFUSED: DropReason.REFUSED, Status.BUSY: DropReason.BUSY,
    Status.LATE: DropReason.LATE, Status.FAILED: DropReason.SERVER_FAILED,
}

new_nonce = partial(randbits, 64)
"""Returns an unpredictable number, which proves that a reply is genuine."""


def reply_topic(drone: str) -> str:
    """Return the topic on which servers answer the node of that fully qualified name."""
    return f'{drone.rpartition("/")[0]}/{REPLIES}'


@dataclass(frozen=True)
class Result:
    """What a network found in an image; `kind` is one of `meaning.KINDS`.

    `ids`, `labels` and `scores` have one length: of the best classes, best first; of detections,
    with `boxes` (ymin, xmin, ymax, xmax) in 0..1 of the network's input; of the classes in a
    class map, with the share of its pixels as score, most first. `tensors` are that map, uint8
    (H, W), or the outputs of a network that means nothing else.
    """

    ids: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    tensors: Tensors = ()
    kind: str = 'classification'


@dataclass(frozen=True)
class Part:
    """One tensor of a packet: `size` bytes of its data from `offset`."""

    spec: TensorSpec
    offset: int
    size: int


@dataclass(frozen=True)
class FeaturePacket:
    """The tensors at a cut for a server; the fields are those of FeatureTensor."""

    header: Any
    drone: str
    sequence: int
    nonce: int
    model_digest: str
    split: int
    split_name: str
    codec: str
    parts: tuple[Part, ...]
    remaining_s: float
    data: Any


@dataclass(frozen=True)
class Reply:
    """A server's answer to one packet. Durations are seconds of the server's own clock.

    `batch` tails were computed together; `expected_wait_s` is `server_wait_s` as it was expected
    when the packet came.
    """

    packet: FeaturePacket
    status: Status
    message: str = ''
    result: Result = Result()
    server: str = ''
    runtime: str = ''
    device: str = ''
    batch: int = 0
    expected_wait_s: float = nan
    server_wait_s: float = nan
    decode_s: float = nan
    tail_s: float = nan
    server_total_s: float = nan


@dataclass(frozen=True)
class ReceivedReply:
    """A reply as the drone uses it: `Reply` without the tensor that it answers."""

    header: Any
    sequence: int
    nonce: int
    model_digest: str
    status: Status
    message: str
    result: Result
    server: str
    runtime: str
    device: str
    expected_wait_s: float
    server_wait_s: float
    decode_s: float
    tail_s: float
    server_total_s: float


@dataclass
class Stages:
    """Seconds that each stage of a frame took; NaN if it did not run."""

    queue: float = nan
    preprocess: float = nan
    head: float = nan
    encode: float = nan
    link: float = nan
    server_wait: float = nan
    decode: float = nan
    tail: float = nan
    total: float = nan


@dataclass
class Frame:
    """One camera image on its way through the drone, from its arrival to its one outcome.

    `arrival_s` is on the drone's monotonic clock, `header` is the image's own, untouched;
    `image_size` its height and width. Its tensors were ready to be sent, with `encoded_bytes`, at
    `encoded_s`; `sent` says whether the middleware has taken them. A `hedged` frame keeps its
    boundary `tensors` while it is in flight, and is finished on board from `hedge_at_s` on, or
    when the server gave no result: `remote_failure` says why, and `trouble` in words;
    `refused_wait_s` is the wait that a server expected which refused it. `nonce` is what a reply
    has to carry.
    """

    sequence: int
    arrival_s: float
    header: Any
    image: Any
    image_size: tuple[int, int] = (0, 0)
    deadline_s: float = 0.0
    split: int = 0
    split_name: str = ''
    codec: str = ''
    server: str = ''
    runtime: str = ''
    device: str = ''
    server_runtime: str = ''
    server_device: str = ''
    encoded_bytes: int = 0
    encoded_s: float = nan
    sent: bool = False
    nonce: int = field(default_factory=new_nonce)
    remote_failure: DropReason | None = None
    refused_wait_s: float = nan
    trouble: str = ''
    tensors: Tensors | None = None
    hedged: bool = False
    hedge_at_s: float = inf
    decision: Any = None
    stages: Stages = field(default_factory=Stages)
    outcome: Outcome | None = None
    reason: str = ''

    def take_plan(self, plan: Any, split_name: str) -> None:
        """Note what will be done with this frame; `plan` is a `plan.Plan`."""
        self.split, self.split_name = plan.split, split_name
        self.codec, self.server, self.decision = plan.codec, plan.server, plan.decision
        self.hedge_at_s, self.hedged = plan.hedge_at_s, plan.hedge_at_s < inf

    def take_reply(self, reply: ReceivedReply, now_s: float) -> None:
        """Note what a server reports of its stages, in a reply that came at `now_s`."""
        stages = self.stages
        stages.server_wait, stages.decode = reply.server_wait_s, reply.decode_s
        stages.tail = reply.tail_s
        stages.link = max(now_s - self.encoded_s - reply.server_total_s, 0.0)
        self.server_runtime, self.server_device = reply.runtime, reply.device

    @property
    def sent_bytes(self) -> int:
        """Return the bytes on the uplink; 0 if nothing was sent."""
        return self.encoded_bytes if self.sent else 0

    @property
    def deadline_met(self) -> bool:
        """Whether a result came, and in time; without a deadline any result is in time."""
        if self.outcome in (None, Outcome.DROPPED) or isnan(self.stages.total):
            return False
        return not self.deadline_s or self.stages.total <= self.deadline_s
