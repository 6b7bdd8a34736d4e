"""How many copies of a network serve, and what each of them needs to know."""

import re
from dataclasses import dataclass

from offload_perception.errors import ConfigError
from offload_perception.network.artefact import Artefact

MAX_REPLICAS = 256


@dataclass(frozen=True)
class Replicas:
    """As many as the load asks for, of `least` to `most`.

    :raises ConfigError: for numbers that cannot be.
    """

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MAX_REPLICAS:
            raise ConfigError(f'{self.least}-{self.most} replicas cannot be; use a number such as '
                              f'2, or a range such as 1-4, of 1 to {MAX_REPLICAS}')

    def __str__(self) -> str:
        """Return the text that `of` takes."""
        return str(self.least) if self.least == self.most else f'{self.least}-{self.most}'

    @classmethod
    def of(cls, text: str) -> 'Replicas':
        """Return the replicas of a text such as `2` or `1-4`.

        :raises ConfigError: if it is none.
        """
        found = re.fullmatch(r'(\d{1,4})(?:-(\d{1,4}))?', text.strip(), re.ASCII)
        if found is None:
            raise ConfigError(f"ray_replicas is '{text}'; use a number such as 2, or a range such "
                              'as 1-4, which grows and shrinks with the load')
        return cls(int(found[1]), int(found[2] or found[1]))


@dataclass(frozen=True)
class ReplicaSettings:
    """What each replica runs: see the parameters of the same names."""

    artefact: Artefact
    device: str = 'auto'
    runtime: str = 'auto'
    threads: int = 2
    batch: int = 16
    top_k: int = 5
    min_score: float = 0.4


@dataclass(frozen=True)
class ReplicaReport:
    """What a replica says of itself: `most` tensors are computed together."""

    most: int
    network: str
    batches: str
    fallback: str
