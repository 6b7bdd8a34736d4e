"""How much perception may cost, from what the vehicle does: a pure function with hysteresis.

It only ever advises this package's own nodes. What is not known never holds perception back.
"""

from dataclasses import dataclass
from enum import StrEnum

from offload_perception.flight.records import Battery, Vehicle

VALID_S = 5.0  # a policy is said once a second; an older one has no effect


class Duty(StrEnum):
    """The policies, from the cheapest to the dearest; the values are those of MissionPolicy."""

    RETURN = 'return'
    GROUND = 'ground'
    ECONOMY = 'economy'
    FULL = 'full'


@dataclass(frozen=True)
class PolicySettings:
    """When to change over, and what each policy asks for.

    The battery is low below `battery_low` (0 .. 1) and no more at `battery_hysteresis` above it.
    A cheaper policy comes only when its reason has held for `hold_s`; a dearer one comes at once.
    """

    battery_low: float = 0.3
    battery_hysteresis: float = 0.05
    hold_s: float = 2.0
    economy_period_s: float = 0.5
    economy_deadline_scale: float = 2.0
    ground_period_s: float = 2.0
    return_period_s: float = 5.0
    return_deadline_scale: float = 4.0

    def terms(self, duty: Duty) -> tuple[float, float]:
        """Return what a policy asks for: seconds between images, factor on the deadline."""
        return {Duty.FULL: (0.0, 1.0),
                Duty.ECONOMY: (self.economy_period_s, self.economy_deadline_scale),
                Duty.GROUND: (self.ground_period_s, 1.0),
                Duty.RETURN: (self.return_period_s, self.return_deadline_scale)}[duty]


@dataclass(frozen=True)
class Verdict:
    """The policy that holds, and what the next decision has to know of this one.

    `wanted` has held since `wanted_since_s`; it becomes `duty` when it has held long enough.
    """

    duty: Duty = Duty.FULL
    reason: str = 'nothing is known of the vehicle yet'
    battery_low: bool = False
    wanted: Duty = Duty.FULL
    wanted_since_s: float = 0.0


def decide(before: Verdict, vehicle: Vehicle | None, battery: Battery | None, now_s: float,
           settings: PolicySettings) -> Verdict:
    """Return the policy from now on.

    :param vehicle: None where nothing is known of it, or nothing recent.
    :param battery: likewise.
    :param now_s: on a clock that only goes forward.
    """
    low = _is_low(before.battery_low, battery, settings)
    wanted, reason = _wanted(vehicle, battery, low)
    since_s = before.wanted_since_s if wanted is before.wanted else now_s
    cheaper = list(Duty).index(wanted) < list(Duty).index(before.duty)
    if cheaper and now_s - since_s < settings.hold_s:
        return Verdict(before.duty, before.reason, low, wanted, since_s)
    return Verdict(wanted, reason, low, wanted, since_s)


def _is_low(was_low: bool, battery: Battery | None, settings: PolicySettings) -> bool:
    if battery is None or battery.fraction is None:
        return False
    return battery.fraction < settings.battery_low + was_low * settings.battery_hysteresis


def _wanted(vehicle: Vehicle | None, battery: Battery | None, low: bool) -> tuple[Duty, str]:
    if vehicle is None:
        return Duty.FULL, 'the state of the vehicle is not known'
    if vehicle.on_ground:
        return Duty.GROUND, 'landed' if vehicle.armed else 'disarmed'
    if vehicle.returning:
        return Duty.RETURN, f'it returns or comes down (mode {vehicle.mode})'
    if low:
        return Duty.ECONOMY, f'battery at {battery.fraction:.0%}'
    known = battery is not None and battery.fraction is not None
    return Duty.FULL, 'in flight' if known else 'in flight, battery not known'
