"""plan: show what would be sent, given a device, a link and a deadline.

Prints the best candidates, and draws all of them and the map of choices if asked to.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offload_perception.console import command, progress, table, write_json
from offload_perception.errors import PlanError
from offload_perception.network.artefact import MANIFEST, Artefact
from offload_perception.network.shape import NetworkShape
from offload_perception.planning.forecast import Forecast
from offload_perception.planning.planner import PlannerSettings
from offload_perception.planning.sizes import COSTS_FILE, SizeTable, load_costs
from offload_perception.planning.what_if import Conditions, WhatIf, pareto
from offload_perception.preparation.apart import building_apart
from offload_perception.preparation.model_source import TFLITE
from offload_perception.preparation.prepare import BUNDLED, prepare
from offload_perception.profiles import device_profile as profiles
from offload_perception.profiles.scaling import for_network

HEAD = ('candidate', 'bytes', 'latency [s]', '+-', 'energy [J]', 'agreement', '')


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Plan one frame; print, draw."""
    args = _arguments(argv)
    shape, folder = _model(args.model)
    profile = for_network(profiles.load(args.profile), shape, speed=args.speed)
    sizes = _sizes(shape, args.codec_table or folder)
    what_if = WhatIf(shape, profile, sizes, PlannerSettings(
        late_price=args.late_price, agreement_floor=args.agreement_floor))
    conditions = Conditions(args.bandwidth, args.round_trip, args.server_wait, args.server_tail)
    forecast = what_if.forecast(conditions)
    decision = what_if.choose(conditions, args.deadline)
    allowed = what_if.allowed(forecast)
    front = pareto(forecast.latency_s, forecast.energy_j, allowed)
    print(f'{profile.name} ({profile.origin}), {shape.name}, '
          f'{args.bandwidth * 8e-6:g} Mbit/s, deadline {args.deadline:g} s\n')
    print(_table(shape, sizes, forecast, allowed, front, args.deadline, args.top))
    print(f'\nchoice: {decision.option.named(shape.names)}: {decision.reason}')
    if decision.runner_up:
        print(f'runner-up: {decision.runner_up.named(shape.names)}: {decision.runner_up_reason}')
    if args.figure or args.map:
        _draw(args, what_if, conditions, forecast, allowed, front)
    write_json(args.json, {
        'profile': profile.name, 'origin': profile.origin, 'model': shape.name,
        'conditions': vars(conditions), 'deadline_s': args.deadline,
        'choice': decision.option.named(shape.names), 'feasible': decision.feasible,
        'reason': decision.reason,
        'candidates': [_record(shape, sizes, forecast, place) for place in
                       np.flatnonzero(allowed).tolist()]})
    return 0


def _model(model: str) -> tuple[NetworkShape, Path | None]:
    """Return the network, and the folder with the measurements of its codecs, if there is one.

    A .tflite file is prepared first.
    """
    if model.endswith(TFLITE):
        model = str(prepare(model, progress=progress, build=building_apart(lambda: None)).path)
    folder = next((f for f in (Path(model), BUNDLED / model) if (f / MANIFEST).is_file()), None)
    if folder is None:
        return NetworkShape.preset(model), None
    return NetworkShape.of(Artefact.load(folder)), (
        folder if (folder / COSTS_FILE).is_file() else None)


def _sizes(shape: NetworkShape, measured: Path | None) -> SizeTable:
    sizes = SizeTable(shape)
    if measured is None:
        print(f'sizes are guesses, and lossy codecs are left out unless --agreement-floor is 0: '
              f'this model has no {COSTS_FILE} beside it; measure_codecs writes it, and '
              '--codec-table takes one from elsewhere\n', file=sys.stderr)
    elif not sizes.load(load_costs(measured)):
        raise PlanError(f'{measured} has no cut of {shape.name}; measure that model')
    return sizes


