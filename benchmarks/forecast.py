"""How good the planner's forecasts are in the running graph.

Flies the demo's graph with split auto and compares what was predicted for each frame with the
actual value: the mean absolute percentage error of the latency and of the energy, after a learning
phase. Energies with a large uncertainty are left out. For comparison: the error of constants,
the best one for each choice of cut and codec, known in hindsight. If the noise of latencies is
white, no forecast does better.
Arguments of the demo may follow.

    bash scripts/run.sh python benchmarks/forecast.py --duration 60 deadline:=0.2
"""

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from math import nan
from typing import Any

import common
import numpy as np
from goals import Goal, at_most, publish
from planned_flight import Telemetry, demo_parser, parse, planned_graph, wait_for_first

from offload_perception.console import command, progress, table

NAMESPACE = 'forecast_benchmark'


def fly(args: argparse.Namespace) -> Telemetry:
    """Return the telemetry of a flight."""
    with (Telemetry(NAMESPACE) as telemetry,
          planned_graph(NAMESPACE, args.arguments, common.shower(args)) as graph):
        graph.start('remote_inference', 'um25c', 'edge_inference', 'camera',
                    exit_when_refused='true')
        wait_for_first(telemetry, graph)
        progress(f'flying for {args.duration:g} s')
        threading.Event().wait(args.duration)
        for name in ('camera', 'edge_inference'):
            graph.stop(name)
        return telemetry


def compare(telemetry: Telemetry, settle_s: float) -> dict[str, Any]:
    """Return the errors after `settle_s`, and the live figures of the last decision."""
    begun_s = telemetry.came_s[0] + settle_s
    late = [m for m, at_s in zip(telemetry.frames, telemetry.came_s, strict=True)
            if at_s >= begun_s]
    rows = forecasts(telemetry, late)
    energies = {m.sequence: m.energy - m.idle_energy for m in telemetry.energies
                if m.uncertainty < m.energy - m.idle_energy}
    joules = [(d.energy, energies[m.sequence]) for m, d in rows if m.sequence in energies]
    live, typical_s = telemetry.decisions[-1], float(np.median([m.total for m, _ in rows]))
    return {'frames': len(late), 'compared': len(rows),
            'latency': errors([(d.latency, m.total) for m, d in rows]),
            'of_constants': errors(of_constants([m for m, _ in rows])),
            'energy': errors(joules), 'energy_of_flight': _of_sums(joules),
            'metered': len(telemetry.energies), 'metered_well': len(energies),
            'within_two_spreads': float(np.mean(
                [abs(d.latency - m.total) <= 2 * d.latency_spread for m, d in rows])),
            'live_latency_error': live.latency_error, 'live_energy_error': live.energy_error,
            'latency_s': typical_s, 'choices': dict(Counter(sent(m) for m, _ in rows)),
            'deadline_met': float(np.mean([m.deadline_met for m in late])),
            'adds_up': telemetry.adds_up()}


def forecasts(telemetry: Telemetry, frames: list[Any]) -> list[tuple[Any, Any]]:
    """Return the frames that went as they were planned, each with its decision."""
    decisions = {m.sequence: m for m in telemetry.decisions}
    return [(m, decisions[m.sequence]) for m in frames
            if m.sequence in decisions and m.outcome != m.DROPPED
            and not (m.outcome == m.LOCAL and m.bytes)]


def sent(frame: Any) -> str:
    """Return what of a frame was sent, in words."""
    return f'{frame.split_name} {frame.codec}' if frame.bytes else 'all on board'


def of_constants(frames: list[Any]) -> list[tuple[float, float]]:
    """Return the best constant for each choice of cut and codec, paired with each latency."""
    pairs = []
    for name in {sent(m) for m in frames}:
        actual = np.array([m.total for m in frames if sent(m) == name])
        best = min(actual, key=lambda c: np.abs(c / actual - 1.0).sum())
        pairs += [(float(best), float(s)) for s in actual]
    return pairs


def errors(pairs: list[tuple[float, float]]) -> dict[str, float] | None:
    """Return the errors of pairs of forecast and truth as shares, None without any."""
    if not pairs:
        return None
    predicted, actual = np.array(pairs).T
    share = np.abs(predicted - actual) / actual
    return {'mape': float(share.mean()), 'median': float(np.median(share)),
            'p95': float(np.quantile(share, 0.95)),
            'bias': float((predicted / actual).mean() - 1.0), 'frames': len(pairs)}


def _of_sums(pairs: list[tuple[float, float]]) -> float | None:
    """Return by how much the sum of the forecasts is off."""
    return float(np.sum(pairs, axis=0) @ (1, -1) / np.sum(pairs, axis=0)[1]) if pairs else None


def _cells(name: str, e: dict[str, float] | None) -> tuple[Any, ...]:
    if e is None:
        return name, 0, *['none'] * 4
    return name, e['frames'], *(f'{100 * e[k]:.1f}' for k in ('mape', 'median', 'p95', 'bias'))


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goal: forecasts of the latency are off by a tenth on average."""
    found = result['latency']
    return [at_most('mean error of the latency forecast', 100 * found['mape'] if found else nan,
                    10.0, '%')]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fly, compare, print."""
    p = demo_parser(__doc__)
    p.add_argument('--duration', type=float, default=60.0, help='of the flight [s]')
    p.add_argument('--settle', type=float, default=20.0, help='left out at its beginning [s]')
    args = parse(p, argv)
    result = compare(fly(args), args.settle)
    print(table(('forecast', 'frames', 'mean error %', 'median %', '95 % below', 'bias %'),
                [_cells(name.replace('_', ' '), result[name])
                 for name in ('latency', 'of_constants', 'energy')]))
    print(f'\n{result["compared"]} of {result["frames"]} frames compared, median '
          f'{1e3 * result["latency_s"]:.1f} ms, deadlines met '
          f'{result["deadline_met"]:.1%}; {result["choices"]}; live figures at the end: latency '
          f'{result["live_latency_error"]:.1%}, energy {result["live_energy_error"]:.1%}; '
          f'frames with an energy {result["metered"]}, {result["metered_well"]} of them above its '
          'uncertainty')
    publish(args.json, {'machine': common.machine(), 'arguments': vars(args),
                        'results': result}, goals(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
