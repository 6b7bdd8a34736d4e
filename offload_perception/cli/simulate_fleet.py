"""simulate_fleet: fly drones that share servers, policy by policy, in simulated time.

Device figures come from a profile, sizes and agreements of codecs were measured (measure_codecs);
links are models unless `--link FILE` replays a recording. Every policy flies with the same seeds.
"knows the present" knows its link and the queues exactly, "clairvoyant" also the future of its own
frame, not what other drones are about to send: references, no bounds.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path
from time import perf_counter

from offload_perception.console import command, positive, progress, table, write_json
from offload_perception.simulation.links import MODELS, described
from offload_perception.simulation.scenario import Scenario, build
from offload_perception.simulation.study import AXES, Point, Study, parse_sweep

HEAD = ('deadlines met [%]', 'no result [%]', 'J/frame', 'latency [s]', 'mostly')
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
    'start_s': 'where in a recording the first piece begins [s]',
    'round_trip_s': 'of the link [s]',
    'drones': 'each with a link of its own', 'servers': 'shared by the drones',
    'server_macs_per_s': 'multiply-adds a second of a server', 'duration_s': 'of the flight [s]',
    'rate_hz': 'frames a second of each drone', 'deadline_s': 'of each frame [s]',
    'agreement_floor': 'candidates that agree less are left out', 'seed': 'of all chance',
    'throttled': 'the device gets hot and slow', 'overloaded': 'others crowd the servers'}


def _option(field: str) -> str:
    """Return the option of a field of a scenario, without its dashes."""
    return OPTIONS.get(field, field).replace('_', '-')


SWEPT = {_option(field): field for field in AXES}


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Simulate; print a table, draw a figure."""
    args = _arguments(argv)
    scenario = Scenario(**{f.name: getattr(args, f.name) for f in fields(Scenario)})
    field, values = ('drones', (scenario.drones,)) if args.sweep is None else parse_sweep(
        args.sweep, SWEPT)
    study = Study(scenario, field, values, args.seeds)
    profile = build(scenario)[0].profile
    links = list(dict.fromkeys(described(s.link, s.bandwidth, s.scaled)
                               for s in map(study.at, values)))
    seeds = [s.seed for s in study.flights(values[0])]
    print(f'{profile.name}: {profile.origin}\nsimulated, not measured: link {"; ".join(links)}; '
          f'{scenario.duration_s:g} s, {_seeds_in_words(seeds)}\n')
    rows: dict[str, list[Point]] = {}
    started = perf_counter()
    for name, point in study.fly(args.policy or ()):
        rows.setdefault(name, []).append(point)
        progress(f'{AXES[field]} {point.value:g}, {name}: {perf_counter() - started:.1f} s')
        started = perf_counter()
    print(table(('policy', AXES[field], *HEAD),
                [_cells(name, p) for name, points in rows.items() for p in points]))
    if args.figure:
        from offload_perception.simulation import plots
        plots.draw_study(args.figure, AXES[field], rows, f'{Path(scenario.link).name} link, '
                         f'simulated, {_seeds_in_words(seeds)}')
    write_json(args.json, {'scenario': asdict(scenario), 'links': links, 'swept': field,
                           'values': values, 'seeds': seeds, 'profile': profile.name,
                           'origin': profile.origin, 'policies': {
                               name: [p.to_dict() for p in points]
                               for name, points in rows.items()}})
    return 0


def _seeds_in_words(seeds: list[int]) -> str:
    return f'seed {seeds[0]}' if len(seeds) == 1 else (
        f'seeds {seeds[0]} to {seeds[-1]}, means ± standard errors')


def _cells(name: str, p: Point) -> tuple[str | float, ...]:
    def cell(measure: str, digits: int, unit: float = 1.0) -> str:
        value, error = unit * getattr(p.mean, measure), unit * p.error[measure]
        return f'{value:.{digits}f}' + ('' if isnan(error) else f' ± {error:.{digits}f}')
    mostly, share = next(iter(p.mean.choices.items()))
    return (name, p.value, cell('met', 1, 100), cell('lost', 1, 100), cell('energy_j', 4),
            cell('latency_s', 3), f'{mostly} {share:.0%}')


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('simulate_fleet', description=__doc__)
    for f in fields(Scenario):
        option = f'--{_option(f.name)}'
        kind = type(f.default)
        if kind is bool:
            parser.add_argument(option, dest=f.name, action='store_true', help=HELP[f.name])
        else:
            parser.add_argument(option, dest=f.name, type=kind, default=f.default,
                                help=f'{HELP[f.name]} (default: {f.default})')
    parser.add_argument('--seeds', type=positive, default=1, metavar='N', help='fly each policy '
                        'with N seeds from --seed on; means, with their standard errors')
    parser.add_argument('--sweep', metavar='NAME=VALUE,VALUE', help='fly each of these values; '
                        f'NAME is one of {", ".join(SWEPT)}')
    parser.add_argument('--policy', action='append', help='only this one; may be repeated')
    parser.add_argument('--figure', type=Path, metavar='PNG')
    parser.add_argument('--json', type=Path, metavar='FILE')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
