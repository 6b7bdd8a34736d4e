"""Frame accounting: every frame ends exactly once, and the counts add up."""

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from offload_perception.frames import DropReason, Frame, Outcome


@dataclass(frozen=True)
class Counts:
    """Running totals: captured = remote + local + dropped + frames in progress."""

    captured: int = 0
    remote: int = 0
    local: int = 0
    dropped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unexpected_replies: int = 0
    foreign_replies: int = 0

    @property
    def under_way(self) -> int:
        """Return how many frames have not ended yet."""
        return self.captured - self.remote - self.local - self.dropped


class FrameLedger:
    """Opens and closes frames; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._captured = self._unexpected = self._foreign = 0
        self._ended: Counter[Outcome] = Counter()
        self._reasons: Counter[str] = Counter()

    def open(self, arrival_s: float, header: Any, image: Any, deadline_s: float) -> Frame:
        """Count a new frame and give it the next sequence number, from 1."""
        with self._lock:
            self._captured += 1
            return Frame(self._captured, arrival_s, header, image, deadline_s=deadline_s)

    def close(self, frame: Frame, outcome: Outcome, now_s: float,
              reason: DropReason | None = None) -> Counts | None:
        """End a frame.

        Return the totals with this frame in them, or None, and change nothing, if the frame
        had ended before. A drop needs a reason, and nothing else may have one.
        """
        if (outcome is Outcome.DROPPED) != (reason is not None):
            raise ValueError(f'outcome {outcome.name} with reason {reason}')
        with self._lock:
            if frame.outcome is not None:
                return None
            frame.outcome, frame.reason = outcome, reason.value if reason else ''
            frame.stages.total = now_s - frame.arrival_s
            self._ended[outcome] += 1
            if reason:
                self._reasons[reason.value] += 1
            return self._counts()

    def count_unexpected_reply(self) -> None:
        """Count a reply to a frame that is not waiting for one: late or duplicate."""
        with self._lock:
            self._unexpected += 1

    def count_foreign_reply(self) -> None:
        """Count a reply with the number of a frame in flight that is not for it."""
        with self._lock:
            self._foreign += 1

    @property
    def counts(self) -> Counts:
        """Return the totals."""
        with self._lock:
            return self._counts()

    def _counts(self) -> Counts:
        return Counts(self._captured, self._ended[Outcome.REMOTE], self._ended[Outcome.LOCAL],
                      self._ended[Outcome.DROPPED], self._reasons.copy(), self._unexpected,
                      self._foreign)
