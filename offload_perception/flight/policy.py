"""How much perception may cost, from what the vehicle does: a pure function with hysteresis.

It only advises this package's own nodes. What is unknown never holds perception back.
"""

from collections.abc import Callable
from dataclasses import dataclass

from offload_perception.flight.vehicle_state import Battery, Vehicle

VALID_S = 5.0  # a policy is published once a second; an older one has no effect


@dataclass(frozen=True)
class PolicySettings:
    """When the policy changes, and the terms of each policy.

    The battery is low below `battery_low` (0 .. 1), until it is `battery_hysteresis` above it.
    A cheaper policy starts only after its reason has held for `hold_s`; a dearer one at once.
    """

    battery_low: float = 0.3
    battery_hysteresis: float = 0.05
    hold_s: float = 2.0
    economy_period_s: float = 0.5
    economy_deadline_scale: float = 2.0
    ground_period_s: float = 2.0
    return_period_s: float = 5.0
    return_deadline_scale: float = 4.0


@dataclass(frozen=True)
class Policy:
    """A mission policy; `name` is its value in MissionPolicy.

    `terms` returns the time between images [s] and the factor on the deadline; the longer the
    time, the cheaper the policy. `reason` returns why the policy applies to the vehicle, its
    battery (None = unknown) and whether that is low; '' if it does not apply.
    """

    name: str
    terms: Callable[[PolicySettings], tuple[float, float]]
    reason: Callable[[Vehicle, Battery | None, bool], str]


def _on_ground(vehicle: Vehicle, battery: Battery | None, low: bool) -> str:
    if not vehicle.on_ground:
        return ''
    return 'landed' if vehicle.armed else 'disarmed'


def _returning(vehicle: Vehicle, battery: Battery | None, low: bool) -> str:
    return f'it returns or comes down (mode {vehicle.mode})' if vehicle.returning else ''


def _battery_low(vehicle: Vehicle, battery: Battery | None, low: bool) -> str:
    return f'battery at {battery.fraction:.0%}' if battery and low else ''


def _in_flight(vehicle: Vehicle, battery: Battery | None, low: bool) -> str:
    known = battery is not None and battery.fraction is not None
    return 'in flight' if known else 'in flight, battery not known'


GROUND = Policy('ground', lambda s: (s.ground_period_s, 1.0), _on_ground)
RETURN = Policy('return', lambda s: (s.return_period_s, s.return_deadline_scale), _returning)
ECONOMY = Policy('economy', lambda s: (s.economy_period_s, s.economy_deadline_scale), _battery_low)
FULL = Policy('full', lambda s: (0.0, 1.0), _in_flight)
POLICIES = (GROUND, RETURN, ECONOMY, FULL)  # the first one that applies


@dataclass(frozen=True)
class Verdict:
    """The policy that holds, and what the next decision needs from this one.

    `wanted` has applied since `wanted_since_s`; it becomes `policy` after `hold_s`.
    """

    policy: Policy = FULL
    reason: str = 'nothing is known of the vehicle yet'
    battery_low: bool = False
    wanted: Policy = FULL
    wanted_since_s: float = 0.0


def decide(before: Verdict, vehicle: Vehicle | None, battery: Battery | None, now_s: float,
           settings: PolicySettings) -> Verdict:
    """Return the policy from now on.

    :param vehicle: None if nothing recent is known of it.
    :param battery: None if nothing recent is known of it.
    :param now_s: on a clock that only goes forward.
    """
    low = _is_low(before.battery_low, battery, settings)
    wanted, reason = _wanted(vehicle, battery, low)
    since_s = before.wanted_since_s if wanted is before.wanted else now_s
    cheaper = wanted.terms(settings) > before.policy.terms(settings)
    if cheaper and now_s - since_s < settings.hold_s:
        return Verdict(before.policy, before.reason, low, wanted, since_s)
    return Verdict(wanted, reason, low, wanted, since_s)


def _is_low(was_low: bool, battery: Battery | None, settings: PolicySettings) -> bool:
    if battery is None or battery.fraction is None:
        return False
    return battery.fraction < settings.battery_low + was_low * settings.battery_hysteresis


def _wanted(vehicle: Vehicle | None, battery: Battery | None, low: bool) -> tuple[Policy, str]:
    if vehicle is None:
        return FULL, 'the state of the vehicle is not known'
    return next((policy, reason) for policy in POLICIES
                if (reason := policy.reason(vehicle, battery, low)))
