"""The link is cut in flight, and mended: how soon the drone carries on alone, and comes back.

Drone and server are two network namespaces with a cable between them; the drone plans each frame.
Measured are the time from the cut to the end of the first frame after it that is finished on
board, against one deadline and one frame of the camera (the network has to fit into the deadline
on board), and the time from the mending to the end
of the first remote result. Every frame has to be accounted for. Needs root.

    bash scripts/run.sh python benchmarks/link_cut.py --turns 5 emulate:=raspberry_pi_3b_plus
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
from goals import Goal, at_most, publish
from machines import Machines, inside
from planned_flight import Telemetry, demo_parser, parse, planned_graph, wait_for_first

from offload_perception.console import command, progress, table

NAMESPACE = 'link_cut_benchmark'
WAIT_S = 60.0


def fly(args: argparse.Namespace, machines: Machines) -> dict[str, Any]:
    """Return the times of each turn, and whether every frame was accounted for."""
    drone, server = machines.names
    words = [f'deadline:={args.deadline}', f'rate:={args.rate}', *args.arguments]
    with (inside(drone), Telemetry(NAMESPACE) as telemetry,
          planned_graph(NAMESPACE, words, common.shower(args)) as graph):
        with inside(server):
            graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', 'camera', exit_when_refused='true')
        wait_for_first(telemetry, graph)
        turns = [_turn(args, machines, telemetry, number) for number in range(args.turns)]
        for name in ('camera', 'edge_inference'):
            graph.stop(name)
        telemetry.wait_for(lambda: _all_ended(telemetry), WAIT_S, 'the end of every frame')
    last = telemetry.frames[-1]
    return {'turns': turns, 'captured': last.captured, 'remote': last.remote,
            'local': last.local, 'dropped': last.dropped, 'adds_up': telemetry.adds_up()}


def _turn(args: argparse.Namespace, machines: Machines, telemetry: Telemetry,
          number: int) -> dict[str, float]:
    """Cut the link, wait, mend it, wait."""
    _first_after(telemetry, 0.0, remote=True, count=5)
    threading.Event().wait(args.settle + 0.37 * number % 1.0 / args.rate)
    cut_s = time.monotonic()
    machines.cut()
    alone_s = _first_after(telemetry, cut_s, remote=False)
    threading.Event().wait(args.cut)
    mended_s = time.monotonic()
    machines.join()
    back_s = _first_after(telemetry, mended_s, remote=True)
    progress(f'turn {number + 1}: alone after {alone_s - cut_s:.2f} s, back after '
             f'{back_s - mended_s:.2f} s')
    return {'alone_s': alone_s - cut_s, 'back_s': back_s - mended_s}


def _first_after(telemetry: Telemetry, begun_s: float, *, remote: bool, count: int = 1) -> float:
    """Wait for frames that end remotely or on board after `begun_s`; return when the first did."""
    outcome = 0 if remote else 1

    def found() -> list[float]:
        ends = [at_s for m, at_s in zip(telemetry.frames, telemetry.came_s, strict=True)
                if at_s > begun_s and m.outcome == outcome]
        return ends if len(ends) >= count else []
    what = 'a remote result' if remote else 'a frame that is finished on board'
    return float(telemetry.wait_for(found, WAIT_S, what)[0])


def _all_ended(telemetry: Telemetry) -> bool:
    last = telemetry.frames[-1]
    return bool(last.captured == last.remote + last.local + last.dropped)


def goals(result: dict[str, Any], deadline_s: float, rate_hz: float) -> list[Goal]:
    """Return the goals: how soon the drone works alone and comes back; every frame is counted."""
    median = {key: float(np.median([t[key] for t in result['turns']]))
              for key in ('alone_s', 'back_s')}
    return [at_most('from the cut to a frame finished on board', median['alone_s'],
                    deadline_s + 1.0 / rate_hz, 's'),
            at_most('from the mended link to a remote result', median['back_s'], 5.0, 's'),
            at_most('frames not accounted for', float(not result['adds_up']), 0.0)]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = demo_parser(__doc__, camera=True)
    p.add_argument('--turns', type=int, default=5)
    p.add_argument('--cut', type=float, default=5.0, help='how long the link is down [s]')
    p.add_argument('--settle', type=float, default=3.0, help='between two turns [s]')
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'
    args = parse(p, argv)
    with Machines() as machines:
        result = fly(args, machines)
    print(table(('from', 'to', 'median s', 'longest s'),
                [(*names, *(f'{f([t[key] for t in result["turns"]]):.2f}'
                            for f in (np.median, max)))
                 for names, key in (
                     (('cut', 'first frame finished on board'), 'alone_s'),
                     (('mended', 'first remote result'), 'back_s'))]))
    print(f'\nframes: captured {result["captured"]} = remote {result["remote"]} + local '
          f'{result["local"]} + dropped {result["dropped"]}; '
          f'{"every frame accounted for" if result["adds_up"] else "FRAMES ARE MISSING"}')
    publish(args.json, {'machine': common.machine(), 'arguments': vars(args), 'results': result},
            goals(result, args.deadline, args.rate))
    return 0 if result['adds_up'] else 1


if __name__ == '__main__':
    sys.exit(main())
