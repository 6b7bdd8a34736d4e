"""Set up a simulation, fly the policies through it, and sum up."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.network.artefact import MANIFEST, Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.decision import Option
from offload_perception.planning.link import MESSAGE_BYTES
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.session import default_pairs
from offload_perception.planning.sizes import COSTS_FILE, SizeTable, load_costs
from offload_perception.preparation.prepare import BUNDLED
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.device_profile import RADIOS
from offload_perception.profiles.scaling import for_network
from offload_perception.simulation.fleet import fly
from offload_perception.simulation.links import MODELS, LinkTrace, make_link
from offload_perception.simulation.oracles import Clairvoyant, Present
from offload_perception.simulation.policies import (
    BackOffRule,
    Policy,
    Static,
    energy_best,
    latency_best,
    ours,
)
from offload_perception.simulation.simulated_drone import Drone
from offload_perception.simulation.simulated_world import World, idle, never

SERVER = '/server1'
OURS, BACK_OFF = 'ours', 'back-off rule'


@dataclass(frozen=True)
class Scenario:
    """A scenario: device, network, link, load and requirements.

    `model` is a prepared model with measured codecs: a bundled one, or its folder. `radio` is one
    of `device_profile.RADIOS`, empty = that of the profile. Pieces of a recorded link begin at
    `start_s`.
    """

    profile: str = 'raspberry_pi_3b_plus'
    model: str = 'aerial'
    radio: str = ''
    speed: float = 1.0
    link: str = 'wifi'
    bandwidth: float = 15_000.0
    scaled: bool = False
    start_s: float = 0.0
    round_trip_s: float = 0.02
    drones: int = 1
    servers: int = 1
    server_macs_per_s: float = 50e9
    duration_s: float = 600.0
    rate_hz: float = 0.5
    deadline_s: float = 2.0
    agreement_floor: float = 0.95
    throttled: bool = False
    overloaded: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ('bandwidth', 'rate_hz', 'deadline_s', 'duration_s', 'speed',
                     'server_macs_per_s', 'drones', 'servers'):
            if not 0 < getattr(self, name) < inf:
                raise PlanError(f'{name} is {getattr(self, name)}; it has to be positive')
        if not 0 <= self.round_trip_s < inf:
            raise PlanError(f'round_trip_s is {self.round_trip_s}; it has to be 0 or more')
        if not 0 <= self.agreement_floor <= 1:
            raise PlanError(f'agreement_floor is {self.agreement_floor}; it is from 0 to 1')


@dataclass(frozen=True)
class Summary:
    """One policy in one scenario; energies are of the drone, above idle, probes included."""

    policy: str
    frames: int
    met: float
    lost: float
    energy_j: float
    latency_s: float
    choices: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {k: None if isinstance(v, float) and not isfinite(v) else v
                for k, v in asdict(self).items()}


def build(scenario: Scenario) -> tuple[World, list[LinkTrace]]:
    """Return the world and one link for each drone.

    :raises PlanError: if the codecs of the model were not measured, or there is no such radio.
    """
    shape, sizes = measured(scenario.model)
    pairs = tuple(pair for pair in (*default_pairs(shape), *sizes.learned)
                  if sizes.column(*pair)[4] >= scenario.agreement_floor)
    profile = for_network(profiles.load(scenario.profile), shape, speed=scenario.speed)
    if scenario.radio:
        if scenario.radio not in RADIOS:
            raise PlanError(f"no radio '{scenario.radio}'; use {', '.join(RADIOS)}")
        profile = replace(profile, radio=RADIOS[scenario.radio])
    world = World(
        shape, profile, pairs, sizes, scenario.server_macs_per_s,
        slowdown=throttling(scenario.duration_s / 3) if scenario.throttled else never,
        other_load=overload(scenario.duration_s) if scenario.overloaded else idle)
    return world, [make_link(scenario.link, bandwidth=scenario.bandwidth,
                             round_trip_s=scenario.round_trip_s,
                             duration_s=scenario.duration_s, seed=scenario.seed * 1000 + i,
                             scaled=scenario.scaled, start_s=scenario.start_s,
                             flight=(scenario.seed - 1) * scenario.drones + i)
                   for i in range(scenario.drones)]


@lru_cache(maxsize=8)
def measured(model: str) -> tuple[NetworkShape, SizeTable]:
    """Return a network and the measured sizes and agreements of its codecs.

    :raises PlanError: if there is no such model, or nothing was measured.
    """
    folder = next((f for f in (Path(model), BUNDLED / model) if (f / MANIFEST).is_file()), None)
    if folder is None or not (folder / COSTS_FILE).is_file():
        raise PlanError(f"model '{model}' has no measured codecs; use aerial, aerial_split or the "
                        'folder of a prepared model that measure_codecs has measured')
    shape = NetworkShape.of(Artefact.load(folder))
    sizes = SizeTable(shape)
    sizes.load(load_costs(folder))
    return shape, sizes


def throttling(period_s: float) -> Callable[[float], float]:
    """Return a slow-down of the head that creeps up, steps to 1.8 and goes back."""
    def factor(now_s: float) -> float:
        phase = now_s / period_s
        return 1.0 + 0.2 * phase if phase < 1 else 1.8 if phase < 2 else 1.0
    return factor


def overload(duration_s: float) -> Callable[[float], float]:
    """Return the load that others are for a server, which steps from 10 % to 90 % and back."""
    return lambda now_s: 0.9 if 1 / 3 < now_s / duration_s < 2 / 3 else 0.1


def policies(scenario: Scenario) -> dict[str, Callable[[World], Policy]]:
    """Return the policies by name, each as a factory: all rivals at full strength, then ours."""
    settings = PlannerSettings(agreement_floor=scenario.agreement_floor)
    world, _ = build(scenario)
    return {
        **statics(world),
        BACK_OFF: lambda w: BackOffRule(_best_sent(w, scenario), w.shape.last),
        'latency-best': lambda w: latency_best(w, settings),
        'energy-best, no deadline': lambda w: energy_best(w, settings, deadline=False),
        'energy-best under deadline': lambda w: energy_best(w, settings),
        OURS: lambda w: ours(w, settings),
        'ours without beats': lambda w: ours(w, settings, beats=False),
        'knows the present': lambda w: Present(),
        'clairvoyant': lambda w: Clairvoyant(),
    }


def statics(world: World) -> dict[str, Callable[[World], Policy]]:
    """Return a policy for all on board, and for each image codec and cut that may be best.

    Left out are those that another one beats both in bytes and in energy until they are sent.
    """
    costs = {pair: _until_sent(world, pair) for pair in world.pairs}
    front = [pair for pair, (joules, nbytes) in costs.items()
             if not any(j <= joules and n <= nbytes and (j, n) != (joules, nbytes)
                        for j, n in costs.values())]
    options = [Option(world.shape.last), *(Option(*pair, SERVER) for pair in front)]
    return {_name(world, option): _always(option) for option in options}


def _until_sent(world: World, pair: tuple[int, str]) -> tuple[float, float]:
    """Return joules and bytes of a frame when it is ready to be sent."""
    nbytes, _, encode_s, *_ = world.sizes.column(*pair)
    return float(world.profile.head_j[pair[0]] + world.profile.active_w * encode_s), nbytes


def _name(world: World, option: Option) -> str:
    return 'all on board' if option.local else f'{world.shape.names[option.cut]} {option.codec}'


def _best_sent(world: World, scenario: Scenario) -> Option:
    """Return the cut and codec of least energy on the mean link, the server idle, by the truth."""
    def energy_j(pair: tuple[int, str]) -> float:
        joules, nbytes = _until_sent(world, pair)
        nbytes += MESSAGE_BYTES
        return joules + float(world.profile.radio.energy_j(nbytes / scenario.bandwidth, nbytes))

    return Option(*min(world.pairs, key=energy_j), SERVER)


def _always(option: Option) -> Callable[[World], Policy]:
    return lambda _: Static(option)


def simulate(scenario: Scenario, policy_of: Callable[[World], Policy], name: str) -> Summary:
    """Fly one policy through a scenario."""
    world, links = build(scenario)
    drones = fly(world, links, policy_of, duration_s=scenario.duration_s,
                 rate_hz=scenario.rate_hz, deadline_s=scenario.deadline_s,
                 servers=scenario.servers, seed=scenario.seed)
    return summed_up(name, world, drones)


def summed_up(name: str, world: World, drones: list[Drone]) -> Summary:
    """Return the figures of a flight."""
    records = [record for drone in drones for record in drone.records]
    results = [r.latency_s for r in records if r.latency_s < inf]
    shares: dict[str, float] = {}
    for record in records:
        key = 'not started' if record.option is None else _name(world, record.option)
        shares[key] = shares.get(key, 0.0) + 1.0 / len(records)
    energy_j = sum(r.energy_j for r in records) + sum(d.probe_j for d in drones)
    return Summary(
        name, len(records), sum(r.met for r in records) / max(len(records), 1),
        1.0 - len(results) / max(len(records), 1), energy_j / max(len(records), 1),
        float(np.mean(results)) if results else nan,
        dict(sorted(shares.items(), key=lambda item: -item[1])[:6]))


__all__ = ['BACK_OFF', 'MODELS', 'OURS', 'Scenario', 'Summary', 'build', 'policies',
           'simulate', 'statics', 'summed_up']
