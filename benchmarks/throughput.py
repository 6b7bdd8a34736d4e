"""Throughput: frames per second end to end, against the slower of head and tail.

A camera that is faster than the stages; what the drone cannot take it supersedes. The bound
comes from the same head and tail as two processes in lockstep, with a semaphore each way and
nothing else, so that they compete for the cores as in the graph: one over the mean time of the
slower stage. Graph and bound are measured in turns, and the ratio is that of each turn.

Every stage gets one thread, so that two cores hold both stages; camera and DDS come on top.

    bash scripts/run.sh python benchmarks/throughput.py --model vgg16 --weights seed:0
"""

import argparse
import threading
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
from bound import BarePipeline
from goals import Goal, at_least, publish

from offload_perception.console import command, progress, table
from offload_perception.errors import OffloadError

NAMESPACE = 'throughput_benchmark'
SKIP = 3  # frames until the stages are full


def bound_of(pipeline: BarePipeline, frames: int) -> dict[str, float]:
    """Return the stages' mean seconds side by side, and the rates that follow [Hz]."""
    heads, tails = pipeline.run(SKIP + frames)
    head_s, tail_s = (float(np.mean(np.diff(t[SKIP:]))) for t in (heads, tails))
    return {'head_s': head_s, 'tail_s': tail_s, 'bound_hz': 1 / max(head_s, tail_s),
            'lockstep_hz': rate_hz(tails[SKIP:, 1])}


def graph_rate_hz(probe: common.Probe, rgb: np.ndarray, frames: int, camera_hz: float) -> float:
    """Return the rate of results while a camera publishes at `camera_hz`."""
    probe.wait_until_idle()
    probe.clear()
    enough, pause = SKIP + frames, threading.Event()
    limit = 60 + 10 * enough  # images, however many are superseded
    for _ in range(limit):
        probe.publish(rgb)
        if len(probe.arrivals) >= enough:
            break
        pause.wait(1 / camera_hz)
    else:
        raise OffloadError(f'{len(probe.arrivals)} results of {limit} images; see why with '
                           '--verbose')
    return rate_hz([at_s for _, at_s in probe.arrivals[SKIP:]])


def rate_hz(times_s: np.ndarray | list[float]) -> float:
    """Return the mean rate of events."""
    return (len(times_s) - 1) / float(times_s[-1] - times_s[0])


def measure_cut(args: argparse.Namespace, cut: str, scene: common.Scene) -> list[dict[str, Any]]:
    """Return one record for each turn."""
    number = scene.artefact.cut(cut)
    with (BarePipeline(scene.artefact, number, scene.image, runtime=args.runtime,
                       threads=args.threads) as pipeline,
          common.Probe(NAMESPACE) as probe,
          common.drone_graph(args, NAMESPACE, split=cut, codec=args.codec,
                             server=f'{NAMESPACE}_server') as graph):
        graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', exit_when_refused='true', reply_timeout='30.0')
        probe.wait_for_graph(scene.rgb, graph)
        probe.warm_up(scene.rgb, args)
        turns = []
        for _ in range(args.turns):
            turn = bound_of(pipeline, args.frames)
            turn['graph_hz'] = graph_rate_hz(probe, scene.rgb, args.frames,
                                             args.camera * turn['bound_hz'])
            turn['dropped'] = probe.latencies[-1].dropped
            turns.append({**turn, 'ratio': turn['graph_hz'] / turn['bound_hz']})
    return turns


def goals(results: dict[str, list[dict[str, Any]]]) -> list[Goal]:
    """Return the goal of each cut: 97 % of the bound of the slower stage."""
    return [at_least(f'rate of the graph by the bound at {cut}',
                     float(np.median([t['ratio'] for t in turns])), 0.97)
            for cut, turns in results.items()]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = common.parser(__doc__, frames=60, threads=1)
    p.add_argument('--cuts', default='block4_pool', help='layer names, with commas')
    p.add_argument('--codec', default='auto')
    p.add_argument('--turns', type=int, default=5, help='of bound and graph')
    p.add_argument('--camera', type=float, default=1.2,
                   help='rate of the camera, as a multiple of the bound')
    args = common.parse(p, argv)
    scene = common.open_scene(args)
    results, rows = {}, []
    for cut in args.cuts.split(','):
        progress(f'{cut}: {args.turns} x {args.frames} frames')
        turns = results[cut] = measure_cut(args, cut, scene)
        middle = {k: float(np.median([t[k] for t in turns])) for k in turns[0]}
        ratios = [t['ratio'] for t in turns]
        rows.append([cut, common.ms(middle['head_s']), common.ms(middle['tail_s']),
                     *(round(middle[k], 2) for k in ('bound_hz', 'lockstep_hz', 'graph_hz')),
                     f'{middle["ratio"]:.1%}', f'{min(ratios):.1%} .. {max(ratios):.1%}'])
    print(table(['cut', 'head ms', 'tail ms', 'bound fps', 'bare lockstep fps', 'graph fps',
                 'graph / bound', 'least .. most'], rows))
    publish(args.json, common.record(args, scene, results), goals(results))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
