"""MAVROS messages as records. Topics and peculiarities: docs/flight_integration.md."""

from math import inf, isfinite
from typing import Any

from offload_perception.flight.rotation import unit
from offload_perception.flight.vehicle_state import (
    NO_BATTERY_V,
    Battery,
    Position,
    Quaternion,
    Vehicle,
)
from offload_perception.incoming import text

# Modes in which the vehicle goes home or comes down by itself, as MAVROS names them for PX4 and
# for ArduPilot. CMODE(21) is SMART_RTL of a copter, which MAVROS 2.12 has no name for.
RETURNING = frozenset((
    'RTL', 'SMART_RTL', 'QRTL', 'CMODE(21)', 'LAND', 'QLAND',
    'AUTO.RTL', 'AUTO.RTGS', 'AUTO.LAND', 'AUTO.PRECLAND'))
# MAV_STATE: emergency and flight termination, both on the way down. Critical (5) is not one of
# them: it flies on, and a failsafe that only warns sets it; if it returns, the mode changes.
_COMING_DOWN = frozenset((6, 8))
_LANDED = {1: True, 2: False, 3: False, 4: False}  # MAV_LANDED_STATE; 0 = undefined


def vehicle(m: Any) -> Vehicle | None:
    """Return the vehicle's state from a mavros_msgs/State; None while no autopilot answers."""
    if not m.connected:
        return None
    return Vehicle(armed=m.armed, mode=text(m.mode),
                   returning=m.mode in RETURNING or m.system_status in _COMING_DOWN)


def landed(m: Any) -> bool | None:
    """Return whether a mavros_msgs/ExtendedState says landed; None if it does not know."""
    return _LANDED.get(m.landed_state)


def battery(m: Any) -> Battery:
    """Return the record of a sensor_msgs/BatteryState as MAVROS fills it.

    Negative current is discharging. MAVROS scales MAVLink's unknown values as if they were known:
    a percentage below 0, a current of +0.01 A (-1) and a voltage of 65.535 V (UINT16_MAX). Of a
    battery that is not there, or has hardly a volt, nothing is known; its percentage may be 0.
    """
    if not m.present or m.voltage < NO_BATTERY_V:
        return Battery()
    unknown_current = abs(m.current - 0.01) < 1e-6
    unknown_voltage = abs(m.voltage - 65.535) < 1e-4
    return Battery(
        fraction=m.percentage if 0 <= m.percentage <= 1 else None,
        voltage_v=m.voltage if m.voltage < inf and not unknown_voltage else None,
        current_a=-m.current if isfinite(m.current) and not unknown_current else None)


def position(m: Any) -> Position | None:
    """Return the position of a sensor_msgs/NavSatFix; None without a fix.

    The receiver's status may report a fix before the autopilot has a position: it sends 0, 0.
    """
    p = Position(m.latitude, m.longitude, m.altitude)
    return p if m.status.status >= 0 and p.is_place else None


def attitude(m: Any) -> Quaternion | None:
    """Return the attitude of a sensor_msgs/Imu, FLU to ENU; None if it has none."""
    if m.orientation_covariance[0] == -1:
        return None
    q = m.orientation
    return unit(Quaternion(q.w, q.x, q.y, q.z))
