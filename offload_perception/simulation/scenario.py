"""Set up a simulation, fly the policies through it, and sum up."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import inf, isfinite, nan
from typing import Any

import numpy as np

from offload_perception.errors import PlanError
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.decision import Option
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.session import default_pairs
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.scaling import for_network
from offload_perception.simulation.fleet import Drone, fly
from offload_perception.simulation.links import MODELS, LinkTrace, make_link
from offload_perception.simulation.policies import (
    Causal,
    Oracle,
    Policy,
    Static,
    energy_best,
    latency_best,
    ours,
)
from offload_perception.simulation.simulated_world import World, assumed_sizes, idle, never

SERVER = '/server1'


@dataclass(frozen=True)
class Scenario:
    """A scenario: device, network, link, load and requirements."""

    profile: str = 'raspberry_pi_3b_plus_coral'
    model: str = 'vgg16_112'
    speed: float = 1.0
    link: str = 'wifi'
    bandwidth: float = 125_000.0
    scaled: bool = False
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
    """Return the world and one link for each drone."""
    shape = NetworkShape.preset(scenario.model)
    everything = default_pairs(shape)
    sizes = assumed_sizes(shape, everything)
    pairs = tuple(pair for pair in everything
                  if sizes.column(*pair)[4] >= scenario.agreement_floor)
    middle_s = scenario.duration_s / 3
    world = World(
        shape, for_network(profiles.load(scenario.profile), shape, speed=scenario.speed),
        pairs, sizes, scenario.server_macs_per_s,
        slowdown=throttling(middle_s) if scenario.throttled else never,
        other_load=overload(scenario.duration_s) if scenario.overloaded else idle)
    return world, [make_link(scenario.link, bandwidth=scenario.bandwidth,
                             round_trip_s=scenario.round_trip_s,
                             duration_s=scenario.duration_s, seed=scenario.seed * 1000 + i,
                             scaled=scenario.scaled,
                             flight=(scenario.seed - 1) * scenario.drones + i)
                   for i in range(scenario.drones)]


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
    """Return the policies by name, each as a factory."""
    settings = PlannerSettings(agreement_floor=scenario.agreement_floor)
    last = NetworkShape.preset(scenario.model)
    pool = max(cut for cut, name in enumerate(last.names) if name.endswith('pool'))
    return {
        'all on board': lambda w: Static(Option(w.shape.last)),
        'send JPEG': lambda w: Static(Option(0, 'jpeg:75', SERVER)),
        f'fixed cut ({last.names[pool]}, lossless)': lambda w: Static(
            Option(pool, 'auto', SERVER)),
        'latency-best, blind to queue': lambda w: latency_best(w, settings),
        'energy-best, no deadline': lambda w: energy_best(w, settings, deadline=False),
        'energy-best under deadline': lambda w: energy_best(w, settings),
        'ours': lambda w: ours(w, settings),
        'oracle': lambda w: Oracle(),
        'causal oracle': lambda w: Causal(),
        'causal oracle, a frame late': lambda w: Causal(1.0 / scenario.rate_hz),
    }


def every_static(world: World) -> dict[str, Callable[[World], Policy]]:
    """Return a policy for each single option."""
    options = [Option(world.shape.last), *(Option(*pair, SERVER) for pair in world.pairs)]
    return {option.named(world.shape.names): _always(option) for option in options}


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
        key = 'not started' if record.option is None else (
            f'{world.shape.names[record.option.cut]} {record.option.codec}'.strip())
        shares[key] = shares.get(key, 0.0) + 1.0 / len(records)
    energy_j = sum(r.energy_j for r in records) + sum(d.probe_j for d in drones)
    return Summary(
        name, len(records), sum(r.met for r in records) / max(len(records), 1),
        1.0 - len(results) / max(len(records), 1), energy_j / max(len(records), 1),
        float(np.mean(results)) if results else nan,
        dict(sorted(shares.items(), key=lambda item: -item[1])[:6]))


__all__ = ['MODELS', 'Scenario', 'Summary', 'build', 'every_static', 'policies',
           'simulate', 'summed_up']
