"""PX4 messages over uXRCE-DDS as records. Topics and versions: docs/flight_integration.md."""

from math import inf, isfinite
from typing import Any

from offload_perception.flight.rotation import ned_frd_to_enu_flu, unit
from offload_perception.flight.vehicle_state import (
    NO_BATTERY_V,
    Battery,
    Position,
    Quaternion,
    Vehicle,
)

_ARMED = 2
# nav_state: return, descend, termination, land, precision land
_RETURNING = frozenset((5, 12, 13, 18, 20))


def topic_name(name: str, message_class: type) -> str:
    """Return the name a topic has in the firmware that `message_class` was generated for.

    From PX4 1.16 on a message of version N, N not 0, goes by `<name>_vN`.
    """
    version = getattr(message_class, 'MESSAGE_VERSION', 0)
    return f'{name}_v{version}' if version else name


def seconds(timestamp_us: int) -> float:
    """Return a PX4 time stamp in seconds."""
    return timestamp_us * 1e-6


def vehicle(m: Any) -> Vehicle:
    """Return the vehicle's state from a px4_msgs/VehicleStatus.

    The mode that flies counts. `failsafe` alone does not: a mere warning sets it, too.
    """
    return Vehicle(armed=m.arming_state == _ARMED, mode=f'nav_state {m.nav_state}',
                   returning=m.nav_state in _RETURNING)


def landed(m: Any) -> bool:
    """Return whether a px4_msgs/VehicleLandDetected says landed."""
    return bool(m.landed)


def battery(m: Any) -> Battery:
    """Return the record of a px4_msgs/BatteryStatus; its current is positive when discharging.

    Invalid are voltage 0, current -1 and remaining -1. Of a battery that is not connected nothing
    is known; its `remaining` may be 0.
    """
    if not m.connected or m.voltage_v < NO_BATTERY_V:
        return Battery()
    return Battery(
        fraction=m.remaining if 0 <= m.remaining <= 1 else None,
        voltage_v=m.voltage_v if m.voltage_v < inf else None,
        current_a=m.current_a if isfinite(m.current_a) and m.current_a != -1 else None)


def position(m: Any) -> Position | None:
    """Return the position of a px4_msgs/VehicleGlobalPosition; None if it is not valid.

    PX4 1.15 has no flags of validity: it does not publish an estimate that is not valid.
    """
    p = Position(m.lat, m.lon, m.alt_ellipsoid)
    valid = getattr(m, 'lat_lon_valid', True) and getattr(m, 'alt_valid', True)
    return p if valid and p.is_place else None


def attitude(m: Any) -> Quaternion | None:
    """Return the attitude of a px4_msgs/VehicleAttitude in ROS axes, FLU to ENU."""
    q = unit(Quaternion(*map(float, m.q)))
    return q and ned_frd_to_enu_flu(q)
