"""What a server does for each drone."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from math import exp

from offload_perception.frames import Status
from offload_perception.serving.senders import MAX_SENDERS

_TIME_CONSTANT_S = 3.0


@dataclass
class DroneCounts:
    """Running totals of one drone, and its part of the server's recent time, 0 .. 1."""

    received: int = 0
    replies: Counter[Status] = field(default_factory=Counter)
    share: float = 0.0


class Served:
    """Counts by drone, of those heard of most recently; not thread-safe."""

    def __init__(self) -> None:
        self._drones: OrderedDict[str, DroneCounts] = OrderedDict()
        self._busy_s: dict[str, float] = {}
        self._since_s = 0.0

    def count_received(self, drone: str) -> None:
        """Count a tensor that has come."""
        self._of(drone).received += 1
        self._drones.move_to_end(drone)
        while len(self._drones) > MAX_SENDERS:
            self._busy_s.pop(self._drones.popitem(last=False)[0], None)

    def count_reply(self, drone: str, status: Status) -> None:
        """Count an answer."""
        if drone in self._drones:
            self._drones[drone].replies[status] += 1

    def count_time(self, drone: str, seconds: float, now_s: float) -> None:
        """Count computing time [s]."""
        self._forget(now_s)
        if drone in self._drones:
            self._busy_s[drone] = self._busy_s.get(drone, 0.0) + seconds

    def drones(self, now_s: float) -> dict[str, DroneCounts]:
        """Return copies of the counts, by name."""
        self._forget(now_s)
        return {drone: DroneCounts(
            counts.received, counts.replies.copy(),
            min(self._busy_s.get(drone, 0.0) / _TIME_CONSTANT_S, 1.0))
            for drone, counts in sorted(self._drones.items())}

    def _of(self, drone: str) -> DroneCounts:
        return self._drones.setdefault(drone, DroneCounts())

    def _forget(self, now_s: float) -> None:
        keep = exp(-max(now_s - self._since_s, 0.0) / _TIME_CONSTANT_S)
        self._since_s = now_s
        for drone in self._busy_s:
            self._busy_s[drone] *= keep
