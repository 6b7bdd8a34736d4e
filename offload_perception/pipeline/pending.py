"""The frames that were sent and whose reply is pending."""

from math import inf
from threading import Condition

from offload_perception.frames import Frame


class PendingFrames:
    """The frames whose reply is pending; each change wakes the threads that wait for `changed`.

    May be used from several threads.
    """

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._frames: dict[int, Frame] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame: Frame) -> bool:
        return self._frames.get(frame.sequence) is frame

    def add(self, frame: Frame) -> None:
        """Add a frame."""
        with self._changed:
            self._frames[frame.sequence] = frame

    def find(self, sequence: int) -> Frame | None:
        """Return the pending frame with that number, or None."""
        with self._changed:
            return self._frames.get(sequence)

    def remove(self, frame: Frame, *, keep_hedged: bool = False) -> bool:
        """Remove a frame; False if it is no longer pending.

        :param keep_hedged: leave a hedged one, for its hedge to finish.
        """
        with self._changed:
            if frame not in self:
                return False
            if not (keep_hedged and frame.hedged):
                del self._frames[frame.sequence]
                self._changed.notify()
            return True

    def remove_unanswered(self, limit_s: float) -> list[Frame]:
        """Remove those that were ready to be sent before `limit_s` and are not hedged."""
        with self._changed:
            lost = [f for f in self._frames.values() if f.encoded_s < limit_s and not f.hedged]
            for frame in lost:
                del self._frames[frame.sequence]
            self._changed.notify()
            return lost

    def remove_all(self) -> list[Frame]:
        """Remove all."""
        with self._changed:
            left = list(self._frames.values())
            self._frames.clear()
            return left

    def hedge_now(self, frame: Frame, now_s: float) -> None:
        """Start the hedge of a frame at once."""
        with self._changed:
            frame.hedge_at_s = min(frame.hedge_at_s, now_s)
            self._changed.notify()

    def overdue(self, now_s: float) -> Frame | None:
        """Return a frame whose hedge starts now, once, or None."""
        with self._changed:
            first = min(self._frames.values(), key=lambda f: f.hedge_at_s, default=None)
            if first is None or first.hedge_at_s > now_s:
                return None
            first.hedge_at_s = inf
            return first

    @property
    def next_hedge_s(self) -> float:
        """Return when the next hedge starts; infinite = none."""
        with self._changed:
            return min((f.hedge_at_s for f in self._frames.values()), default=inf)
