"""The planner: time of a decision, energy against the oracle, and the original claims again.

Decision time is measured on this machine. Everything else is simulated with seeds: device figures
from a bundled profile, links and servers from models, codec sizes and agreements assumed. Recorded
links are flown beside the models with `--trace FILE`: a CSV file of seconds,bytes_per_second or a
Mahimahi trace, as it is and scaled to the mean of the models.

    python3 benchmarks/planner.py --trace ATT-LTE-driving.up --json planner.json
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from goals import Goal, at_most, publish
from offload_perception.planning.server_estimate import ServerReport, queue_wait_s

from offload_perception.console import command, progress, table
from offload_perception.frames import Outcome
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.frame_report import FrameReport
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.session import PlanningSession
from offload_perception.planning.what_if import Conditions, WhatIf
from offload_perception.profiles import device_profile as profiles
from offload_perception.simulation.links import MODELS, described, recorded
from offload_perception.simulation.scenario import (
    Scenario,
    Summary,
    build,
    every_static,
    policies,
    simulate,
)
from offload_perception.simulation.simulated_world import assumed_sizes
from offload_perception.tensor import total_bytes

# A drone whose computer is ten times as fast as the measured one, so that all on board fits into
# the deadline and every kind of choice is open.
TRACES = {
    'steady': Scenario(link='steady'),
    'collapse and recovery': Scenario(link='collapse'),
    'Wi-Fi fading': Scenario(link='wifi'),
    'LTE-like': Scenario(link='lte'),
    'server overload': Scenario(link='steady', overloaded=True),
    'thermal throttling': Scenario(link='steady', throttled=True, bandwidth=12e3),
}
BANDWIDTH = 60e3
# Know the laws of chance and all of the present, or all as it was a frame ago; not the future.
CAUSAL = ('causal oracle', 'causal oracle, a frame late')


def scenarios(files: Sequence[str], duration_s: float) -> list[tuple[str, Scenario]]:
    """Return what is flown, with names: the models, then each file as it is and scaled."""
    replayed = [(f'{Path(file).name}{", scaled" if scaled else ""}',
                 Scenario(link=file, scaled=scaled))
                for file in files for scaled in (False, True)]
    return [(name, replace(s, speed=10.0, rate_hz=4.0, deadline_s=0.4, server_macs_per_s=100e9,
                           duration_s=duration_s,
                           bandwidth=s.bandwidth if s.throttled else BANDWIDTH))
            for name, s in (*TRACES.items(), *replayed)]


def decision_times(count: int) -> dict[str, Any]:
    """Return the time of a decision, with estimates that change before each."""
    shape = NetworkShape.preset('vgg16_112')
    session = PlanningSession(shape, profiles.load('raspberry_pi_3b_plus_coral'),
                              PlannerSettings(agreement_floor=0.0))
    for server in ('/a', '/b'):
        session.observe_server(ServerReport(server, 0.01, 0.2), 0.0)
    rng, decision = np.random.default_rng(1), session.plan(0.0, 2.0)
    wall_s, cpu_s = [], []
    for i in range(count):
        now_s = 0.1 * i
        for server in ('/a', '/b'):
            session.observe_server(ServerReport(server, 0.01, 0.2, (0.05,)), now_s)
        session.observe_frame(FrameReport(
            decision.cut, decision.codec, decision.server, Outcome.REMOTE, '', 0.0, 0.002, 0.1,
            0.001, float(rng.uniform(0.05, 0.1)), 0.01, 0.001, 0.05, 0.3, 5000), now_s, decision)
        started, started_cpu = perf_counter(), thread_time()
        decision = session.plan(now_s, 2.0)
        cpu_s.append(thread_time() - started_cpu)
        wall_s.append(perf_counter() - started)
    return {'candidates': decision.candidates, 'decisions': count,
            'median_ms': 1e3 * float(np.median(wall_s)),
            'p10_ms': 1e3 * float(np.quantile(wall_s, 0.1)),
            'p99_ms': 1e3 * float(np.quantile(wall_s, 0.99)),
            'median_cpu_ms': 1e3 * float(np.median(cpu_s))}


def against_oracle(name: str, scenario: Scenario, seeds: int) -> dict[str, Any]:
    """Return energy and misses beside the oracle's and the best static choice's.

    A recording is flown no more often than it has pieces.
    """
    if scenario.link not in MODELS:
        seeds = min(seeds, recorded(scenario.link).flights(scenario.duration_s))
    flights = [_flown(replace(scenario, seed=seed)) for seed in range(1, seeds + 1)]

    def mean(key: str, figure: str) -> float:
        return float(np.mean([getattr(flight[key], figure) for flight in flights]))

    oracle_j, ours_j = mean('oracle', 'energy_j'), mean('ours', 'energy_j')
    causal_j, late_j = (mean(name, 'energy_j') for name in CAUSAL)
    best = _best_static(flights)
    return {'trace': name, 'seeds': seeds,
            'link': described(scenario.link, scenario.bandwidth, scenario.scaled),
            'oracle_j': oracle_j, 'ours_j': ours_j,
            'above_oracle': ours_j / oracle_j - 1.0,
            'causal_j': causal_j, 'above_causal': ours_j / causal_j - 1.0,
            'frame_late_j': late_j, 'above_frame_late': ours_j / late_j - 1.0,
            'frame_late_missed': 1.0 - mean(CAUSAL[1], 'met'),
            'oracle_missed': 1.0 - mean('oracle', 'met'), 'missed': 1.0 - mean('ours', 'met'),
            'no_result': mean('ours', 'lost'), **best,
            'above_static': ours_j / best['static_j'] - 1.0}


def _flown(scenario: Scenario) -> dict[str, Summary]:
    world, _ = build(scenario)
    known = policies(scenario)
    chosen = {name: known[name] for name in ('oracle', *CAUSAL, 'ours')} | every_static(world)
    return {name: simulate(scenario, policy, name) for name, policy in chosen.items()}


def _best_static(flights: list[dict[str, Summary]]) -> dict[str, Any]:
    """Return the cheapest static choice that misses no more than ours; else the safest."""
    def figures(name: str) -> tuple[float, float]:
        return (float(np.mean([f[name].met for f in flights])),
                float(np.mean([f[name].energy_j for f in flights])))

    met = figures('ours')[0]
    statics = {name: figures(name) for name in flights[0]
               if name not in ('ours', 'oracle', *CAUSAL)}
    as_safe = {n: f for n, f in statics.items() if f[0] >= met - 1e-9}
    name = min(as_safe, key=lambda n: as_safe[n][1]) if as_safe else max(
        statics, key=lambda n: statics[n][0])
    return {'static': name, 'static_j': statics[name][1], 'static_missed': 1 - statics[name][0]}


def claims(profile_name: str, deadline_s: float) -> list[dict[str, Any]]:
    """Return what energy-best splitting chooses with and without a deadline, by server load.

    The original candidate set: cuts without compression, the image among them. The server takes
    0.4 s for the whole network, each drone sends a frame every 4 s, and the others' frames
    queue (M/D/1).
    """
    shape = NetworkShape.preset('vgg16_112')
    profile = profiles.load(profile_name)
    what_if = WhatIf(shape, profile, assumed_sizes(shape, ()),
                     PlannerSettings(margin=0.0, agreement_floor=1.0),
                     tuple((cut, 'raw') for cut in range(shape.last)))
    rows = []
    for mbit in (1.0, 0.2, 0.1, 0.03):
        for drones in (1, 5, 9):
            wait_s = min(queue_wait_s((drones - 1) * 0.4 / 4.0, 0.4, 0.0), 10.0)
            conditions = Conditions(mbit * 125e3, 0.02, wait_s, 0.4)
            free, bound = (what_if.choose(conditions, d) for d in (0.0, deadline_s))
            rows.append({
                'profile': profile_name, 'mbit_per_s': mbit, 'drones': drones, 'wait_s': wait_s,
                'deadline_s': deadline_s, 'no_deadline': free.option.named(shape.names),
                'no_deadline_s': free.latency_s, 'no_deadline_j': free.energy_j,
                'under_deadline': bound.option.named(shape.names),
                'under_deadline_s': bound.latency_s, 'under_deadline_j': bound.energy_j})
    return rows


def byte_count_trap() -> list[dict[str, Any]]:
    """Return the original link model's energies with wrong and right byte counts, by prefix.

    Wrong: the digits of the shape joined, so that 112,112,64 became 11,211,264 bytes.
    """
    shape = NetworkShape.preset('vgg16_112')
    profile = profiles.load('raspberry_pi_3b_plus_coral')
    j_per_byte = profile.radio.sending_w * 0.05 / 2 ** 20  # 0.05 s per MiB
    rows = []
    for cut in range(shape.last):
        wrong = int(''.join(map(str, shape.specs[cut][0].shape)))
        right, head_j = total_bytes(shape.specs[cut]), float(profile.head_j[cut])
        rows.append({'cut': cut, 'name': shape.names[cut], 'wrong_bytes': wrong,
                     'right_bytes': right, 'wrong_j': head_j + wrong * j_per_byte,
                     'right_j': head_j + right * j_per_byte})
    return rows


def _trace_cells(r: dict[str, Any]) -> tuple[Any, ...]:
    return (r['trace'], r['seeds'], f'{r["oracle_j"]:.4f}', f'{r["ours_j"]:.4f}',
            *(f'{100 * r[key]:+.1f}' for key in ('above_oracle', 'above_causal',
                                                 'above_frame_late')),
            f'{100 * r["oracle_missed"]:.1f}', f'{100 * r["missed"]:.1f}',
            r['static'], f'{100 * r["static_missed"]:.1f}',
            f'{100 * r["above_static"]:+.1f}')


def _print_all(result: dict[str, Any]) -> None:
    t = result['decision']
    print(f'quietest of five runs, {t["candidates"]} candidates: median {t["median_ms"]:.3f} ms, '
          f'10 % below {t["p10_ms"]:.3f} ms, 99 % below {t["p99_ms"]:.3f} ms; '
          f'processor time {t["median_cpu_ms"]:.3f} ms\n')
    print(table(('trace', 'flights', 'oracle J', 'ours J', '% above', '% above causal',
                 '% above a frame late', 'oracle misses %', 'ours misses %',
                 'best static', 'misses %', 'ours % above it'),
                [_trace_cells(r) for r in result['traces']]))
    for r in result['traces']:
        if r['scenario']['link'] not in MODELS:
            print(f'{r["trace"]}: {r["link"]}')
    print()
    print(table(('profile', 'Mbit/s', 'drones', 'wait s', 'no deadline', 's', 'J',
                 'under deadline', 's', 'J'),
                [(r['profile'], r['mbit_per_s'], r['drones'], f'{r["wait_s"]:.2f}',
                  r['no_deadline'], f'{r["no_deadline_s"]:.2f}', f'{r["no_deadline_j"]:.2f}',
                  r['under_deadline'], f'{r["under_deadline_s"]:.2f}',
                  f'{r["under_deadline_j"]:.2f}') for r in result['claims']]))
    print()
    print(table(('cut', 'bytes as in the sheet', 'true int8 bytes', 'J, sheet', 'J, true'),
                [(r['name'], r['wrong_bytes'], r['right_bytes'], f'{r["wrong_j"]:.3f}',
                  f'{r["right_j"]:.3f}') for r in result['byte_counts']]))


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals of a decision, and of each trace against oracle and static choices."""
    found = [at_most('median time of a decision', result['decision']['median_ms'], 0.2, 'ms')]
    for r in result['traces']:
        name = r['trace']
        found += [
            at_most(f'{name}: energy above the oracle', 100 * r['above_oracle'], 3.0, '%'),
            at_most(f'{name}: misses above the oracle', 100 * (r['missed'] - r['oracle_missed']),
                    1.0, 'points'),
            at_most(f'{name}: energy above the best static choice', 100 * r['above_static'], 2.0,
                    '%')]
    return found


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--duration', type=float, default=120.0, help='of each flight [s]')
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--decisions', type=int, default=3000)
    parser.add_argument('--trace', action='append', default=[], metavar='FILE',
                        help='a recorded link: CSV of seconds,bytes_per_second or Mahimahi; '
                        'may be repeated. Each seed flies the next piece of it')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args(argv)
    flown = scenarios(args.trace, args.duration)
    for file in args.trace:
        recorded(file)  # what is wrong with it is said before the long work
    progress('timing decisions')
    result: dict[str, Any] = {
        'machine': platform.processor() or platform.machine(),
        'decision': min((decision_times(args.decisions) for _ in range(5)),
                        key=lambda run: run['median_ms']),
        'traces': []}
    for name, scenario in flown:
        progress(f'flying {name}')
        result['traces'].append({**against_oracle(name, scenario, args.seeds),
                                 'scenario': asdict(scenario)})
    result['claims'] = [*claims('raspberry_pi_3b_plus_coral', 2.0),
                        *claims('raspberry_pi_3b_plus', 4.0)]
    result['byte_counts'] = byte_count_trap()
    _print_all(result)
    publish(args.json, result, goals(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