def _table(shape: NetworkShape, sizes: SizeTable, forecast: Forecast, allowed: np.ndarray,
           front: list[int], deadline_s: float, top: int) -> str:
    """Return the cheapest candidates, those of the Pareto front marked."""
    rows = []
    places = sorted(np.flatnonzero(allowed).tolist(), key=forecast.energy_j.__getitem__)
    for place in places[:top]:
        r = _record(shape, sizes, forecast, place)
        marks = ['Pareto'] * (place in front) + ['late'] * (0 < deadline_s < r['latency_s'])
        rows.append((r['candidate'], r['bytes'], f'{r["latency_s"]:.4f}',
                     f'{r["latency_spread_s"]:.4f}', f'{r["energy_j"]:.4f}',
                     f'{r["agreement"]:.3f}', ' '.join(marks)))
    return table(HEAD, rows)


def _record(shape: NetworkShape, sizes: SizeTable, forecast: Forecast,
            place: int) -> dict[str, Any]:
    option = forecast.options[place]
    nbytes = 0 if option.local else round(sizes.column(option.cut, option.codec)[0])
    return {'candidate': option.named(shape.names), 'bytes': nbytes,
            'latency_s': float(forecast.latency_s[place]),
            'latency_spread_s': float(forecast.latency_spread_s[place]),
            'energy_j': float(forecast.energy_j[place]),
            'agreement': float(forecast.agreement[place])}


def _draw(args: argparse.Namespace, what_if: WhatIf, conditions: Conditions, forecast: Forecast,
          allowed: np.ndarray, front: list[int]) -> None:
    from offload_perception.simulation import plots

    title = (f'{args.profile}, {what_if.shape.name}, '
             f'agreement at least {args.agreement_floor:g}')
    if args.figure:
        option = what_if.choose(conditions, args.deadline).option
        plots.draw_candidates(args.figure, forecast, allowed, front,
                                forecast.options.place(option), args.deadline,
                                f'{title}, {args.bandwidth * 8e-6:g} Mbit/s')
    if args.map:
        bandwidths = np.geomspace(args.bandwidth / 100, args.bandwidth * 100, 60)
        deadlines_s = np.geomspace(max(args.deadline, 0.01) / 10, max(args.deadline, 0.01) * 10,
                                   40)
        plots.draw_map(args.map, what_if.choice_map(conditions, bandwidths, deadlines_s),
                         bandwidths, deadlines_s, what_if.shape.names, title)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('plan', description=__doc__)
    parser.add_argument('--profile', default='raspberry_pi_3b_plus_coral',
                        help=f'{", ".join(profiles.names())}, or a file by characterize')
    parser.add_argument('--model', default='aerial',
                        help='aerial, vgg16, vgg16_112, a prepared folder or a .tflite file; for '
                             'a network that the profile was not taken with, it is scaled')
    parser.add_argument('--speed', type=float, default=1.0, help='of the device, by its profile')
    parser.add_argument('--bandwidth', type=float, default=125_000.0, metavar='BYTES_PER_S')
    parser.add_argument('--round-trip', type=float, default=0.02, metavar='S')
    parser.add_argument('--server-wait', type=float, default=0.0, metavar='S')
    parser.add_argument('--server-tail', type=float, default=0.05, metavar='S',
                        help='time of the whole network on the server')
    parser.add_argument('--deadline', type=float, default=2.0, metavar='S', help='0 = none')
    parser.add_argument('--late-price', type=float, default=10.0, help='energy that a late frame '
                        'is worth, in frames all on board')
    parser.add_argument('--agreement-floor', type=float, default=0.95)
    parser.add_argument('--codec-table', type=Path, metavar='FILE',
                        help='sizes and agreements by measure_codecs: its --json, a '
                        'codec_costs.json, or the folder of a model; default: that beside the '
                        'model')
    parser.add_argument('--top', type=int, default=12, help='candidates to print')
    parser.add_argument('--figure', type=Path, metavar='PNG', help='draw time against energy')
    parser.add_argument('--map', type=Path, metavar='PNG',
                        help='draw the choice over bandwidth and deadline')
    parser.add_argument('--json', type=Path, metavar='FILE')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
