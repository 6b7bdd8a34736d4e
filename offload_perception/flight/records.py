"""The plain data that a flight stack's messages become; SI units, ENU world and FLU body."""

from dataclasses import dataclass
from typing import NamedTuple


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


@dataclass(frozen=True)
class Vehicle:
    """What the vehicle is doing; `landed` None = nobody tells.

    `returning`: it flies home or lands by itself, for whatever reason, or is in a failsafe.
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
