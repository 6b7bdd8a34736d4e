"""Latency overhead: image published to result received, minus the bare head and tail.

This process publishes one image, waits for its result, and times the same head and tail alone
between the frames, while the nodes are idle. What exceeds their sum is the overhead: messages,
resize, codec, threads. The path is the same without the stages' own spread: each frame's total
minus the head and tail that the nodes report for that very frame. The floor is what the same four
messages take through bare relays that compute nothing (relay_nodes.py), measured in the same run.

    bash scripts/run.sh python benchmarks/latency.py --model vgg16 --weights seed:0
    bash scripts/run.sh python benchmarks/latency.py --model net.tflite --cuts NAME,NAME
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np
from goals import Goal, at_most, publish

from offload_perception.console import command, progress, table
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.loaded_network import LoadedNetwork

NAMESPACE = 'latency_benchmark'
RELAYS = Path(__file__).with_name('relay_nodes.py')


def measure_cut(args: argparse.Namespace, cut: str, network: LoadedNetwork,
                scene: common.Scene) -> dict[str, Any]:
    """Return the figures of one cut, in seconds."""
    number = scene.artefact.cut(cut)
    network.prepare(number)
    with (common.Probe(NAMESPACE) as probe,
          common.drone_graph(args, NAMESPACE, split=cut, codec=args.codec,
                             server=f'{NAMESPACE}_server') as graph):
        graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', exit_when_refused='true', reply_timeout='30.0')
        probe.wait_for_graph(scene.rgb, graph)
        probe.warm_up(scene.rgb, args)
        probe.wait_until_idle()
        probe.clear()
        rows = [(*probe.measure_all(scene.rgb, 1), *common.bare(network, number, scene.image))
                for _ in range(args.frames)]
        probe.wait_until_idle()
    total, head, tail = np.array(rows).T
    own_s = probe.inference_s()
    nbytes = int(np.median([m.bytes for m in probe.latencies]))
    return {'cut': cut, 'head_s': head, 'tail_s': tail, 'total_s': total,
            'overhead_s': total - np.median(head) - np.median(tail),
            'path_s': np.array([t - own_s[s] for s, t in probe.totals_s().items() if s in own_s]),
            'floor_s': measure_floor(args, nbytes, network, number, scene), 'bytes': nbytes,
            'stages_s': {s: float(np.median([getattr(m, s) for m in probe.latencies]))
                         for s in common.STAGES}}


def measure_floor(args: argparse.Namespace, nbytes: int, network: LoadedNetwork, number: int,
                  scene: common.Scene) -> np.ndarray:
    """Return the seconds from image to result through bare relays, of each frame."""
    with (common.Probe(f'{NAMESPACE}_floor') as probe,
          common.ScriptGraph(args, RELAYS, ('server', 'drone'), f'{NAMESPACE}_floor',
                             bytes=nbytes) as graph):
        probe.wait_for_graph(scene.rgb, graph)
        probe.measure_all(scene.rgb, args.warm_up)
        totals = []
        for _ in range(args.frames):
            totals += probe.measure_all(scene.rgb, 1)
            common.bare(network, number, scene.image)
    return np.array(totals)


def middle_cut(artefact: Artefact) -> str:
    """Return block4_pool of a VGG, or the cut after half of all multiply-adds."""
    work = np.cumsum([layer.macs for layer in artefact.layers])
    halfway = artefact.cut_names[1 + int(work.searchsorted(work[-1] / 2))]
    return 'block4_pool' if 'block4_pool' in artefact.cut_names else halfway


def cells(r: dict[str, Any]) -> list[Any]:
    """Return the line of the table."""
    bare_ms = common.ms(r['head_s']) + common.ms(r['tail_s'])
    over_ms = common.ms(r['overhead_s'])
    return [r['cut'], common.ms(r['head_s']), common.ms(r['tail_s']), common.ms(r['total_s']),
            common.ms(r['total_s'], 95), over_ms, common.ms(r['overhead_s'], 95),
            f'{over_ms / bare_ms:.1%}', common.ms(r['path_s']), common.ms(r['path_s'], 95),
            common.ms(r['floor_s']), common.ms(r['floor_s'], 95)]


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return the goal at each cut: 3 ms, or 2 % of head plus tail if that is more."""
    return [at_most(f'overhead of a frame at {r["cut"]}', common.ms(r['path_s']),
                    max(3.0, 0.02 * (common.ms(r['head_s']) + common.ms(r['tail_s']))), 'ms')
            for r in results]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = common.parser(__doc__, frames=100)
    p.add_argument('--cuts', help='layer names, with commas; by default the one in the middle')
    p.add_argument('--codec', default='auto')
    args = common.parse(p, argv)
    scene = common.open_scene(args)
    network = common.open_bare(args, scene)
    results = []
    for cut in args.cuts.split(',') if args.cuts else [middle_cut(scene.artefact)]:
        progress(f'{cut}: {args.frames} frames')
        results.append(measure_cut(args, cut, network, scene))
    print(table(['cut', 'head ms', 'tail ms', 'total p50 ms', 'total p95 ms', 'overhead p50 ms',
                 'overhead p95 ms', 'overhead / (head + tail)', 'path p50 ms', 'path p95 ms',
                 'floor p50 ms', 'floor p95 ms'],
                [cells(r) for r in results]))
    for r in results:
        print(f'\n{r["cut"]}: medians of the stages as the nodes report them [ms]: ' + ', '.join(
            f'{s} {1e3 * v:.2f}' for s, v in r['stages_s'].items()))
    publish(args.json, common.record(args, scene, [
        {k: list(v) if isinstance(v, np.ndarray) else v for k, v in r.items()} for r in results]),
        goals(results))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
