"""A drone's radio: what it sends takes its turn on the link, and takes energy."""

from collections.abc import Callable
from math import inf

import numpy as np

from offload_perception.profiles.device_profile import Radio
from offload_perception.simulation.links import LinkTrace
from offload_perception.simulation.simulated_server import Clock

DOWN_JITTER_S = 2e-3


class SimulatedRadio:
    """The two directions of a drone's link.

    :ivar free_s: when the uplink is free.
    :ivar on_until_s: until when the radio stays on after it has sent.
    """

    def __init__(self, link: LinkTrace, radio: Radio, clock: Clock,
                 jitter: np.random.Generator) -> None:
        self.link, self._radio, self._clock, self._jitter = link, radio, clock, jitter
        self.free_s = self.on_until_s = self._down_free_s = 0.0

    def send(self, nbytes: int, until_s: float) -> tuple[float, float]:
        """Return when bytes have left, infinite if not by `until_s`, and what that takes [J].

        What has not left by then is discarded, since a newer frame replaces it.
        """
        start_s = min(max(self._clock.now_s, self.free_s), until_s)
        left_s = float(self.link.finish_s(start_s, nbytes))
        end_s = min(left_s, until_s)
        self.free_s = max(self.free_s, end_s)
        radio, sending_s = self._radio, self.link.sending_s(start_s, end_s)
        tail_j = radio.tail_j(end_s + radio.tail_s - max(self.on_until_s, end_s))
        self.on_until_s = max(self.on_until_s, end_s + radio.tail_s)
        return (left_s if left_s <= until_s else inf, radio.energy_j(sending_s, nbytes) + tail_j)

    def receive(self, nbytes: int, period_s: float, take: Callable[[float], None]) -> None:
        """Have the server's message come down the link, after the one before it.

        One that would start more than a period late is dropped. `take` gets the time of arrival.
        """
        sent_s = self._clock.now_s
        start_s = max(sent_s, self._down_free_s)
        if start_s > sent_s + period_s:
            return
        self._down_free_s = float(self.link.down.finish_s(start_s, nbytes))
        at_s = (self._down_free_s + self.link.round_trip_s / 2
                + self._jitter.exponential(DOWN_JITTER_S))
        self._clock.schedule(at_s, lambda: take(at_s))
