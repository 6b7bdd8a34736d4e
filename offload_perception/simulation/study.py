"""Studies: one figure of a scenario swept over values, each flown with several seeds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan, sqrt
from typing import Any

import numpy as np

from offload_perception.errors import ConfigError
from offload_perception.simulation.links import MODELS
from offload_perception.simulation.scenario import Scenario, Summary, policies, simulate

# Figures of a scenario that can be swept, as the axis of a figure calls them.
AXES = {
    'speed': 'speed of the device, by its profile', 'bandwidth': 'mean bandwidth [byte/s]',
    'start_s': 'start in a recording [s]', 'round_trip_s': 'round trip [s]', 'drones': 'drones',
    'servers': 'servers',
    'server_macs_per_s': 'server [multiply-adds/s]', 'duration_s': 'flight [s]',
    'rate_hz': 'rate [frames/s]', 'deadline_s': 'deadline [s]',
    'agreement_floor': 'agreement floor'}
MEASURES = ('met', 'lost', 'energy_j', 'latency_s')


@dataclass(frozen=True)
class Point:
    """One policy at one value of the sweep, over flights that differ only in their seed.

    `mean` is over the flights, its frames are all of theirs; `error` has the standard error of
    each of `MEASURES`, NaN for a single flight. The latency is over flights with a result.
    """

    value: float
    flights: tuple[Summary, ...]
    mean: Summary
    error: dict[str, float]

    @classmethod
    def of(cls, value: float, flights: Sequence[Summary]) -> 'Point':
        """Return the point of some flights, at least one."""
        figures = {name: _mean([getattr(f, name) for f in flights]) for name in MEASURES}
        choices: dict[str, float] = {}
        for flight in flights:
            for name, share in flight.choices.items():
                choices[name] = choices.get(name, 0.0) + share / len(flights)
        mean = Summary(flights[0].policy, sum(f.frames for f in flights),
                       **{name: mean for name, (mean, _) in figures.items()},
                       choices=dict(sorted(choices.items(), key=lambda item: -item[1])))
        return cls(value, tuple(flights), mean, {name: figures[name][1] for name in MEASURES})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {'value': self.value, **self.mean.to_dict(),
                'standard_error': {k: v if isfinite(v) else None for k, v in self.error.items()},
                'flights': [f.to_dict() for f in self.flights]}


@dataclass(frozen=True)
class Study:
    """A scenario whose `field`, one of `AXES`, takes `values`, each flown with `seeds` seeds.

    The seeds are the scenario's and those after it.

    :raises ConfigError: if the field has no effect in this scenario.
    :raises PlanError: if the scenario cannot have one of the values.
    """

    scenario: Scenario
    field: str
    values: tuple[float, ...]
    seeds: int = 1

    def __post_init__(self) -> None:
        fixed = self.scenario.link not in MODELS and not self.scenario.scaled
        if self.field == 'bandwidth' and fixed and len(self.values) > 1:
            raise ConfigError('a sweep of bandwidth changes nothing on a recorded link as it is; '
                              'add --scaled')
        for value in self.values:
            self.at(value)

    def at(self, value: float) -> Scenario:
        """Return the scenario with one of the values."""
        swept: dict[str, Any] = {self.field: value}
        return replace(self.scenario, **swept)

    def flights(self, value: float) -> list[Scenario]:
        """Return the scenarios of all flights with one of the values."""
        return [replace(self.at(value), seed=self.scenario.seed + n) for n in range(self.seeds)]

    def fly(self, wanted: Sequence[str] = ()) -> Iterator[tuple[str, Point]]:
        """Yield each policy's name with each of its points.

        :param wanted: names of policies; empty: all. Which static ones there are may depend on
            the value.
        :raises ConfigError: before any flight, naming the policies, if one of them is unknown.
        """
        known = {value: policies(self.at(value)) for value in self.values}
        for name in wanted:
            for value, there in known.items():
                if name not in there:
                    raise ConfigError(f"no policy '{name}' at {self.field} {value:g}; use "
                                      f'{", ".join(map(repr, there))}')
        for value, there in known.items():
            for name in wanted or there:
                yield name, Point.of(value, [simulate(s, there[name], name)
                                             for s in self.flights(value)])


def parse_sweep(text: str, names: dict[str, str]) -> tuple[str, tuple[float, ...]]:
    """Return the field and the values, in ascending order, of `NAME=VALUE,VALUE,...`.

    :param names: of the fields of `AXES`, as the user writes them, with their fields.
    :raises ConfigError: naming what can be swept, or the value that is no number.
    """
    name, _, listed = text.partition('=')
    if name == 'seed':
        raise ConfigError('--sweep seed: the seeds of a flight are no axis; use --seeds N')
    if name not in names:
        raise ConfigError(f"--sweep: no figure '{name}'; use one of {', '.join(names)}, as in "
                          '--sweep bandwidth=15e3,60e3')
    kind = type(getattr(Scenario, names[name]))
    return names[name], tuple(sorted({_value(name, kind, word) for word in listed.split(',')}))


def _value(name: str, kind: Callable[[str], float], word: str) -> float:
    try:
        return kind(word)
    except ValueError:
        raise ConfigError(f"--sweep {name}: '{word}' is no {'whole ' * (kind is int)}number; "
                          f'write {name}=VALUE,VALUE') from None


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of the finite values and its standard error, NaN if there are too few."""
    known = [v for v in values if isfinite(v)]
    if not known:
        return nan, nan
    error = float(np.std(known, ddof=1)) / sqrt(len(known)) if len(known) > 1 else nan
    return float(np.mean(known)), error
