"""Pending frames: when the radio is free again, and whether a reply is overdue."""

from dataclasses import dataclass
from math import inf, nan

from offload_perception.planning.decision import Decision
from offload_perception.planning.link import LinkEstimator

_OVERDUE_SPREADS = 2.0  # standard deviations after the expected reply
_FINAL_DELAY = 2.0  # by that of now: without a time scale, half of a delay has passed on average


@dataclass(frozen=True)
class Sent:
    """A frame whose `nbytes` are to be sent at `ready_s`, an estimate.

    `server_s` is the longest time that the server is likely to take, `seen_wait_s` the wait by its
    beats (NaN = none), and `warned` whether late beats warned of the link.
    """

    decision: Decision  # kept, so that its identity is not used again
    nbytes: float
    ready_s: float
    server_s: float
    seen_wait_s: float = nan
    warned: bool = False


class InFlight:
    """Frames between the decision to send them and their end."""

    def __init__(self) -> None:
        self._frames: dict[int, Sent] = {}

    def add(self, sent: Sent) -> None:
        """Take a frame."""
        self._frames[id(sent.decision)] = sent

    def remove(self, decision: Decision | None) -> Sent | None:
        """Forget a frame, and return what was known of it."""
        return self._frames.pop(id(decision), None)

    def slowdown(self, server: str, link: LinkEstimator, now_s: float) -> float:
        """Return the slowdown of the link to `server` by its overdue replies: a factor, >= 1.

        Neither an overdue nor a late reply proves that the link is slower, but the next frame
        should not rely on the estimate: sending into a fade costs more than a frame on board.
        """
        slowest = link.slowdown
        for frame in self._frames.values():
            if frame.decision.server == server:
                out_s = now_s - frame.ready_s - frame.server_s
                expected_s, spread_s = link.time(frame.nbytes, now_s)
                if out_s > expected_s + _OVERDUE_SPREADS * spread_s:
                    slowest = max(slowest, _FINAL_DELAY * out_s / expected_s)
        return slowest

    def radio_busy_s(self, s_per_byte: dict[str, float], now_s: float) -> float:
        """Return how long the radio is likely to be busy with pending frames [s].

        :param s_per_byte: of the link to each server.
        """
        free_s = -inf
        for frame in self._frames.values():
            sending_s = frame.nbytes * s_per_byte.get(frame.decision.server, 0.0)
            free_s = max(free_s, frame.ready_s) + sending_s
        return max(free_s - now_s, 0.0)
