"""The planner against its rivals: energy and misses on models of links and on recordings.

Decision time is measured on this machine. Everything else is simulated with seeds: device figures
are published ones carried over to the network, links and servers are models or recordings, sizes
and agreements of codecs were measured (`codec_costs.json` beside the models). All rivals hedge:
they finish frames on board in time. Differences are paired: flight by flight on the same
seeds, with their standard error.

TUNING is what guided the planner's rules; the table is FINAL, which guided nothing.

    python3 benchmarks/planner.py --traces DIR --json planner.json

DIR holds the recordings (docs/records/planner.md says where they come from); without it only the
models are flown.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing import Pool
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from goals import Goal, at_least, at_most, publish

from offload_perception.console import command, progress, table
from offload_perception.frames import Outcome
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.route import ServerReport
from offload_perception.planning.session import PlanningSession
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.scaling import for_network
from offload_perception.simulation.links import MODELS, recorded
from offload_perception.simulation.scenario import (
    BACK_OFF,
    OURS,
    Scenario,
    build,
    measured,
    policies,
    simulate,
    statics,
)

WITHOUT_BEATS, PRESENT = 'ours without beats', 'knows the present'
PAPERS = ('latency-best', 'energy-best, no deadline', 'energy-best under deadline')
NETWORKS = ('aerial', 'aerial_split')
# A Raspberry Pi 3B+ made three times as fast, so that all on board fits into the deadline and
# every kind of choice is open.
BASE = Scenario(speed=3.0, rate_hz=4.0, deadline_s=0.5, duration_s=120.0, bandwidth=30e3,
                server_macs_per_s=100e9, link='steady', scaled=True)
TRACES = {
    'steady': BASE,
    'collapse and recovery': replace(BASE, link='collapse'),
    'Wi-Fi fading': replace(BASE, link='wifi'),
    'LTE-like': replace(BASE, link='lte'),
    'server overload': replace(BASE, overloaded=True, server_macs_per_s=0.5e9),
    'thermal throttling': replace(BASE, throttled=True, bandwidth=6e3),
    'deadline near on board': replace(BASE, link='wifi', deadline_s=0.26),
    'camera of 10 Hz': replace(BASE, link='lte', rate_hz=10.0, deadline_s=0.3),
}


@dataclass(frozen=True)
class Pieces:
    """The seeds of the models, and the recordings, of which each seed flies another piece.

    The pieces begin at `start_s` of a recording; after its end comes its start.
    """

    seeds: range
    recordings: tuple[str, ...]
    start_s: float = 0.0


TUNING = Pieces(range(1, 4), ('TMobile-UMTS-driving.up', 'ATT-LTE-driving.up',
                              'Verizon-EVDO-driving.up', 'walk_wifi.csv'))
# Seeds 101 to 120, with pieces from the start of each recording, were an earlier final list.
FINAL = Pieces(range(201, 221), ('ATT-LTE-driving-2016.up', 'TMobile-LTE-short.up',
                                 'Verizon-LTE-short.up', 'walk_cellular.csv', 'walk2_wifi.csv',
                                 'walk2_cellular.csv', 'walk3_wifi.csv', 'walk3_cellular.csv'),
               start_s=60.0)


def scenarios(pieces: Pieces, folder: Path | None) -> dict[tuple[str, str], Scenario]:
    """Return what is flown, by network and trace."""
    links = dict(TRACES)
    for name in pieces.recordings if folder else ():
        assert folder is not None
        recorded(str(folder / name))  # what is wrong with it is said before the long work
        links[name] = replace(BASE, link=str(folder / name), start_s=pieces.start_s)
    return {(model, name): replace(s, model=model) for model in NETWORKS
            for name, s in links.items()}


def seeds_of(scenario: Scenario, pieces: Pieces) -> list[int]:
    """Return the seeds to fly; a recording is flown no more often than it has pieces."""
    seeds = list(pieces.seeds)
    if scenario.link not in MODELS:
        seeds = seeds[:recorded(scenario.link).flights(scenario.duration_s)]
    return seeds


def flown(scenario: Scenario) -> dict[str, tuple[float, float]]:
    """Return energy a frame [J] and share of deadlines missed of each policy."""
    found = {}
    for name, policy in policies(scenario).items():
        summary = simulate(scenario, policy, name)
        found[name] = float(summary.energy_j), 1.0 - summary.met
    return found


def decision_times(count: int) -> dict[str, Any]:
    """Return the time of a decision, with estimates that change before each."""
    shape, sizes = measured('aerial')
    session = PlanningSession(shape, for_network(profiles.load('raspberry_pi_3b_plus'), shape),
                              PlannerSettings(agreement_floor=0.0), sizes=sizes)
    for server in ('/a', '/b'):
        session.observe_server(ServerReport(server, 0.01), 0.0)
    rng, decision = np.random.default_rng(1), session.plan(0.0, 2.0)
    wall_s, cpu_s = [], []
    for i in range(count):
        now_s = 0.1 * i
        for server in ('/a', '/b'):
            session.observe_server(ServerReport(server, 0.01, (0.05,)), now_s)
        session.observe_frame(FrameReport(
            decision.cut, decision.codec, decision.server, Outcome.REMOTE, '', 0.0, 0.002, 0.1,
            0.001, float(rng.uniform(0.05, 0.1)), 0.01, 0.001, 0.05, 0.3, 5000), now_s, decision)
        started, started_cpu = perf_counter(), thread_time()
        decision = session.plan(now_s, 2.0)
        cpu_s.append(thread_time() - started_cpu)
        wall_s.append(perf_counter() - started)
    return {'candidates': decision.candidates, 'decisions': count,
            'median_ms': 1e3 * float(np.median(wall_s)),
            'p99_ms': 1e3 * float(np.quantile(wall_s, 0.99)),
            'median_cpu_ms': 1e3 * float(np.median(cpu_s))}


def compared(flights: list[dict[str, tuple[float, float]]], sent: set[str]) -> dict[str, Any]:
    """Return ours beside each rival: means, and paired differences with standard errors.

    The best static choice is the one of least energy, found in hindsight, whose misses are at
    most 0.3 points above ours, or, if none is so safe, above the fewest of them.
    """
    def column(name: str, figure: int) -> np.ndarray:
        return np.array([flight[name][figure] for flight in flights])

    ours_j, ours_missed = column(OURS, 0), float(column(OURS, 1).mean())
    missed = {name: float(column(name, 1).mean()) for name in sent}
    most = max(ours_missed, min(missed.values())) + 0.003
    static = min((name for name in sent if missed[name] <= most),
                 key=lambda name: float(column(name, 0).mean()))

    def beside(name: str) -> dict[str, Any]:
        theirs_j = column(name, 0)
        difference = (ours_j - theirs_j) / theirs_j.mean()
        return {'name': name, 'energy_j': float(theirs_j.mean()),
                'missed': float(column(name, 1).mean()), 'ours_above': float(difference.mean()),
                'error': float(difference.std(ddof=1) / len(flights) ** 0.5)
                if len(flights) > 1 else float('nan')}

    return {'flights': len(flights), 'ours_j': float(ours_j.mean()), 'missed': ours_missed,
            'static': beside(static), 'board': beside('all on board'), 'rule': beside(BACK_OFF),
            'present': beside(PRESENT), 'clairvoyant': beside('clairvoyant'),
            'without_beats': beside(WITHOUT_BEATS), 'papers': [beside(p) for p in PAPERS]}


def _cells(key: tuple[str, str], r: dict[str, Any]) -> tuple[Any, ...]:
    def cell(rival: dict[str, Any]) -> str:
        return f'{100 * rival["ours_above"]:+.1f} +- {100 * rival["error"]:.1f}'

    return (*key, r['flights'], f'{1e3 * r["ours_j"]:.1f}', f'{100 * r["missed"]:.2f}',
            r['static']['name'], f'{100 * r["static"]["missed"]:.2f}', cell(r['static']),
            f'{100 * r["rule"]["missed"]:.2f}', cell(r['rule']), cell(r['board']),
            cell(r['papers'][2]), cell(r['present']), cell(r['without_beats']))


HEAD = ('network', 'trace', 'flights', 'ours mJ', 'missed %', 'best static', 'missed %',
        'ours % above', 'rule missed %', 'above the rule', 'above on board',
        'above the paper', 'above the present', 'above without beats')


def flights_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of what is flown, and with how many processes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--traces', type=Path, metavar='DIR', help='folder of the recordings')
    parser.add_argument('--tuning', action='store_true', help='fly what guided the rules instead')
    parser.add_argument('--seeds', type=int, help='fly only that many of the seeds')
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--json', type=Path)
    return parser


def wanted(args: argparse.Namespace) -> Pieces:
    """Return the list that is asked for."""
    pieces = TUNING if args.tuning else FINAL
    return replace(pieces, seeds=pieces.seeds[:args.seeds]) if args.seeds else pieces


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals of a decision and of each trace."""
    found = [at_most('median time of a decision', result['decision']['median_ms'], 0.1, 'ms')]
    better = 0
    for r in result['traces']:
        name = f'{r["network"]}, {r["trace"]}'
        worst = max(r['static']['ours_above'], r['rule']['ours_above'])
        found += [at_most(f'{name}: energy above the better of static and rule',
                          100 * worst, 2.0, '%'),
                  at_most(f'{name}: misses above the best static',
                          100 * (r['missed'] - r['static']['missed']), 0.3, 'points'),
                  at_most(f'{name}: energy above an oracle of the present',
                          100 * r['present']['ours_above'], 5.0, '%')]
        better += worst <= -0.1
    return [*found, at_least('traces with at least 10 % less than both',
                             100 * better / max(len(result['traces']), 1), 50.0, '%')]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, simulate, print."""
    parser = flights_parser(__doc__.splitlines()[0])
    parser.add_argument('--only', default='', help='fly only traces with this in their name')
    parser.add_argument('--duration', type=float, help='of each flight [s] (default: 120)')
    parser.add_argument('--decisions', type=int, default=3000)
    args = parser.parse_args(argv)
    pieces = wanted(args)
    flying = {key: replace(s, duration_s=args.duration or s.duration_s)
              for key, s in scenarios(pieces, args.traces).items() if args.only in key[1]}
    progress('timing decisions')
    result: dict[str, Any] = {
        'machine': platform.processor() or platform.machine(),
        'decision': min((decision_times(args.decisions) for _ in range(5)),
                        key=lambda run: run['median_ms']),
        'pieces': {'seeds': list(pieces.seeds), 'recordings': pieces.recordings}, 'traces': []}
    with Pool(args.processes) as pool:
        for key, scenario in flying.items():
            progress(f'flying {", ".join(key)}')
            flights = pool.map(flown, [replace(scenario, seed=seed)
                                       for seed in seeds_of(scenario, pieces)])
            result['traces'].append({
                'network': key[0], 'trace': key[1], 'scenario': asdict(scenario),
                **compared(flights, set(statics(build(scenario)[0])))})
    t = result['decision']
    print(f'quietest of five runs, {t["candidates"]} candidates: median {t["median_ms"]:.3f} ms, '
          f'99 % below {t["p99_ms"]:.3f} ms; processor time {t["median_cpu_ms"]:.3f} ms\n')
    print(table(HEAD, [_cells((r['network'], r['trace']), r) for r in result['traces']]))
    publish(args.json, result, goals(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
