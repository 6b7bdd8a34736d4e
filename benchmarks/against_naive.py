"""The package against what one would write, and against sending a JPEG of the image.

Three ways from an image to its class, in turns within one run, on the same network:

- this package, cut at --cut
- the nodes of naive_nodes.py, cut at the same layer
- this package, cut at the input: the image as JPEG, everything remote

Overhead is image published to result received, minus the bare head and tail. CPU is that of both
nodes, minus bare inference.

    bash scripts/run.sh python benchmarks/against_naive.py --model vgg16 --weights seed:0
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import numpy as np
import psutil
from cost import bare_cpu_s
from goals import Goal, at_least, publish
from std_msgs.msg import String

from offload_perception.bringup.process_runner import GraphRunner
from offload_perception.console import command, progress, table
from offload_perception.runtime.loaded_network import LoadedNetwork

NAMESPACE = 'against_naive'
NAIVE = Path(__file__).with_name('naive_nodes.py')


class OneByOne(common.Probe):
    """A probe for results without a header: they belong to the last image."""

    def stamp_of(self, result: Any) -> int:
        """Return the stamp of the last image."""
        return max(self.sent)


@dataclass
class Way:
    """One way from image to class, and what was measured of it."""

    name: str
    cut: int
    probe: common.Probe
    nodes: list[psutil.Process]
    total_s: list[float] = field(default_factory=list)
    bare_s: list[tuple[float, float]] = field(default_factory=list)
    cpu_s: float = 0.0

    def turn(self, scene: common.Scene, network: LoadedNetwork, frames: int) -> None:
        """Measure some frames, then the bare stages as often."""
        before = common.cpu_s(self.nodes)
        self.total_s += self.probe.measure_all(scene.rgb, frames)
        self.cpu_s += common.cpu_s(self.nodes) - before
        self.bare_s += [common.bare(network, self.cut, scene.image) for _ in range(frames)]

    def result(self, bare_cpu: float) -> dict[str, Any]:
        """Return what was measured, in seconds."""
        bare = float(np.median(self.bare_s, axis=0).sum())
        return {'way': self.name, 'bare_s': bare, 'total_s': self.total_s,
                'overhead_s': [t - bare for t in self.total_s],
                'cpu_s': self.cpu_s / len(self.total_s),
                'cpu_beyond_s': self.cpu_s / len(self.total_s) - bare_cpu}


def open_ours(stack: ExitStack, args: argparse.Namespace, name: str, namespace: str, split: str,
              codec: str) -> tuple[Way, GraphRunner]:
    """Start a pair of this package's nodes."""
    server = f'{namespace}_server'
    probe = stack.enter_context(common.Probe(namespace))
    graph = stack.enter_context(common.drone_graph(
        args, namespace, split=split, codec=codec, server=server))
    graph.start('remote_inference', exit_when_refused='true')
    graph.start('edge_inference', exit_when_refused='true', reply_timeout='30.0')
    nodes = [common.node_process('edge_inference', namespace),
             common.node_process('remote_inference', server)]
    return Way(name, 0, probe, nodes), graph


def open_naive(stack: ExitStack, args: argparse.Namespace) -> tuple[Way, common.ScriptGraph]:
    """Start the naive pair."""
    namespace = f'{NAMESPACE}_naive'
    probe = stack.enter_context(OneByOne(namespace, String, 10))
    graph = stack.enter_context(common.ScriptGraph(
        args, NAIVE, ('server', 'edge'), namespace, split=args.cut,
        **{name: getattr(args, name) for name in ('model', 'weights', 'runtime', 'threads')}))
    nodes = [common.node_process(role, namespace) for role in ('edge', 'server')]
    return Way('naive nodes', 0, probe, nodes), graph


def measure(args: argparse.Namespace, scene: common.Scene,
            network: LoadedNetwork) -> list[dict[str, Any]]:
    """Return a record for each way."""
    cut = scene.artefact.cut(args.cut)
    with ExitStack() as stack:
        ours = open_ours(stack, args, f'this package, {args.cut}', f'{NAMESPACE}_cut', args.cut,
                         args.codec)
        naive = open_naive(stack, args)
        jpeg = open_ours(stack, args, f'this package, {args.image_codec} of the image',
                         f'{NAMESPACE}_image', 'input', args.image_codec)
        ways = [way for way, _ in (ours, naive, jpeg)]
        ours[0].cut = naive[0].cut = cut
        for way, graph in (ours, naive, jpeg):
            way.probe.wait_for_graph(scene.rgb, graph)
            way.probe.warm_up(scene.rgb, args)
        for _ in range(args.turns):
            for way in ways:
                way.turn(scene, network, args.frames)
    return [way.result(bare_cpu(network, way.cut, scene, args.frames)) for way in ways]


def bare_cpu(network: LoadedNetwork, cut: int, scene: common.Scene, frames: int) -> float:
    """Return the CPU seconds of head and tail alone."""
    tensors = network.head(cut, scene.image) if cut else (scene.image,)
    head_s = bare_cpu_s(lambda: network.head(cut, scene.image), frames) if cut else 0.0
    return head_s + bare_cpu_s(lambda: network.tail(cut, tensors), frames)


def cells(r: dict[str, Any], ours: dict[str, Any]) -> list[Any]:
    """Return the line of the table."""
    return [r['way'], common.ms(r['bare_s']), common.ms(r['total_s']),
            common.ms(r['total_s'], 95), common.ms(r['overhead_s']),
            common.ms(r['overhead_s'], 95),
            round(float(np.median(r['overhead_s']) / np.median(ours['overhead_s'])), 2),
            common.ms(r['cpu_s']), common.ms(r['cpu_beyond_s'])]


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return the goal: a fifth of the overhead of the naive nodes."""
    ours, naive = (float(np.median(r['overhead_s'])) for r in results[:2])
    return [at_least('overhead of the naive nodes by ours', naive / ours, 5.0)]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = common.parser(__doc__, frames=20)
    p.add_argument('--cut', default='block4_pool')
    p.add_argument('--codec', default='auto')
    p.add_argument('--image-codec', default='jpeg:90')
    p.add_argument('--turns', type=int, default=5, help='of --frames frames each way')
    args = common.parse(p, argv)
    scene = common.open_scene(args)
    network = common.open_bare(args, scene)
    for cut in (scene.artefact.cut(args.cut), 0):
        network.prepare(cut)
    progress(f'3 ways, {args.turns} x {args.frames} frames each')
    results = measure(args, scene, network)
    print(table(['way', 'head + tail ms', 'total p50 ms', 'total p95 ms', 'overhead p50 ms',
                 'overhead p95 ms', '/ ours', 'CPU ms/frame', 'beyond inference'],
                [cells(r, results[0]) for r in results]))
    publish(args.json, common.record(args, scene, results), goals(results))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
