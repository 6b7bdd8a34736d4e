"""What each part of the planner is worth: flights without it beside flights with all of it.

Paired, flight by flight, on the final list of `planner.py`, with standard errors. A part that is
worth nothing on any trace should go.

    python3 benchmarks/ablation.py --traces DIR --json ablation.json
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from multiprocessing import Pool
from typing import Any
from unittest.mock import patch

import numpy as np
from goals import Goal, at_least, publish
from planner import flights_parser, scenarios, seeds_of, wanted

from offload_perception.console import command, progress, table
from offload_perception.planning import forecast, link, probing, route, session
from offload_perception.planning.planner import PlannerSettings
from offload_perception.simulation.policies import Planned, ours
from offload_perception.simulation.scenario import Scenario, simulate
from offload_perception.simulation.simulated_world import World

Part = Callable[[], AbstractContextManager[Any]]


def _nothing(*_: Any, **__: Any) -> None:
    return None


# What replaces a part while a flight is flown without it.
PARTS: dict[str, Part] = {
    'everything': nullcontext,
    'hedge': lambda: patch.object(forecast.Forecaster, '_hedge_cost', _nothing),
    'probes': lambda: patch.object(probing.Prober, 'due', _nothing),
    'changes of the link (jumps)': lambda: patch.object(link, '_JUMPS', (10**9, 10**9)),
    'a miss halves the hope': lambda: patch.object(route.Route, 'unanswered', 0.0),
    "the camera's period": lambda: patch.object(
        session.PlanningSession, 'observe_period', _nothing),
    'metered energy of the radio': lambda: patch.object(
        session.PlanningSession, 'observe_energy', _nothing),
    'backlog of the server': lambda: patch.object(route.Route, 'observe_backlog', _heard_only),
    'times between replies of a full link': lambda: patch.object(
        link.LinkEstimate, 'observe', _each_for_itself),
    'the price of a late frame': lambda: patch.object(session, 'frame_j', lambda profile: 0.0),
}


def _heard_only(self: route.Route, now_s: float, wait_s: float) -> None:
    self._heard_s = max(now_s, self._heard_s)


_observe = link.LinkEstimate.observe


def _each_for_itself(self: link.LinkEstimate, now_s: float, nbytes: float, link_s: float,
                     sent_s: float) -> None:
    _observe(self, now_s, nbytes, link_s, now_s)


def flown(job: tuple[Scenario, str]) -> tuple[float, float]:
    """Return energy a frame [J] and share of deadlines missed of a flight without a part."""
    scenario, part = job
    settings = PlannerSettings(agreement_floor=scenario.agreement_floor)

    def policy(world: World) -> Planned:
        return ours(world, settings)

    with PARTS[part]():
        summary = simulate(scenario, policy, part)
    return float(summary.energy_j), 1.0 - summary.met


def without(found: dict[tuple[str, str], list[tuple[float, float]]],
            traces: Sequence[str]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return for each part and trace the energy more [share], its error, and misses more."""
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    for part in PARTS:
        for trace in traces:
            whole, less = (np.array(found[trace, name]) for name in ('everything', part))
            more = (less[:, 0] - whole[:, 0]) / whole[:, 0].mean()
            error = more.std(ddof=1) / len(more) ** 0.5 if len(more) > 1 else np.nan
            rows.setdefault(part, {})[trace] = (
                float(more.mean()), float(error), float((less[:, 1] - whole[:, 1]).mean()))
    return rows


def goals(rows: dict[str, dict[str, tuple[float, float, float]]]) -> list[Goal]:
    """Return a goal for each part: that some trace costs more, or misses more, without it."""
    return [at_least(f'traces that are worse without: {part}',
                     sum(more > max(0.01, 2.0 * np.nan_to_num(error)) or missed > 0.01
                         for more, error, missed in by_trace.values()), 1.0)
            for part, by_trace in rows.items() if part != 'everything']


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fly and print."""
    args = flights_parser(__doc__.splitlines()[0]).parse_args(argv)
    pieces = wanted(args)
    flying = {', '.join(key): s for key, s in scenarios(pieces, args.traces).items()}
    found = {}
    with Pool(args.processes) as pool:
        for trace, scenario in flying.items():
            progress(f'flying {trace}')
            flights = [replace(scenario, seed=seed) for seed in seeds_of(scenario, pieces)]
            for part in PARTS:
                found[trace, part] = pool.map(flown, [(flight, part) for flight in flights])
    rows = without(found, list(flying))
    print(table(('without', *flying), [
        (part, *(f'{100 * more:+.1f} +- {100 * error:.1f} %, {100 * missed:+.1f}'
                 for more, error, missed in by_trace.values()))
        for part, by_trace in rows.items() if part != 'everything']))
    print('energy of a frame above that with everything, and misses more [points]')
    publish(args.json, {'rows': rows}, goals(rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
