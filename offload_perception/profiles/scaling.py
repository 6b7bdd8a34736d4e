"""A guess at a profile for a network that was never measured on that device."""

from dataclasses import replace
from math import inf

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.profiles.device_profile import ABOVE_IDLE, CutCost, DeviceProfile

SPREAD = 0.5  # of a guess


def scaled(profile: DeviceProfile, measured: NetworkShape, wanted: NetworkShape,
           *, speed: float = 1.0) -> DeviceProfile:
    """Return `profile`, taken with `measured`, carried over to `wanted` by multiply-adds.

    A head of `wanted` gets the time and energy that `profile` has at as many multiply-adds,
    divided by `speed`; beyond the measured range the last slope goes on, and a head of less work
    than the first measured layer costs its share of that layer. Memory limits are not
    carried over. The result says that it is a scaled estimate, and its spreads are wide.

    :raises PlanError: if `profile` is not of `measured`.
    """
    profile.check_for(measured)
    fits = profile.fits
    known, work = measured.head_macs[fits], wanted.head_macs
    seconds = _carried(work, known, profile.head_s[fits]) / speed
    joules = _carried(work, known, profile.head_j[fits]) / speed
    cuts = tuple(CutCost(name, s, SPREAD * s, j, SPREAD * j)
                 for name, s, j in zip(wanted.names, map(float, seconds), map(float, joules),
                                       strict=True))
    return replace(
        profile, name=f'{profile.name}, scaled', model=wanted.name, digest=wanted.digest,
        origin=f'scaled estimate by multiply-adds from {profile.model}, speed x {speed:g}: '
               f'{profile.origin}', measured=False, cuts=cuts, energy_baseline=ABOVE_IDLE)


def for_network(profile: DeviceProfile, wanted: NetworkShape, *,
                speed: float = 1.0) -> DeviceProfile:
    """Return `profile` if it is of `wanted`, else carried over from the preset it is of.

    A `speed` other than 1 makes it a scaled estimate as well.

    :raises ModelError: if it is of a network that is no preset.
    :raises PlanError: if it is of another model of that shape, or `speed` is not positive.
    """
    if not 0.0 < speed < inf:
        raise PlanError(f'speed is {speed}; it has to be positive')
    is_of_it = tuple(cut.name for cut in profile.cuts) == wanted.names
    if is_of_it and speed == 1.0:
        return profile.check_for(wanted)
    measured = wanted if is_of_it else NetworkShape.preset(profile.model)
    return scaled(profile, measured, wanted, speed=speed)


def _carried(work: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate; layers without multiply-adds make steps, of which the upper end counts.

    Less work than the first layer's is charged in proportion to it: no work costs nothing.
    """
    last_of_step = np.append(np.diff(known) > 0, True)
    x, y = known[last_of_step], values[last_of_step]
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    inside = np.interp(work, np.append(0.0, x[x > 0]), np.append(0.0, y[x > 0]))
    carried: np.ndarray = np.where(work > x[-1], y[-1] + (work - x[-1]) * slope, inside)
    return carried
