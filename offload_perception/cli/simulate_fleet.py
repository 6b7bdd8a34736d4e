"""simulate_fleet: fly drones that share servers, policy by policy, in simulated time.

Device figures come from a profile, sizes and agreements of codecs were measured (measure_codecs);
links are models unless `--link FILE` replays a recording. Every policy flies with the same seeds.
"knows the present" knows its link and the queues exactly, "clairvoyant" also the future of its own
frame, not what other drones are about to send: references, no bounds.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from time import perf_counter

from offload_perception.console import command, progress, table, write_json
from offload_perception.errors import ConfigError
from offload_perception.simulation.links import MODELS, described
from offload_perception.simulation.scenario import (
    Scenario,
    Summary,
    build,
    policies,
    simulate,
)

HEAD = ('policy', 'drones', 'deadlines met [%]', 'no result [%]', 'J/frame', 'latency [s]',
        'mostly')
OPTIONS = {'round_trip_s': 'round_trip', 'server_macs_per_s': 'server_macs',
           'duration_s': 'duration', 'rate_hz': 'rate', 'deadline_s': 'deadline'}
HELP = {
    'profile': 'device profile',
    'model': 'aerial, aerial_split, or the folder of a model that measure_codecs has measured',
    'radio': 'wifi, lte or none; default: that of the profile',
    'speed': 'of the device, by its profile',
    'link': f'{", ".join(MODELS)}, or a recording: a CSV file of seconds,bytes_per_second or a '
            'Mahimahi trace; each drone, and each seed, flies the next piece of it',
    'bandwidth': 'mean of the link [byte/s]; of a recorded one with --scaled',
    'scaled': 'a recorded link is scaled to the mean of --bandwidth',
    'round_trip_s': 'of the link [s]',
    'drones': 'each with a link of its own', 'servers': 'shared by the drones',
    'server_macs_per_s': 'multiply-adds a second of a server', 'duration_s': 'of the flight [s]',
    'rate_hz': 'frames a second of each drone', 'deadline_s': 'of each frame [s]',
    'agreement_floor': 'candidates that agree less are left out', 'seed': 'of all chance',
    'throttled': 'the device gets hot and slow', 'overloaded': 'others crowd the servers'}


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Simulate; print a table, draw a figure."""
    args = _arguments(argv)
    scenario = Scenario(**{f.name: getattr(args, f.name) for f in fields(Scenario)})
    loads = [scenario.drones] if args.loads is None else args.loads
    profile = build(scenario)[0].profile
    link = described(scenario.link, scenario.bandwidth, scenario.scaled)
    print(f'{profile.name}: {profile.origin}\nsimulated, not measured: link {link}; '
          f'{scenario.duration_s:g} s, seed {scenario.seed}\n')
    rows: dict[str, list[Summary]] = {}
    for drones in loads:
        _fly_all(replace(scenario, drones=drones), args.policy, rows)
    print(table(HEAD, [_cells(s, drones) for summaries in rows.values()
                       for s, drones in zip(summaries, loads, strict=True)]))
    if args.figure:
        from offload_perception.simulation import plots
        plots.draw_fleet(args.figure, loads, rows, f'{Path(scenario.link).name} link, simulated')
    write_json(args.json, {'scenario': asdict(scenario), 'link': link, 'loads': loads,
                           'profile': profile.name, 'origin': profile.origin, 'policies': {
                               name: [s.to_dict() for s in summaries]
                               for name, summaries in rows.items()}})
    return 0


def _fly_all(scenario: Scenario, wanted: list[str] | None, rows: dict[str, list[Summary]]) -> None:
    known = policies(scenario)
    for name in wanted or known:
        if name not in known:
            raise ConfigError(f"no policy '{name}'; use {', '.join(map(repr, known))}")
        started = perf_counter()
        rows.setdefault(name, []).append(simulate(scenario, known[name], name))
        progress(f'{scenario.drones} drones, {name}: {perf_counter() - started:.1f} s')


def _cells(s: Summary, drones: int) -> tuple[str | int, ...]:
    mostly, share = next(iter(s.choices.items()))
    return (s.policy, drones, f'{100 * s.met:.1f}', f'{100 * s.lost:.1f}', f'{s.energy_j:.4f}',
            f'{s.latency_s:.3f}', f'{mostly} {share:.0%}')


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('simulate_fleet', description=__doc__)
    for f in fields(Scenario):
        option = f'--{OPTIONS.get(f.name, f.name).replace("_", "-")}'
        kind = type(f.default)
        if kind is bool:
            parser.add_argument(option, dest=f.name, action='store_true', help=HELP[f.name])
        else:
            parser.add_argument(option, dest=f.name, type=kind, default=f.default,
                                help=f'{HELP[f.name]} (default: {f.default})')
    parser.add_argument('--loads', type=lambda text: [int(n) for n in text.split(',')],
                        metavar='1,2,5', help='numbers of drones to sweep over')
    parser.add_argument('--policy', action='append', help='only this one; may be repeated')
    parser.add_argument('--figure', type=Path, metavar='PNG')
    parser.add_argument('--json', type=Path, metavar='FILE')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
