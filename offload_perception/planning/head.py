"""Time and energy of the layers on board: the profile, corrected by every frame."""

from math import inf

import numpy as np

from offload_perception.planning.robust import RobustLevel
from offload_perception.profiles.device_profile import DeviceProfile

_CUT_LEARNING_RATE = 0.05  # about the last 20 frames of a cut
_SHORTEST_S = 1e-7  # clocks resolve no less
_CUT_CORRECTIONS = (0.2, 5.0)  # range; the profile is of another network if it is larger


class HeadEstimator:
    """Time and energy of every head, refreshed online.

    The device's speed is one factor for all cuts: it follows drift slowly, and throttling within
    three frames. A lasting deviation of one cut is corrected for that cut alone. Energies have a
    factor of their own, which only metered frames change: without a meter a slower head is assumed
    to take the profile's energy, since a throttled clock draws less power.
    """

    def __init__(self, profile: DeviceProfile) -> None:
        self._fits = profile.fits
        self._time_s = profile.head_s
        self._own_spread_s = np.where(profile.fits, profile.head_spread_s, 0.0)
        self._energy_j, self._energy_spread_j = profile.head_j, profile.head_spread_j
        self._correction = np.ones(profile.last + 1)
        self._speed = RobustLevel.of_times(1.0, 0.1)
        self._energy = RobustLevel(1.0, 0.1)

    @property
    def slowdown(self) -> float:
        """Return the current time of a head, relative to the profile."""
        return self._speed.level

    def observe(self, cut: int, head_s: float) -> None:
        """Take the time that the head of `cut` took on a frame [s]."""
        if not 0 < cut < len(self._time_s) or not _SHORTEST_S <= head_s < inf:
            return
        if not 0.0 < self._time_s[cut] < np.inf:
            return
        ratio = head_s / float(self._time_s[cut] * self._correction[cut])
        self._speed.add(ratio)
        own = min(max(ratio / self._speed.level, 0.5), 2.0)
        self._correction[cut] = np.clip(
            self._correction[cut] * (1.0 + _CUT_LEARNING_RATE * (own - 1.0)), *_CUT_CORRECTIONS)

    def observe_energy(self, cut: int, energy_j: float) -> None:
        """Take the metered energy of the head of `cut` above idle [J]."""
        if 0 < cut < len(self._energy_j) and 0.0 < self._energy_j[cut] < np.inf:
            self._energy.add(energy_j / float(self._energy_j[cut]))

    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """Return time [s] and its variance of every head, float64 (N + 1,)."""
        speed = self._speed
        seconds = self._time_s * (self._correction * speed.level)
        spread = np.where(self._fits, seconds, 0.0) * (speed.spread / speed.level)
        if not speed.count:
            spread = np.hypot(spread, self._own_spread_s)
        return seconds, spread * spread

    def energies(self) -> tuple[np.ndarray, np.ndarray]:
        """Return energy [J] and its variance of every head, float64 (N + 1,)."""
        level, spread = self._energy.level, self._energy.spread
        variance = (self._energy_spread_j * level) ** 2 + (self._energy_j * spread) ** 2
        return self._energy_j * level, variance
