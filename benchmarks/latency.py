"""Latency overhead: image published to result received, minus the bare head and tail.

Edge node and server run as processes of their own, as in a flight; this process publishes one
image, waits for its result, and times the same head and tail alone between the rounds, while the
nodes are idle. What exceeds their sum is the overhead: messages, resize, codec, threads.

    bash scripts/run.sh python benchmarks/latency.py --model vgg16 --weights seed:0
"""

import argparse
import threading
import time

import numpy as np
import rclpy
from offload_perception.msg import Classification, FrameLatency
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from offload_perception.cli.command import command, progress, table, write_json
from offload_perception.errors import OffloadError
from offload_perception.graph import DRONE
from offload_perception.imaging.sources import open_source
from offload_perception.model.prepare import prepare
from offload_perception.nodes import qos
from offload_perception.nodes.convert import fit_image, image_message
from offload_perception.runner import GraphRunner, parse_arguments
from offload_perception.runtime.open import open_network

NAMESPACE = 'latency_benchmark'
RESULT_TIMEOUT_S = 30.0


class Probe:
    """Publishes an image and waits for its result."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self.node = rclpy.create_node('probe', namespace=NAMESPACE)
        self._images = self.node.create_publisher(Image, 'image_raw', qos.CAMERA)
        self.node.create_subscription(Classification, 'classification', self._on_result,
                                      qos.RESULTS)
        self.node.create_subscription(FrameLatency, 'frame_latency', self._on_latency,
                                      qos.TELEMETRY)
        self._result, self._at_s, self.stages = threading.Event(), 0.0, []
        executor = SingleThreadedExecutor()
        executor.add_node(self.node)
        threading.Thread(target=executor.spin, daemon=True).start()

    def _on_result(self, _: Classification) -> None:
        self._at_s = time.perf_counter()
        self._result.set()

    def _on_latency(self, m: FrameLatency) -> None:
        self.stages.append({s: getattr(m, s) for s in (
            'queue', 'preprocess', 'head', 'encode', 'link', 'server_wait', 'decode', 'tail',
            'total')})

    def measure(self, rgb: np.ndarray, timeout_s: float = RESULT_TIMEOUT_S) -> float | None:
        """Return the seconds from publishing to the result; None where none came."""
        header = Header(stamp=self.node.get_clock().now().to_msg())
        self._result.clear()
        started = time.perf_counter()
        self._images.publish(image_message(rgb, header))
        return self._at_s - started if self._result.wait(timeout_s) else None

    def wait_for_graph(self, rgb: np.ndarray) -> None:
        """Return once results come."""
        give_up = time.monotonic() + 900
        while self.measure(rgb, timeout_s=1.0) is None:
            if time.monotonic() > give_up:
                raise OffloadError("no result within 15 minutes; see the nodes' output above")


def bare(network, cut: int, image: np.ndarray) -> tuple[float, float]:
    """Return the seconds of head and tail alone."""
    started = time.perf_counter()
    tensor = network.head(cut, image)
    middle = time.perf_counter()
    network.tail(cut, tensor)
    return middle - started, time.perf_counter() - middle


def measure_cut(args: argparse.Namespace, cut: str, network, image, rgb) -> dict:
    """Return the figures of one cut."""
    values = parse_arguments(DRONE, [
        f'namespace:={NAMESPACE}', f'server:=/{NAMESPACE}_server', f'model:={args.model}',
        f'weights:={args.weights}', f'split:={cut}', f'threads:={args.threads}', 'deadline:=0',
        f'runtime:={args.runtime}', f'codec:={args.codec}'])
    number = network.artefact.cut(cut)
    probe = Probe()
    with GraphRunner(DRONE, values, show=progress if args.verbose else lambda _: None) as graph:
        graph.start('remote_inference', 'edge_inference', exit_when_refused='true')
        probe.wait_for_graph(rgb)
        for _ in range(args.warm_up):
            probe.measure(rgb)
            bare(network, number, image)
        probe.stages.clear()
        rows = [(probe.measure(rgb), *bare(network, number, image)) for _ in range(args.frames)]
    rclpy.shutdown()
    total, head, tail = (np.array(c, float) for c in zip(*rows, strict=True))
    over = total - np.median(head) - np.median(tail)
    stages = {s: float(np.median([r[s] for r in probe.stages])) for s in probe.stages[0]}
    return {'cut': cut, 'head_s': float(np.median(head)), 'tail_s': float(np.median(tail)),
            'total_p50_s': float(np.median(total)), 'total_p95_s': float(np.percentile(total, 95)),
            'overhead_p50_s': float(np.median(over)),
            'overhead_p95_s': float(np.percentile(over, 95)), 'stages_s': stages}


@command
def main(argv=None) -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--model', default='vgg16')
    p.add_argument('--weights', default='seed:0')
    p.add_argument('--cuts', default='block4_pool')
    p.add_argument('--codec', default='auto')
    p.add_argument('--runtime', default='auto')
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--frames', type=int, default=100)
    p.add_argument('--warm-up', type=int, default=10)
    p.add_argument('--verbose', action='store_true', help='show the output of the nodes')
    p.add_argument('--json', metavar='FILE')
    args = p.parse_args(argv)
    artefact = prepare(args.model, args.weights, progress=progress)
    rgb = open_source('photos').next().rgb
    image = np.empty(artefact.input.shape, np.uint8)
    fit_image(image_message(rgb, Header()), image)
    network = open_network(artefact, 'cpu', args.runtime, args.threads)
    results = []
    for cut in args.cuts.split(','):
        progress(f'{cut}: {args.frames} frames')
        network.prepare(artefact.cut(cut))
        results.append(measure_cut(args, cut, network, image, rgb))
    print(table(['cut', 'head ms', 'tail ms', 'published to received p50 ms', 'p95 ms',
                 'overhead p50 ms', 'overhead p95 ms', 'overhead / (head + tail)'],
                [[r['cut'], *(round(1e3 * r[k], 2) for k in (
                    'head_s', 'tail_s', 'total_p50_s', 'total_p95_s', 'overhead_p50_s',
                    'overhead_p95_s')),
                  f'{r["overhead_p50_s"] / (r["head_s"] + r["tail_s"]):.1%}'] for r in results]))
    for r in results:
        print(f'{r["cut"]}: median stages [ms]: ' + ', '.join(
            f'{s} {1e3 * v:.2f}' for s, v in r['stages_s'].items()))
    write_json(args.json, {'arguments': vars(args), 'results': results})
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
