"""Cost of a frame: CPU time, Python's share of it, memory, and bytes that are copied.

CPU of a node: what its process uses for frames one after the other, less what it uses while
idle, against head or tail alone in this process. Python's share is the time that a node holds
the interpreter lock, sampled by py-spy if that is installed (pip install py-spy); native code
that runs under the lock counts too. Bytes are Python's own allocations (see copies.py).
The camera inside the edge node is compared with a node of its own: CPU time of both together, the
time from the camera's frame to its end, and the joules that the emulated meter's model gives
their CPU time (see cameras.py).

    bash scripts/run.sh python benchmarks/cost.py --model vgg16 --weights seed:0
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import cameras
import common
import copies
import numpy as np
import psutil
from goals import Goal, publish

from offload_perception.console import command, progress, table
from offload_perception.errors import OffloadError
from offload_perception.pipeline.plan import Plan
from offload_perception.runtime.loaded_network import LoadedNetwork

NAMESPACE, SERVER = 'cost_benchmark', 'cost_benchmark_server'
NODES = (('edge_inference', NAMESPACE), ('remote_inference', SERVER))
SAMPLES_HZ = 500


def bare_cpu_s(run: Callable[[], object], frames: int) -> float:
    """Return the mean CPU seconds of `run` alone.

    Each run is followed by a pause, as in the graph: a runtime's threads go on spinning for a
    while, and that is its own cost.
    """
    started = time.process_time()
    for _ in range(frames):
        run()
        time.sleep(0.01)
    return (time.process_time() - started) / frames


def idle_load(nodes: list[psutil.Process], seconds: float) -> np.ndarray:
    """Return the CPU seconds a second that each node uses while nothing comes."""
    before = node_cpu_s(nodes)
    time.sleep(seconds)
    spent: np.ndarray = node_cpu_s(nodes) - before
    return spent / seconds


def node_cpu_s(nodes: list[psutil.Process]) -> np.ndarray:
    """Return the CPU seconds that each node has used so far."""
    return np.array([common.cpu_s([p]) for p in nodes])


def fly(probe: common.Probe, rgb: np.ndarray, frames: int,
        nodes: list[psutil.Process]) -> tuple[np.ndarray, float, np.ndarray]:
    """Return CPU seconds of each node, wall seconds, and resident bytes after each frame."""
    before, started, resident = node_cpu_s(nodes), time.monotonic(), []
    for _ in range(frames):
        probe.measure_all(rgb, 1)
        resident.append([p.memory_info().rss for p in nodes])
    return node_cpu_s(nodes) - before, time.monotonic() - started, np.array(resident)


def gil_s(probe: common.Probe, rgb: np.ndarray, node: psutil.Process,
          seconds: float) -> float | None:
    """Return the seconds per frame that a node holds the interpreter lock; None without py-spy."""
    if shutil.which('py-spy') is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, 'samples')
        sampler = subprocess.Popen(
            ['py-spy', 'record', '--gil', '--nonblocking', '--format', 'raw', '--output', raw,
             '--rate', str(SAMPLES_HZ), '--duration', str(ceil(seconds)), '--pid', str(node.pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        frames = 0
        try:
            while sampler.poll() is None:
                probe.measure_all(rgb, 1)
                frames += 1
        finally:
            sampler.kill()
            sampler.wait()
        if sampler.returncode or not raw.exists():
            print('py-spy may not look into the nodes here and is left out: it needs root, or '
                  'kernel.yama.ptrace_scope 0', file=sys.stderr)
            return None
        held = sum(int(line.rsplit(' ', 1)[1]) for line in raw.read_text().splitlines())
    return held / SAMPLES_HZ / frames


def measure_nodes(args: argparse.Namespace, scene: common.Scene, bare_s: list[float]) -> list[Any]:
    """Return a record for each node."""
    with (common.Probe(NAMESPACE) as probe,
          common.drone_graph(args, NAMESPACE, split=args.cut, codec=args.codec,
                             server=SERVER) as graph):
        graph.start('remote_inference', exit_when_refused='true')
        graph.start('edge_inference', exit_when_refused='true', reply_timeout='30.0')
        probe.wait_for_graph(scene.rgb, graph)
        probe.warm_up(scene.rgb, args)
        nodes = [common.node_process(*node) for node in NODES]
        idle = idle_load(nodes, args.seconds)
        used_s, wall_s, resident = fly(probe, scene.rgb, args.frames, nodes)
        held_s = [gil_s(probe, scene.rgb, node, args.seconds) for node in nodes]
    frame_s = (used_s - idle * wall_s) / args.frames
    return [{'node': name, 'cpu_s': float(frame_s[i]), 'bare_cpu_s': bare_s[i],
             'beyond_s': float(frame_s[i]) - bare_s[i], 'interpreter_lock_s': held_s[i],
             'idle_load': float(idle[i]), 'resident_bytes': resident[:, i].tolist()}
            for i, (name, _) in enumerate(NODES)]


def node_cells(r: dict[str, Any]) -> list[Any]:
    """Return the line of the table."""
    lock_s, resident = r['interpreter_lock_s'], r['resident_bytes']
    return [r['node'], *(common.ms(r[k]) for k in ('cpu_s', 'bare_cpu_s', 'beyond_s')),
            'no py-spy' if lock_s is None else common.ms(lock_s), f'{r["idle_load"]:.1%}',
            *(round(b / 1e6, 1) for b in (resident[0], max(resident), resident[-1]))]


def measure_copies(args: argparse.Namespace, scene: common.Scene, network: LoadedNetwork,
                   cut: int) -> tuple[dict[str, int], int]:
    """Return the bytes of each step, and those of the tensor."""
    tensors = network.head(cut, scene.image) if cut else (scene.image,)
    plan = Plan(cut, codec=args.codec, server='/server')
    return copies.allocated(scene.artefact, plan, scene.rgb, tensors,
                            network.tail(cut, tensors),
                            args.frames), sum(x.nbytes for x in tensors)


def goals(ways: list[dict[str, Any]]) -> list[Goal]:
    """Return the goal of the camera; all else shows where time and memory go."""
    return cameras.goals(ways)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    p = common.parser(__doc__, frames=200)
    p.add_argument('--cut', default='block4_pool')
    p.add_argument('--codec', default='auto')
    p.add_argument('--seconds', type=float, default=10.0,
                   help='of idling, and of sampling each node')
    p.add_argument('--rate', type=float, default=10.0, help='of the camera [Hz]')
    args = common.parse(p, argv)
    scene = common.open_scene(args)
    cut = scene.artefact.cut(args.cut)
    if cut == scene.artefact.last:
        raise OffloadError('--cut is the last layer: nothing is sent; choose an earlier one')
    network = common.open_bare(args, scene)
    network.prepare(cut)
    progress(f'{args.cut}: {args.frames} frames')
    steps, tensor_bytes = measure_copies(args, scene, network, cut)
    tensors = network.head(cut, scene.image) if cut else (scene.image,)
    bare_s = [bare_cpu_s(lambda: cut and network.head(cut, scene.image), args.frames),
              bare_cpu_s(lambda: network.tail(cut, tensors), args.frames)]
    nodes = measure_nodes(args, scene, bare_s)
    ways = cameras.compare(args, scene, bare_s[0])
    print(table(['node', 'CPU ms/frame', 'bare inference', 'beyond it', 'interpreter lock held',
                 'idle load', 'resident MB at first', 'most', 'at last'],
                [node_cells(r) for r in nodes]))
    print(f'\nThe tensor at {args.cut} has {tensor_bytes} bytes.\n')
    print(table(['step', 'bytes allocated', '/ tensor'], [
        [step, n, round(n / tensor_bytes, 2)] for step, n in steps.items()]))
    print()
    print(table(['camera', 'CPU ms/frame', 'bare inference', 'bare source', 'beyond them',
                 'idle load', 'frame to end ms', 'p95', 'emulated mJ/frame'],
                [cameras.cells(r) for r in ways]))
    publish(args.json, common.record(args, scene, {
        'nodes': nodes, 'steps_bytes': steps, 'tensor_bytes': tensor_bytes, 'cameras': ways}),
        goals(ways))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
