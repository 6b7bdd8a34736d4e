"""The truth of a simulated flight: the real times and energies, hidden from most policies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offload_perception.network.shape import NetworkShape
from offload_perception.planning.route import work_of_tails
from offload_perception.planning.sizes import SizeTable
from offload_perception.profiles.device_profile import DeviceProfile

HEAD_NOISE, SIZE_NOISE, TAIL_NOISE = 0.03, 0.08, 0.05
THROTTLED_ENERGY_EXPONENT = 0.3  # a slower clock draws less power, so energy grows less than time

Factor = Callable[[float], float]


def never(_: float) -> float:
    """Return 1: no change over time."""
    return 1.0


def idle(_: float) -> float:
    """Return 0: no other drone uses the server."""
    return 0.0


@dataclass(frozen=True)
class Tails:
    """The true times of a server's tails.

    `alone_s` is the whole tail of each cut by itself, without decoding. From cut `join` on, tails
    of 1, 2 .. tensors run together and take `together_s`; without these each runs by itself.
    """

    alone_s: np.ndarray
    decode_s: float
    join: int
    together_s: Mapping[int, float] = field(default_factory=dict)

    @property
    def image_s(self) -> float:
        """Return the time of a whole image."""
        return self.decode_s + float(self.alone_s[0])

    def to_join_s(self, cut: int) -> float:
        """Return the time until a tensor is at the join, without decoding."""
        after_s = float(self.alone_s[self.join]) if self.together_s else 0.0
        return max(float(self.alone_s[cut]) - after_s, 0.0)


@dataclass(frozen=True)
class World:
    """One network on one kind of drone and one kind of server.

    `pairs` are the cuts and codecs that agree enough, of measured `sizes`. `unmerged` is the time
    of a head whose layers are not merged yet, relative to the merged one, which takes `merging_s`
    from the first use of its cut on.

    `server_macs_per_s` is how fast a server computes tails; `slowdown` the head's time over the
    flight's by that in the profile (throttling); `other_load` the share of its time that a server
    spends on images of others.
    """

    shape: NetworkShape
    profile: DeviceProfile
    pairs: tuple[tuple[int, str], ...]
    sizes: SizeTable
    server_macs_per_s: float = 50e9
    slowdown: Factor = never
    other_load: Factor = idle
    preprocess_s: float = 0.002
    decode_s: float = 0.001
    unmerged: float = 1.5
    merging_s: float = 3.0
    tails_s: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        work = work_of_tails(self.shape)
        bent = 1.0 + 0.3 * np.sin(np.arange(len(work)))  # not what the planner assumes
        object.__setattr__(self, 'tails_s', work * bent / self.server_macs_per_s)

    @property
    def tails(self) -> Tails:
        """Return the times of a server, which computes one tensor at a time."""
        return Tails(self.tails_s, self.decode_s, self.shape.last)

    def head(self, cut: int | np.ndarray, now_s: float, noise: float) -> tuple[Any, Any]:
        """Return true time [s] and energy [J] of heads that start at `now_s`."""
        slow = self.slowdown(now_s)
        return (self.profile.head_s[cut] * slow * noise,
                self.profile.head_j[cut] * slow ** THROTTLED_ENERGY_EXPONENT * noise)


@dataclass(frozen=True)
class FrameTruth:
    """What one frame's times and sizes are, by their means."""

    head: float
    size: float
    tail: float

    @staticmethod
    def draw(count: int, rng: np.random.Generator) -> list['FrameTruth']:
        """Return the truths of `count` frames; every policy flies with the same."""
        noise = rng.normal(0.0, (HEAD_NOISE, SIZE_NOISE, TAIL_NOISE), (count, 3))
        return [FrameTruth(*map(float, row)) for row in np.exp(noise)]
