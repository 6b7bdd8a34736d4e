"""Latency overhead: image published to result received, minus the bare head and tail.

This process publishes one image, waits for its result, and times the same head and tail alone
between the frames, while the nodes are idle. What exceeds their sum is the overhead: messages,
resize, codec, threads. The path is the same without the stages' own spread: each frame's total
minus the head and tail that the nodes report for that very frame. The floor is what the same four
messages take through bare relays that compute nothing (relay_nodes.py), measured in the same run.

Then the edge node plays the images itself (camera:=inside). Its path is from the frame to the
end of its reply, by the drone's own clock, less head and tail, and its floor that of the two
messages which are left, tensor and reply.

    bash scripts/run.sh python benchmarks/latency.py --model vgg16 --weights seed:0
    bash scripts/run.sh python benchmarks/latency.py --model net.tflite --cuts NAME,NAME
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cameras
import common
import numpy as np
from goals import Goal, at_most, publish
from offload_perception.msg import FeatureTensor
from std_msgs.msg import Header

from offload_perception.console import command, progress, table
from offload_perception.frames import Outcome
from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array
from offload_perception.runtime.loaded_network import LoadedNetwork

NAMESPACE = 'latency_benchmark'
PAUSE, FASTEST_HZ = 3.0, 20.0  # a frame of the camera inside for so many times head plus tail
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
    inside = measure_inside(args, cut, scene, 1.0 / (PAUSE * float(np.median(head + tail))))
    return {'cut': cut, 'head_s': head, 'tail_s': tail, 'total_s': total,
            'overhead_s': total - np.median(head) - np.median(tail),
            'path_s': np.array([t - own_s[s] for s, t in probe.totals_s().items() if s in own_s]),
            'floor_s': measure_floor(args, nbytes, network, number, scene), 'bytes': nbytes,
            'stages_s': medians(probe.latencies),
            'inside_path_s': np.array([m.total - m.head - m.tail for m in inside]),
            'inside_floor_s': measure_two_hops(args, nbytes, network, number, scene),
            'inside_stages_s': medians(inside)}


def medians(frames: Sequence[Any]) -> dict[str, float]:
    """Return the median of each stage in FrameLatency messages [s]."""
    return {s: float(np.median([getattr(m, s) for m in frames])) for s in common.STAGES}


def measure_inside(args: argparse.Namespace, cut: str, scene: common.Scene,
                   rate_hz: float) -> list[Any]:
    """Return the FrameLatency of frames that the edge node has played itself at a rate."""
    rate_hz = min(rate_hz, FASTEST_HZ)
    warm = args.warm_up + round(args.settle * rate_hz)
    with (TemporaryDirectory() as folder, common.Probe(f'{NAMESPACE}_inside') as probe,
          common.drone_graph(
              args, f'{NAMESPACE}_inside', 'camera:=inside',
              f'source:={cameras.make_film(Path(folder), scene.rgb, 1)}', f'rate:={rate_hz:.2f}',
              split=cut, codec=args.codec, server=f'{NAMESPACE}_server') as graph):
        graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', exit_when_refused='true', reply_timeout='30.0')

        def remote() -> list[Any]:
            return [m for m in probe.latencies if m.outcome == Outcome.REMOTE]
        probe.wait_for(graph, lambda: len(remote()) >= warm + args.frames,
                       common.START_TIMEOUT_S)
    return remote()[warm:warm + args.frames]


class TensorProbe(common.Probe):
    """Sends tensors of so many bytes, and notes when the reply comes."""

    def __init__(self, namespace: str, nbytes: int) -> None:
        super().__init__(namespace, sends=(FeatureTensor, 'features', qos.features(2)),
                         results='remote_result')
        self._data = byte_array(bytes(nbytes))

    def message(self, rgb: np.ndarray, header: Header) -> FeatureTensor:
        """Return the message of a tensor, whatever the image."""
        return FeatureTensor(header=header, data=self._data)


def measure_two_hops(args: argparse.Namespace, nbytes: int, network: LoadedNetwork, number: int,
                     scene: common.Scene) -> np.ndarray:
    """Return the seconds from tensor to reply of a bare relay, of each frame."""
    with (TensorProbe(f'{NAMESPACE}_hops', nbytes) as probe,
          common.ScriptGraph(args, RELAYS, ('server',), f'{NAMESPACE}_hops') as graph):
        return _one_by_one(args, probe, graph, network, number, scene)


def measure_floor(args: argparse.Namespace, nbytes: int, network: LoadedNetwork, number: int,
                  scene: common.Scene) -> np.ndarray:
    """Return the seconds from image to result through bare relays, of each frame."""
    with (common.Probe(f'{NAMESPACE}_floor') as probe,
          common.ScriptGraph(args, RELAYS, ('server', 'drone'), f'{NAMESPACE}_floor',
                             bytes=nbytes) as graph):
        return _one_by_one(args, probe, graph, network, number, scene)


def _one_by_one(args: argparse.Namespace, probe: common.Probe, graph: common.ScriptGraph,
                network: LoadedNetwork, number: int, scene: common.Scene) -> np.ndarray:
    """Return the seconds of each frame; head and tail run between them, as between real ones."""
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


def inside_cells(r: dict[str, Any]) -> list[Any]:
    """Return the line of the table of the camera inside."""
    return [r['cut'], *(common.ms(r[key], q) for key in ('inside_path_s', 'inside_floor_s')
                        for q in (50, 95))]


def goals(results: list[dict[str, Any]]) -> list[Goal]:
    """Return the goals at each cut: the path by the floor of its hops."""
    return [goal for r in results for goal in (
        at_most(f'{r["cut"]}: path with the camera inside', common.ms(r['inside_path_s']),
                max(3.0, 1.5 * common.ms(r['inside_floor_s'])), 'ms'),
        at_most(f'{r["cut"]}: path with a camera node by the floor of four hops',
                common.ms(r['path_s']) / common.ms(r['floor_s']), 2.0))]


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
    print()
    print(table(['cut, camera inside', 'path p50 ms', 'path p95 ms', 'floor p50 ms',
                 'floor p95 ms'], [inside_cells(r) for r in results]))
    for r in results:
        for camera, key in (('node', 'stages_s'), ('inside', 'inside_stages_s')):
            print(f'\n{r["cut"]}, camera {camera}: medians of the stages as the drone reports '
                  'them [ms]: ' + ', '.join(f'{s} {1e3 * v:.2f}' for s, v in r[key].items()))
    publish(args.json, common.record(args, scene, [
        {k: list(v) if isinstance(v, np.ndarray) else v for k, v in r.items()} for r in results]),
        goals(results))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
