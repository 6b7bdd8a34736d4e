"""How long the link takes at least, so that a server knows how long it has itself."""

from collections import deque
from math import isfinite

_RECENT = 8
_MOST = 0.9  # of the time to a deadline is the link's: it may have become faster


class LinkTimes:
    """The last frames' times on the links, up and down together; kept for `_RECENT` frames."""

    def __init__(self) -> None:
        self._recent: deque[tuple[str, float]] = deque(maxlen=_RECENT)

    def observe(self, server: str, link_s: float) -> None:
        """Take a frame's time on the link [s]."""
        if isfinite(link_s):
            self._recent.append((server, link_s))

    def left_to(self, server: str, left_s: float) -> float:
        """Return the server's part of the time to a deadline: less what the link takes at least.

        A deadline that has passed stays as it is.
        """
        least_s = min((s for name, s in tuple(self._recent) if name == server), default=0.0)
        return left_s - min(least_s, _MOST * left_s) if left_s > 0.0 else left_s
