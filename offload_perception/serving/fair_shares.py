"""Each drone's share of a server's time."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from offload_perception.errors import ConfigError
from offload_perception.serving.senders import MAX_SENDERS

ACTIVE_S = 3.0  # a drone that was silent for longer takes no share; also what it can save up
KNOWN_S = 0.5  # a drone that is heard of for longer is known


@dataclass
class _Account:
    credit_s: float
    settled_s: float  # when the credit was computed
    heard_s: float


class Shares:
    """Credit of computing time: each drone earns its share of the time, and pays for its tails.

    Who has credit goes before who has none, so that a drone gets its share whatever others send,
    and what it does not use is left to them. Names can be forged, a new one for each tensor: so a
    newcomer has no credit and takes no share, until it is known, and newcomers displace no drone
    that is. Then it has full credit.

    :param weights: of drones, by their namespace; 1 for all others.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._weights = dict(weights or {})
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._newcomers: OrderedDict[str, float] = OrderedDict()  # when they were first heard

    def weight(self, drone: str) -> float:
        """Return the weight of the node of that fully qualified name."""
        return self._weights.get(drone.rpartition('/')[0], 1.0)

    def is_known(self, drone: str) -> bool:
        """Return whether a drone was heard of for long enough to have a share."""
        return drone in self._accounts

    def hear(self, drone: str, now_s: float) -> None:
        """Note that a drone has sent a tensor."""
        if drone not in self._accounts:
            if now_s - self._newcomers.setdefault(drone, now_s) < KNOWN_S:
                _keep_newest(self._newcomers)
                return
            del self._newcomers[drone]
            self._accounts[drone] = _Account(ACTIVE_S, now_s, now_s)
        self._accounts[drone].heard_s = now_s
        self._accounts.move_to_end(drone)
        _keep_newest(self._accounts)

    def credits_s(self, drones: Iterable[str], now_s: float) -> dict[str, float]:
        """Return the computing time that each drone may take before others go first [s]."""
        active = sum(self.weight(name) for name, a in self._accounts.items()
                     if now_s - a.heard_s <= ACTIVE_S)
        return {drone: self._credit_s(drone, now_s, active) for drone in drones}

    def _credit_s(self, drone: str, now_s: float, active: float) -> float:
        account = self._accounts.get(drone)
        if account is None:
            return 0.0
        share = self.weight(drone) / max(active, self.weight(drone))
        earned_s = share * max(now_s - account.settled_s, 0.0)
        account.credit_s = min(account.credit_s + earned_s, share * ACTIVE_S)
        account.settled_s = now_s
        return account.credit_s

    def pay(self, drone: str, seconds: float, now_s: float) -> None:
        """Charge a drone for computing time; nobody owes more than can be saved up."""
        if drone in self._accounts:
            left_s = self.credits_s((drone,), now_s)[drone] - seconds
            self._accounts[drone].credit_s = max(left_s, -ACTIVE_S)


def _keep_newest(drones: OrderedDict[str, Any]) -> None:
    while len(drones) > MAX_SENDERS:
        drones.popitem(last=False)


def weights_of(text: str) -> dict[str, float]:
    """Return the weights in a text such as `/drone1:2, /drone2:0.5`, by namespace.

    :raises ConfigError: if it is none.
    """
    found: dict[str, float] = {}
    for entry in filter(None, (part.strip() for part in text.split(','))):
        name, _, value = entry.rpartition(':')
        try:
            weight = float(value)
        except ValueError:
            weight = 0.0
        if not name.startswith('/') or not 0.01 <= weight <= 100.0:
            raise ConfigError(f"parameter shares has '{entry}'; it takes NAMESPACE:WEIGHT with a "
                              'weight of 0.01 to 100, for example /drone1:2, /drone2:0.5')
        found[name.rstrip('/')] = weight
    return found
