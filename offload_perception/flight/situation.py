"""The latest state of vehicle and battery, while it is recent."""

from dataclasses import replace
from typing import Generic, TypeVar

from offload_perception.flight.vehicle_state import Battery, Vehicle

Value = TypeVar('Value')
MAX_BATTERIES = 16


class _Recent(Generic[Value]):
    """A value that expires if it is not renewed in time."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._value: Value | None = None
        self._received_s = 0.0

    def put(self, value: Value | None, now_s: float) -> None:
        self._value, self._received_s = value, now_s

    def get(self, now_s: float) -> Value | None:
        return self._value if now_s - self._received_s <= self._timeout_s else None


class Situation:
    """Collects the state of the flight stack; all times are on a clock that only goes forward."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._vehicle: _Recent[Vehicle] = _Recent(timeout_s)
        self._landed: _Recent[bool] = _Recent(timeout_s)
        self._batteries: dict[str, _Recent[Battery]] = {}

    def see_vehicle(self, vehicle: Vehicle | None, now_s: float) -> None:
        """Take the vehicle's state, None if no autopilot is connected."""
        self._vehicle.put(vehicle, now_s)

    def see_landed(self, landed: bool | None, now_s: float) -> None:
        """Take whether it is landed, None if that is not known."""
        self._landed.put(landed, now_s)

    def see_battery(self, name: str, battery: Battery, now_s: float) -> None:
        """Take the state of the battery called `name`."""
        known = self._batteries.pop(name, None) or _Recent(self._timeout_s)
        known.put(battery, now_s)
        self._batteries[name] = known
        while len(self._batteries) > MAX_BATTERIES:
            del self._batteries[next(iter(self._batteries))]  # the one silent for longest

    def vehicle(self, now_s: float) -> Vehicle | None:
        """Return the vehicle's state, None if there is no recent one."""
        vehicle = self._vehicle.get(now_s)
        return vehicle and replace(vehicle, landed=self._landed.get(now_s))

    def battery(self, now_s: float) -> Battery | None:
        """Return the battery with the least charge, of those that report it; None = unknown."""
        recent = [b for b in (r.get(now_s) for r in self._batteries.values()) if b is not None]
        return min(recent, default=None,
                   key=lambda b: 2.0 if b.fraction is None else b.fraction)
