"""Whether a server can be reached: lost after missed replies, back after answered probes."""

_MISSES_TO_LOSE = 2  # in a row; a single loss is no outage
_ANSWERS_TO_RETURN = 2  # in a row, so that a link at its limit does not flap


class RouteWatch:
    """Hysteresis on results: two misses in a row lose a route, two answers in a row restore it.

    After the first miss it is suspect until anything is answered.
    """

    def __init__(self) -> None:
        self.lost, self.losses = False, 0
        self._misses = self._answers = 0
        self._probed_s = float('-inf')

    @property
    def answering(self) -> bool:
        """Return whether the last thing sent was answered."""
        return self._answers > 0

    @property
    def suspect(self) -> bool:
        """Return whether the last thing sent was not answered, and the route is not lost yet."""
        return self._misses > 0 and not self.lost

    def observe_miss(self) -> None:
        """Note that a result or a probe's answer did not come in time."""
        self._misses += 1
        self._answers = 0
        if self._misses >= _MISSES_TO_LOSE:
            self.lose()

    def observe_answer(self) -> None:
        """Note a result, a refusal or a probe's answer: the route works both ways."""
        self._misses = 0
        self._answers += 1
        if self._answers >= _ANSWERS_TO_RETURN:
            self.lost = False

    def lose(self) -> None:
        """Note an external report that the link is down."""
        self.losses += not self.lost
        self.lost, self._answers = True, 0

    def probe_at_once(self) -> None:
        """Note an external report that the link is up: probe at once."""
        self._probed_s = float('-inf')

    def probe_due(self, now_s: float, period_s: float) -> bool:
        """Return whether to probe now, and if so note it; a clock that went back restarts it."""
        if 0.0 <= now_s - self._probed_s < period_s:
            return False
        self._probed_s = now_s
        return True
