"""The outcome of a frame, as far as the planner learns from it."""

from dataclasses import dataclass, replace
from math import nan

from offload_perception.frames import DropReason, Frame, Outcome


@dataclass(frozen=True)
class FrameReport:
    """An ended frame. Durations in seconds of the drone's clock, NaN if a stage did not run.

    `wait_s`, `decode_s` and `tail_s` are the server's own. `nbytes` is 0 if nothing was sent.
    A frame for a server that its hedge finished has outcome LOCAL and a `server`; `reason` is then
    why the server gave no result, empty if its reply was overdue. `trouble`
    is that in words; `refused_wait_s` the wait that a server expected which refused it.
    """

    cut: int
    codec: str
    server: str
    outcome: Outcome
    reason: str = ''
    queue_s: float = nan
    preprocess_s: float = nan
    head_s: float = nan
    encode_s: float = nan
    link_s: float = nan
    wait_s: float = nan
    decode_s: float = nan
    tail_s: float = nan
    total_s: float = nan
    nbytes: int = 0
    trouble: str = ''
    refused_wait_s: float = nan

    @classmethod
    def of(cls, frame: Frame) -> 'FrameReport':
        """Return the report of an ended frame of the drone's pipeline."""
        s = frame.stages
        assert frame.outcome is not None  # it has ended
        return cls(frame.split, frame.codec, frame.server, frame.outcome,
                   frame.remote_failure or frame.reason, s.queue, s.preprocess, s.head, s.encode,
                   s.link, s.server_wait, s.decode, s.tail, s.total, frame.sent_bytes,
                   frame.trouble, frame.refused_wait_s)

    def with_codec(self, codec: str) -> 'FrameReport':
        """Return this report with the codec as the planner named it, without its clip."""
        return replace(self, codec=codec)

    @property
    def hedge_used(self) -> bool:
        """Return whether the frame was planned for a server and ended by its hedge, on board."""
        return self.outcome is Outcome.LOCAL and bool(self.server)

    @property
    def unanswered(self) -> bool:
        """Return whether something was sent and no reply came in time."""
        return self.nbytes > 0 and ((self.hedge_used and not self.reason)
                                    or self.reason == DropReason.TIMEOUT)

    @property
    def overloaded(self) -> bool:
        """Return whether the server rejected the frame because of its load."""
        return self.reason in (DropReason.BUSY, DropReason.LATE)

    @property
    def rejected(self) -> bool:
        """Return whether the server refused the frame for a lasting reason."""
        return self.reason in (DropReason.REFUSED, DropReason.SERVER_FAILED)

    @property
    def unheard(self) -> bool:
        """Return whether the server was not subscribed, so that nothing was sent."""
        return self.reason == DropReason.NO_SERVER

    def overhead_s(self, waited_s: float) -> float:
        """Return the time outside head, encoding, link and server [s].

        That is the preprocessing, and the overhead of the drone's own software.

        :param waited_s: from arrival to decision; NaN = unknown, then it is the preprocessing.
        """
        if self.outcome is Outcome.DROPPED or self.hedge_used or waited_s != waited_s:
            return self.preprocess_s
        stages = (self.head_s, self.encode_s, self.link_s, self.wait_s, self.decode_s, self.tail_s)
        return self.total_s - waited_s - sum(s for s in stages if s == s)
