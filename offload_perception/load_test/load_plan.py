"""When simulated drones send, and what."""

from dataclasses import dataclass

import numpy as np

from offload_perception.errors import ConfigError

MAX_DRONES, MAX_TENSORS = 256, 10_000_000


@dataclass(frozen=True)
class Arrival:
    """A tensor to be sent `at_s` after the start; `deadline_s` is 0 without a deadline."""

    number: int
    at_s: float
    drone: int
    cut: int
    deadline_s: float


@dataclass(frozen=True)
class LoadPlan:
    """An open loop: drones send at their own times, whatever the server answers.

    `rate` is that of all drones together [1/s], in equal shares but for the first drone, which
    sends `flood` times its share on top of it. Each tensor has one of `cuts` and of `deadlines_s`
    by chance. With `steady` drones send at even intervals, as cameras do, else at random
    (Poisson).

    :raises ConfigError: for a plan that cannot be flown.
    """

    drones: int
    rate: float
    seconds: float
    cuts: tuple[int, ...]
    deadlines_s: tuple[float, ...]
    seed: int = 0
    flood: float = 1.0
    steady: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.drones <= MAX_DRONES and self.rate > 0.0 and self.seconds > 0.0
                and self.flood >= 1.0 and self.rate * self.flood * self.seconds <= MAX_TENSORS):
            raise ConfigError(f'a load of {self.drones} drones, {self.rate:g} tensors/s, '
                              f'{self.seconds:g} s and flood {self.flood:g} cannot be sent; use 1 '
                              f'to {MAX_DRONES} drones, positive figures, and at most '
                              f'{MAX_TENSORS:,} tensors')
        if not self.cuts or not self.deadlines_s or min(self.deadlines_s) < 0.0:
            raise ConfigError('a load needs a cut and a deadline, 0 or more seconds')

    def arrivals(self) -> list[Arrival]:
        """Return all tensors in the order of sending."""
        rng = np.random.default_rng(self.seed)
        sent: list[tuple[float, int]] = []
        for drone in range(self.drones):
            rate = self.rate / self.drones * (self.flood if drone == 0 else 1.0)
            sent += [(float(at_s), drone) for at_s in self._times_s(rate, rng)]
        sent.sort()
        cuts = rng.choice(self.cuts, len(sent))
        deadlines_s = rng.choice(self.deadlines_s, len(sent))
        return [Arrival(n, at_s, drone, int(cut), float(deadline_s))
                for n, ((at_s, drone), cut, deadline_s) in enumerate(
                    zip(sent, cuts, deadlines_s, strict=True), 1)]

    def _times_s(self, rate: float, rng: np.random.Generator) -> np.ndarray:
        if self.steady:
            return np.arange(rng.uniform(0.0, 1.0 / rate), self.seconds, 1.0 / rate)
        return rng.uniform(0.0, self.seconds, rng.poisson(rate * self.seconds))
