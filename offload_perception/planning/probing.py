"""Probes: small packets that measure a link which frames do not use."""

from dataclasses import dataclass
from math import inf, sqrt

from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.planning.route import Route, RouteState
from offload_perception.profiles.device_profile import Radio

PROBE_TIMEOUT_S = 1.0
_SHORTEST_S, _LONGEST_S = 0.1, 30.0  # period
_BYTES = 32, 700  # payload of a small and of a large one
_UNANSWERED = 0.1  # of the timeout of a probe the radio is taken to have tried (a guess)
_SAVING = 0.5  # of the power of frames, that a better link may save; tuned, 0.35 to 1 were worse


@dataclass(frozen=True)
class Probe:
    """A packet of `nbytes` for `server`, which answers it at once; `energy_j` is expected."""

    server: str
    nbytes: int
    energy_j: float


class Prober:
    """Says when to probe the link to one server.

    The period balances what probes take and what is lost until a change is noticed. If changes
    come every S seconds, probes of e joules every T seconds take e/T, and T/2S of the power P that
    sending could save is lost: least at T = sqrt(2 e S / P). S is taken to be the time since the
    link was last worth using.
    """

    def __init__(self, route: Route, radio: Radio) -> None:
        self._route, self._radio = route, radio
        self._used_s, self._sent_s = inf, -inf
        self._power_w, self._shortest_s = 0.0, _SHORTEST_S
        self._unanswered = False

    def observe_probe(self, *, answered: bool) -> None:
        """Note whether a probe was answered."""
        self._unanswered = not answered

    def observe_frames(self, energy_j: float, period_s: float) -> None:
        """Take what a frame draws, and the time between two frames: news is of use to the next."""
        self._power_w = energy_j / period_s
        self._shortest_s = max(period_s, _SHORTEST_S)

    def due(self, now_s: float, *, used: bool) -> Probe | None:
        """Return the probe that is due now, or None; a clock that went back makes it due.

        :param used: whether frames are sent there. Their link is probed only if they cannot show
            what of their time is the round trip, or if the last one was much too late.
        """
        self._used_s = min(self._used_s, now_s)
        route = self._route
        doubtful = used and (route.link.doubtful or route.state is RouteState.DOUBT)
        if used and route.state is RouteState.GOOD and not doubtful and not route.link.unclear:
            return None
        probe = self._sized()
        period_s = (self._shortest_s if doubtful and not self._unanswered
                    else self._period_s(probe, now_s))
        return None if 0.0 <= now_s - self._sent_s < period_s else probe

    def note_sent(self, now_s: float) -> None:
        """Note that a probe is sent now."""
        self._sent_s = now_s

    def note_used(self, now_s: float) -> None:
        """Note that a frame is sent."""
        self._sent_s = self._used_s = now_s
        self._unanswered = False

    def _period_s(self, probe: Probe, now_s: float) -> float:
        energy_j, saving_w = probe.energy_j, max(_SAVING * self._power_w, 1e-6)
        if self._unanswered:  # the radio may have tried for some of the time
            energy_j = max(energy_j, _UNANSWERED * self._radio.sending_w * PROBE_TIMEOUT_S)
        best_s = sqrt(2.0 * energy_j * (now_s - self._used_s) / saving_w)
        return min(max(best_s, self._shortest_s), _LONGEST_S)

    def probe_at_once(self) -> None:
        """Note that the link may have got better."""
        self._sent_s = -inf

    def _sized(self) -> Probe:
        """Return a small probe, or one whose time differs enough from it to show the bandwidth."""
        link, (small, large) = self._route.link, _BYTES
        nbytes = large if link.unclear and self._route.state is RouteState.GOOD else small
        on_air = nbytes + MESSAGE_BYTES
        return Probe(self._route.server, nbytes,
                     self._radio.energy_j(on_air * link.s_per_byte, on_air))
