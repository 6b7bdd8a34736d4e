"""The plain data that a flight stack's messages become; SI units, ENU world and FLU body."""

from dataclasses import dataclass
from typing import NamedTuple

NO_BATTERY_V = 2.1
"""Below it no battery is connected (PX4, src/lib/battery, LITHIUM_BATTERY_RECOGNITION_VOLTAGE)."""
HIGHEST_M = 1e6  # and lowest; far above any aircraft
NOWHERE_DEG = 1e-7  # one count of MAVLink: 1 cm


class Quaternion(NamedTuple):
    """A unit quaternion, Hamilton convention; q and -q are the same rotation."""

    w: float
    x: float
    y: float
    z: float


class Position(NamedTuple):
    """WGS 84: degrees, and metres above the ellipsoid."""

    latitude: float
    longitude: float
    altitude: float

    @property
    def is_place(self) -> bool:
        """Whether it is valid: on the globe, and not the 0, 0 that is sent without a fix."""
        latitude, longitude = abs(self.latitude), abs(self.longitude)
        return (latitude <= 90 and longitude <= 180 and abs(self.altitude) <= HIGHEST_M
                and max(latitude, longitude) > NOWHERE_DEG)


@dataclass(frozen=True)
class Vehicle:
    """What the vehicle is doing; `landed` None = unknown.

    `returning`: it flies home or comes down by itself, for whatever reason.
    `mode` is the flight stack's own name for it.
    """

    armed: bool
    returning: bool
    mode: str
    landed: bool | None = None

    @property
    def on_ground(self) -> bool:
        """Whether it certainly does not fly."""
        return not self.armed or self.landed is True


@dataclass(frozen=True)
class Battery:
    """The flight battery; None = unknown.

    `fraction` is 0 .. 1. `current_a` is positive when discharging: what the vehicle draws.
    """

    fraction: float | None = None
    voltage_v: float | None = None
    current_a: float | None = None
