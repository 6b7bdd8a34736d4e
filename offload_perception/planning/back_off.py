"""Back-off: a server that refuses frames for a lasting reason is not used for a while."""

_FIRST_S, _LONGEST_S = 1.0, 30.0  # exponential back-off; a restarted server is found in 30 s


class BackOff:
    """Pauses a server after a refusal that is not due to its load.

    After the pause a frame may try again: a result ends the back-off, another refusal doubles the
    pause.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Note a result, or another sign that the server works."""
        self._pause_s, self._until_s, self.why = 0.0, float('-inf'), ''

    def observe_refusal(self, now_s: float, why: str) -> None:
        """Take a refusal; refusals of frames sent before the pause are ignored."""
        if self.holds(now_s):
            return
        self._pause_s = min(max(2.0 * self._pause_s, _FIRST_S), _LONGEST_S)
        self._until_s, self.why = now_s + self._pause_s, why or 'without a reason'

    def holds(self, now_s: float) -> bool:
        """Return whether no frame may be sent now; a clock that went back ends the pause."""
        return self._until_s - self._pause_s <= now_s < self._until_s
