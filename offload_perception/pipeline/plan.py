"""The input of the drone's pipeline: its limits, and the plan of each frame."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from offload_perception.frames import Frame, ReceivedReply, Result
from offload_perception.pipeline.ledger import Counts


@dataclass(frozen=True)
class Plan:
    """What to do with a frame: cut, codec and server.

    The hedge of a frame without a reply starts at `hedge_at_s` (monotonic): it is finished on
    board from its boundary tensor; infinite = no hedge, it is dropped then. The layers up to
    `split` are expected to take `head_s`. `decision` is the planner's own record of it.
    """

    split: int
    codec: str = 'auto'
    server: str = ''
    hedge_at_s: float = inf
    head_s: float = 0.0
    decision: Any = None


Strategy = Callable[[Frame], Plan]
"""Says what to do with a frame whose work starts now; called from the pipeline's worker."""


@dataclass(frozen=True)
class EdgeSettings:
    """Limits of the drone's pipeline.

    `deadline_s` 0 = none; it is multiplied by `deadline_scale`. Images that come sooner than
    `min_period_s` after the last one worked on are dropped. A reply is given up
    `reply_timeout_s` after the tensor was sent. With `max_in_flight` tensors unanswered no new
    frame is started, so that a slow server or link is met with fresh frames, not with a queue of
    old ones.
    """

    drone: str
    deadline_s: float = 0.0
    reply_timeout_s: float = 1.0
    max_in_flight: int = 2
    top_k: int = 5
    min_score: float = 0.4
    min_period_s: float = 0.0
    deadline_scale: float = 1.0


@dataclass(frozen=True)
class Ended:
    """A frame that has just ended: its record, its result if there is one, and the totals."""

    frame: Frame
    counts: Counts
    result: Result | None = None
    reply: ReceivedReply | None = None
