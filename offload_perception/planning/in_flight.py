"""The pending frames: when the radio is free, and what a missing reply already shows."""

from dataclasses import dataclass
from math import inf, nan

from offload_perception.planning.decision import Decision
from offload_perception.planning.link import LinkEstimator

_OVERDUE = 2.0  # standard deviations
_AS_LONG_AGAIN = 2.0  # a delay of t so far is expected to become about 2 t


@dataclass(frozen=True)
class Sent:
    """A frame whose `nbytes` are to be sent at `ready_s`, an estimate.

    `server_s` is the longest time that the server is likely to take, `seen_wait_s` what beats
    said of its queue (NaN = nothing), and `warned` whether they warned of the link.
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
        """Return how many times as slow as estimated the link to `server` must be by now.

        A reply that is pending for longer than link and server explain is not proof, nor is one
        late reply, but the next frame should not rely on the estimate: sending into a fade costs
        more than staying on board for a moment.
        """
        slowest = link.slowdown
        for frame in self._frames.values():
            if frame.decision.server == server:
                out_s = now_s - frame.ready_s - frame.server_s
                expected_s, spread_s = link.time(frame.nbytes, now_s)
                if out_s > expected_s + _OVERDUE * spread_s:
                    slowest = max(slowest, _AS_LONG_AGAIN * out_s / expected_s)
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
