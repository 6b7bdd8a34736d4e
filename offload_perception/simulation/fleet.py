"""Discrete-event simulation of drones that share servers."""

from collections.abc import Callable

import numpy as np

from offload_perception.simulation.links import LinkTrace
from offload_perception.simulation.policies import Policy
from offload_perception.simulation.simulated_drone import (
    BEAT_PERIOD_S,
    STAGGER,
    STATUS_PERIOD_S,
    Drone,
)
from offload_perception.simulation.simulated_server import Clock, Server
from offload_perception.simulation.simulated_world import FrameTruth, World


def fly(world: World, links: list[LinkTrace], policy_of: Callable[[World], Policy], *,
        duration_s: float, rate_hz: float, deadline_s: float, servers: int = 1,
        seed: int = 0) -> list[Drone]:
    """Fly one drone on each of `links`; return the drones with their records.

    :param policy_of: makes a policy for each drone.
    """
    clock = Clock()
    fleet_servers = [Server(f'/server{i + 1}', world.tails, clock, duration_s=duration_s,
                            deadline_s=deadline_s, other_load=world.other_load,
                            seed=(seed, i, 2)) for i in range(servers)]
    drones = [
        Drone(i, world, clock, link, fleet_servers, policy_of(world),
              FrameTruth.draw(int(duration_s * rate_hz), np.random.default_rng((seed, i))),
              rate_hz=rate_hz, deadline_s=deadline_s, seed=seed)
        for i, link in enumerate(links)]

    def every(period_s: float, send: Callable[[Drone, Server], None]) -> Callable[[], None]:
        def step() -> None:
            for server in fleet_servers:
                for drone in drones:
                    send(drone, server)
            if clock.now_s < duration_s:
                clock.schedule(clock.now_s + period_s, step)
        return step

    every(STATUS_PERIOD_S, Drone.receive_status)()
    clock.schedule(BEAT_PERIOD_S * (seed * STAGGER ** 2 % 1.0),  # in step with no camera or link
                   every(BEAT_PERIOD_S, Drone.receive_beat))
    clock.run(duration_s + 10 * deadline_s)
    return drones
