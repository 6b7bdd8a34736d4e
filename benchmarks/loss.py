"""What packet loss costs, and what the heartbeat of DDS writers changes about it.

Drone and server are two network namespaces with a cable between them; after the first frames each
end loses a share of the packets that come in. Each flight has its own copy of config/fastdds.xml
with another heartbeat period. Packets are those on the cable, CPU is that of edge and server node.
Needs root, and nft.

    bash scripts/run.sh python benchmarks/loss.py --heartbeats 3,0.1,0.05,0.02 --loss 0,0.1
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
from goals import Goal, at_most, publish
from machines import Machines, inside
from planned_flight import Telemetry, parse, planned_graph, wait_for_first

from offload_perception.bringup.dds import with_profile
from offload_perception.console import command, progress, table
from offload_perception.errors import OffloadError

NAMESPACE = 'loss_benchmark'
END_S = 30.0
OWN_HEARTBEAT_S = 0.1  # of config/fastdds.xml
_PERIOD = re.compile(r'(<heartbeatPeriod>).*?(</heartbeatPeriod>)', re.DOTALL)


def profile_with(period_s: float, folder: Path) -> Path:
    """Return a copy of the package's DDS profile with another heartbeat period."""
    seconds, rest = divmod(round(1e9 * period_s), 10**9)
    source = Path(__file__).parents[1] / 'config' / 'fastdds.xml'
    text, found = _PERIOD.subn(
        rf'\g<1><sec>{seconds}</sec><nanosec>{rest}</nanosec>\g<2>', source.read_text())
    if not found:
        raise OffloadError(f'{source} sets no heartbeatPeriod')
    copy = folder / f'{period_s}.xml'
    copy.write_text(text)
    return copy


def fly(args: argparse.Namespace, machines: Machines, loss: float) -> dict[str, Any]:
    """Return the counts of a flight's frames, and what it cost in packets and CPU."""
    drone, server = machines.names
    machines.lose(0.0)
    with (inside(drone), Telemetry(NAMESPACE) as telemetry,
          planned_graph(NAMESPACE, args.arguments, common.shower(args)) as graph):
        with inside(server):
            graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', 'camera', exit_when_refused='true')
        wait_for_first(telemetry, graph)
        telemetry.wait_for(lambda: [m for m in telemetry.frames if m.outcome == 0][args.warm_up:],
                           END_S, 'a remote result')
        machines.lose(loss)
        nodes = [common.node_process('edge_inference', f'{NAMESPACE}'),
                 common.node_process('remote_inference', f'{NAMESPACE}_server')]
        first, cpu_s, packets = len(telemetry.frames), common.cpu_s(nodes), machines.sent_packets()
        telemetry.wait_for(lambda: len(telemetry.frames) >= first + args.frames,
                           END_S + 10 * args.frames, f'{args.frames} frames')
        cpu_s, packets = common.cpu_s(nodes) - cpu_s, machines.sent_packets() - packets
        frames = telemetry.frames[first:first + args.frames]
        machines.lose(0.0)
        for name in ('camera', 'edge_inference'):
            graph.stop(name)
    spent_s = telemetry.came_s[first + args.frames - 1] - telemetry.came_s[first - 1]
    return {'remote': sum(m.outcome == 0 for m in frames),
            'local': sum(m.outcome == 1 for m in frames),
            'dropped': sum(m.outcome == 2 for m in frames), 'frames': len(frames),
            'total_s': [m.total for m in frames if m.outcome == 0],
            'packets_per_frame': packets / len(frames), 'cpu_share': cpu_s / spent_s}


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return the goal: with the package's own heartbeat losses of a tenth drop no frame."""
    return [at_most(f'frames dropped at a loss of {r["loss"]:g}', r['dropped'], 0.0)
            for r in results if r['heartbeat_s'] == OWN_HEARTBEAT_S and r['loss'] <= 0.1]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--heartbeats', default='3,0.1', help='periods, with commas [s]')
    p.add_argument('--loss', default='0,0.1', help='shares of the packets, with commas')
    p.add_argument('--frames', type=int, default=200)
    p.add_argument('--warm-up', type=int, default=5, help='remote results before the loss')
    p.add_argument('--verbose', action='store_true', help='show the output of the nodes')
    p.add_argument('--json', metavar='FILE')
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'
    args = parse(p, argv)
    results = []
    with Machines() as machines, tempfile.TemporaryDirectory() as folder:
        for period_s in map(float, args.heartbeats.split(',')):
            os.environ |= with_profile(profile_with(period_s, Path(folder)))
            for loss in map(float, args.loss.split(',')):
                results.append({'heartbeat_s': period_s, 'loss': loss,
                                **fly(args, machines, loss)})
                progress(f'heartbeat {period_s} s, loss {loss}: '
                         f'{results[-1]["remote"]} of {results[-1]["frames"]} remote')
    print(table(('heartbeat s', 'loss', 'remote', 'local', 'dropped', 'total p50 ms',
                 'total p95 ms', 'packets a frame', 'CPU %'), [
        (r['heartbeat_s'], r['loss'], r['remote'], r['local'], r['dropped'],
         *(common.ms(r['total_s'], q) if r['total_s'] else 0.0 for q in (50, 95)),
         round(r['packets_per_frame'], 1), round(100 * r['cpu_share'], 1)) for r in results]))
    publish(args.json, {'machine': common.machine(), 'arguments': vars(args),
                        'results': results}, goals(results))
    return 0


if __name__ == '__main__':
    sys.exit(main())
