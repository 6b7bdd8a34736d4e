"""Drone and server on two machines: two network namespaces and a cable of limited rate.

For each rate of the link and each candidate, a cut with its codec: latency from image published
to result received, the share of the images that had a result, and the bytes of a frame as encoded
and on the cable of the drone. The camera does not wait: what the link cannot take the drone
supersedes. Needs root and iproute2; the namespaces are removed at the end.

    bash scripts/run.sh python benchmarks/network.py --model vgg16 --weights seed:0
"""

import argparse
import os
import threading
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
from goals import Goal, publish
from machines import Machines, inside

from offload_perception.console import command, progress, table
from offload_perception.errors import OffloadError

NAMESPACE = 'network_benchmark'
SERVER = f'{NAMESPACE}_server'
CANDIDATES = ('input:jpeg:90', 'input:raw', 'block3_pool:auto', 'block4_pool:auto',
              'block5_pool:auto')


def fly(probe: common.Probe, rgb: np.ndarray, frames: int, camera_hz: float) -> list[float]:
    """Return the latency of each image that had a result; the camera keeps its rate."""
    probe.clear()
    pause = threading.Event()
    for _ in range(frames):
        probe.publish(rgb)
        pause.wait(1 / camera_hz)
    probe.wait_until_idle()
    return list(probe.totals_s().values())


def measure(args: argparse.Namespace, scene: common.Scene, machines: Machines,
            candidate: str) -> list[dict[str, Any]]:
    """Return a record for each rate of the link."""
    cut, _, codec = candidate.partition(':')
    drone, server = machines.names
    machines.shape(max(args.mbit))
    with (inside(drone), common.Probe(NAMESPACE) as probe,
          common.drone_graph(args, NAMESPACE, split=cut, codec=codec or 'auto',
                             server=SERVER) as graph):
        with inside(server):
            graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', exit_when_refused='true')
        probe.wait_for_graph(scene.rgb, graph)
        probe.warm_up(scene.rgb, args)
        return [measure_rate(args, scene, machines, probe, candidate, mbit)
                for mbit in args.mbit]


def measure_rate(args: argparse.Namespace, scene: common.Scene, machines: Machines,
                 probe: common.Probe, candidate: str, mbit: float) -> dict[str, Any]:
    """Return the record of one candidate at one rate."""
    machines.shape(mbit)
    before = machines.sent_bytes()
    latencies_s = fly(probe, scene.rgb, args.frames, args.camera)
    up, down = (after - b for after, b in zip(machines.sent_bytes(), before, strict=True))
    sent = [m.bytes for m in probe.latencies if m.bytes]
    if up < sum(sent):
        raise OffloadError(f'{sum(sent)} bytes were sent and only {up} passed the cable: DDS has '
                           'another way from namespace to namespace')
    return {'mbit': mbit, 'candidate': candidate, 'latency_s': latencies_s,
            'delivered': len(latencies_s) / args.frames,
            'reasons': sorted({m.reason for m in probe.latencies if m.reason}),
            'encoded_bytes': float(np.median(sent)) if sent else 0.0,
            'cable_up_bytes': up / max(len(sent), 1),
            'cable_down_bytes': down / max(len(sent), 1)}


def cells(r: dict[str, Any]) -> list[Any]:
    """Return the line of the table."""
    latency = [common.ms(r['latency_s'], q) if r['latency_s'] else 'none' for q in (50, 95)]
    return [r['mbit'], r['candidate'], *latency, f'{r["delivered"]:.0%}',
            ', '.join(r['reasons']), round(r['encoded_bytes'] / 1e3, 1),
            round(r['cable_up_bytes'] / 1e3, 1), round(r['cable_down_bytes'] / 1e3, 1)]


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return no goals: the benchmark compares cuts and codecs."""
    return []


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = common.parser(__doc__, frames=100)
    p.add_argument('--mbit', type=float, nargs='+', default=[5.0, 20.0, 100.0],
                   help='rates of the link [Mbit/s]')
    p.add_argument('--candidates', nargs='+', default=CANDIDATES, metavar='CUT:CODEC')
    p.add_argument('--camera', type=float, default=5.0, help='images a second [Hz]')
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'
    args = common.parse(p, argv)
    scene = common.open_scene(args)
    with Machines() as machines:
        results = []
        for candidate in args.candidates:
            progress(f'{candidate}: {args.frames} frames at each rate')
            results += measure(args, scene, machines, candidate)
    results.sort(key=lambda r: r['mbit'])
    print(table(['Mbit/s', 'cut:codec', 'p50 ms', 'p95 ms', 'delivered', 'others were',
                 'encoded kB', 'cable up kB/frame', 'cable down kB/frame'],
                [cells(r) for r in results]))
    publish(args.json, common.record(args, scene, results), goals(results))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
