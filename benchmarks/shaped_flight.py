"""A planned flight over a link whose rate changes, recorded for a report of the choices.

Drone and server are two network namespaces with a cable between them. The rates follow one
another in equal parts; 0 is a cut cable. The bag is what `report` draws. Needs root.

    bash scripts/run.sh python benchmarks/shaped_flight.py BAG emulate:=raspberry_pi_3b_plus
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import common
from forecast import errors, forecasts, of_constants, sent
from goals import Goal, at_most, publish
from machines import Machines, inside
from planned_flight import Telemetry, demo_parser, parse, planned_graph, wait_for_first

from offload_perception.console import command, progress, table

NAMESPACE = 'shaped_flight'


def fly(args: argparse.Namespace, machines: Machines) -> tuple[list[dict[str, Any]], bool]:
    """Return what was chosen at each rate, and whether every frame is accounted for."""
    drone, server = machines.names
    words = [f'deadline:={args.deadline}', f'rate:={args.rate}', 'record:=true',
             f'bag:={os.path.abspath(args.bag)}', *args.arguments]
    machines.shape(args.mbit[0])
    with (inside(drone), Telemetry(NAMESPACE) as telemetry,
          planned_graph(NAMESPACE, words, common.shower(args)) as graph):
        with inside(server):
            graph.start('remote_inference', exit_when_refused='true')
        graph.start('recorder', 'um25c', 'edge_inference', 'camera', exit_when_refused='true')
        wait_for_first(telemetry, graph)
        rows = [_part(args, machines, telemetry, mbit) for mbit in args.mbit]
        for name in ('camera', 'edge_inference', 'recorder'):
            graph.stop(name)
    return rows, telemetry.adds_up()


def _part(args: argparse.Namespace, machines: Machines, telemetry: Telemetry,
          mbit: float) -> dict[str, Any]:
    progress(f'{mbit:g} Mbit/s for {args.duration:g} s')
    if mbit:
        machines.shape(mbit)
        return _measure(args, telemetry, mbit)
    machines.cut()
    try:
        return _measure(args, telemetry, mbit)
    finally:
        machines.join()


def _measure(args: argparse.Namespace, telemetry: Telemetry, mbit: float) -> dict[str, Any]:
    begun_s = time.monotonic()
    threading.Event().wait(args.duration)
    frames = [m for m, at_s in zip(telemetry.frames, telemetry.came_s, strict=True)
              if at_s >= begun_s]
    planned = forecasts(telemetry, frames)
    choices: dict[str, int] = {}
    for m in frames:
        hedged = ', hedged' if m.bytes and m.outcome == m.LOCAL else ''
        name = m.reason or sent(m) + hedged
        choices[name] = choices.get(name, 0) + 1
    return {'mbit': mbit, 'frames': len(frames), 'choices': choices,
            'latency_error': errors([(d.latency, m.total) for m, d in planned]),
            'of_constants': errors(of_constants([m for m, _ in planned])),
            'deadline_met': sum(m.deadline_met for m in frames) / max(len(frames), 1)}


def goals(adds_up: bool) -> list[Goal]:
    """Return the goal: every frame is accounted for."""
    return [at_most('frames not accounted for', float(not adds_up), 0.0)]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fly and print."""
    p = demo_parser(__doc__, camera=True)
    p.add_argument('bag', help='folder of the bag, which must not exist yet')
    p.add_argument('--mbit', type=float, nargs='+', default=[20.0, 0.3, 0.1, 0.0, 20.0],
                   help='rates of the link, one after the other, 0 not first [Mbit/s]')
    p.add_argument('--duration', type=float, default=20.0, help='of each rate [s]')
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'
    args = parse(p, argv)
    with Machines() as machines:
        rows, adds_up = fly(args, machines)
    print(table(('Mbit/s', 'frames', 'deadlines met', 'forecast off by %', 'constants %',
                 'how they went'), [
        (r['mbit'], r['frames'], f'{r["deadline_met"]:.0%}',
         *(f'{100 * e["mape"]:.1f}' if e else 'none'
           for e in (r['latency_error'], r['of_constants'])),
         '; '.join(f'{name}: {n}' for name, n in r['choices'].items())) for r in rows]))
    publish(args.json, {'machine': common.machine(), 'arguments': vars(args), 'results': rows},
            goals(adds_up))
    return 0 if adds_up else 1


if __name__ == '__main__':
    sys.exit(main())
