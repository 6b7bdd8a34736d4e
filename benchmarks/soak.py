"""Flies for an hour at full rate with random faults, and looks for what grows or is not counted.

The demo flies with camera, server, emulated meter, recorder and live page. At random times a
node is stopped (SIGSTOP) for a while, the cores are kept busy, and damaged tensors and forged
replies are published. From each process every few seconds: resident memory, threads and
descriptors. From the bag: the latency of the frames that no fault touched, by the minute.

    bash scripts/run.sh python benchmarks/soak.py --minutes 60 --figures . --json result.json
"""

import argparse
import copy
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import common
import numpy as np
import psutil
import rclpy
from goals import Goal, at_most, publish
from offload_perception.msg import FeatureTensor, RemoteResult
from rclpy.context import Context

from offload_perception.bringup.dds import stay_on_this_host
from offload_perception.console import command, progress, table
from offload_perception.errors import OffloadError
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array
from offload_perception.nodes.executor import ThreadExecutor
from offload_perception.recording import BagReader

NODES = ('edge_inference', 'remote_inference', 'um25c', 'recorder', 'dashboard')
CLOSING = re.compile(r'frames: captured (\d+) = remote (\d+) \+ local (\d+) \+ dropped (\d+)')
SAMPLE_S = 5.0
SPARED_S = 3.0  # of latency after a fault
PAUSE_S = (8.0, 25.0)  # between two faults
STOP_S = (0.2, 4.0)
COUNT, LARGE = 10, 4 << 20  # of forged messages, and bytes of the largest
Fault = Callable[[], None]


class Growth:
    """Memory, threads and descriptors of the processes of the demo."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self.samples: dict[str, list[tuple[float, int, int, int]]] = defaultdict(list)
        self._processes, self._over = processes, Event()
        self._thread = Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_S):
            for name, process in self._processes.items():
                with process.oneshot():
                    self.samples[name].append((
                        time.time(), process.memory_info().rss, process.num_threads(),
                        process.num_fds()))

    def __enter__(self) -> 'Growth':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Intruder:
    """Hears tensors and replies of the flight, and publishes others."""

    def __init__(self, node: Any, chance: random.Random) -> None:
        self._chance = chance
        self._tensor: FeatureTensor | None = None
        self._reply: RemoteResult | None = None
        features, replies = '/server/features', '/drone1/remote_result'
        node.create_subscription(FeatureTensor, features, self._on_tensor, qos.features(4))
        node.create_subscription(RemoteResult, replies, self._on_reply, qos.RESULTS)
        self._tensors = node.create_publisher(FeatureTensor, features, qos.features(4))
        self._replies = node.create_publisher(RemoteResult, replies, qos.RESULTS)

    def _on_tensor(self, message: FeatureTensor) -> None:
        self._tensor = message

    def _on_reply(self, message: RemoteResult) -> None:
        self._reply = message

    def damage(self) -> None:
        """Publish tensors that were cut off, changed, repeated or blown up."""
        if (heard := self._tensor) is None:
            return
        for _ in range(COUNT):
            message = copy.deepcopy(heard)
            data = bytearray(memoryview(message.data))
            kind = self._chance.randrange(4)
            if kind == 0:
                del data[self._chance.randrange(len(data)):]
            elif kind == 1:
                data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
            elif kind == 2:
                data += bytes(LARGE)
            message.data = byte_array(bytes(data))
            self._tensors.publish(message)

    def forge(self) -> None:
        """Publish replies that repeat the last one, or are for frames to come."""
        if (heard := self._reply) is None:
            return
        for n in range(COUNT):
            message = copy.deepcopy(heard)
            if n % 2:
                message.sequence += self._chance.randint(0, 3)
                message.nonce = self._chance.getrandbits(64)
            self._replies.publish(message)


@contextmanager
def intruder(chance: random.Random) -> Iterator[Intruder]:
    """Yield an intruder in the graph."""
    context = Context()
    context.init()
    node = rclpy.create_node('intruder', context=context)
    executor = ThreadExecutor(context=context)
    executor.add_node(node)
    thread = Thread(target=executor.spin)
    thread.start()
    try:
        yield Intruder(node, chance)
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        context.shutdown()


def _stop(process: psutil.Process, seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)


def _busy(seconds: float) -> None:
    started = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(4)]
    time.sleep(seconds)
    for process in started:
        process.kill()
        process.wait()


def inject(processes: dict[str, psutil.Process], seconds: float, seed: int
           ) -> list[tuple[str, float, float]]:
    """Inject random faults for a time; return the kind, the beginning and the end of each [s]."""
    chance, done = random.Random(seed), []
    with intruder(chance) as forger:
        def faults() -> dict[str, Fault]:
            length_s = chance.uniform(*STOP_S)
            return {**{f'{name} stopped': lambda name=name: _stop(  # type: ignore[misc]
                processes[name], length_s) for name in processes},
                'four busy processes': lambda: _busy(length_s),
                'damaged tensors': forger.damage, 'forged replies': forger.forge}
        end_s = time.time() + seconds
        while (now_s := time.time()) < end_s:
            time.sleep(min(chance.uniform(*PAUSE_S), end_s - now_s))
            known = faults()
            name = chance.choice(sorted(known))
            began_s = time.time()
            known[name]()
            done.append((name, began_s, time.time()))
    return done


def fly(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fly the demo through faults; return its log and what was measured."""
    words = (f'rate:={args.rate}', 'record:=true', f'bag:={folder / "bag"}', 'dashboard:=true',
             'dashboard_port:=0', 'threads:=1', *args.arguments)
    with common.CommandInFlight('demo', *words, flies=r's \| +[1-9]') as demo:
        processes = _nodes_of(demo.process)
        progress('in flight')
        with Growth(processes) as growth:
            began_s = time.time()
            faults = inject(processes, 60.0 * args.minutes, args.seed)
            time.sleep(SPARED_S)
    return {'log': demo.log, 'code': demo.process.returncode, 'began_s': began_s,
            'faults': faults, 'samples': dict(growth.samples)}


def _nodes_of(demo: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    found = {}
    for p in psutil.Process(demo.pid).children(recursive=True):
        words = ' '.join(p.cmdline()[:3])
        found.update({name: p for name in NODES if f'{name}_node' in words})
    if missing := set(NODES) - found.keys():
        raise OffloadError(f'{", ".join(sorted(missing))} does not run')
    return found


def latencies(bag: Path, flown: dict[str, Any]) -> tuple[np.ndarray, int]:
    """Return minute and latency [s] of each frame with a result that no fault touched, (n, 2),
    and how many frames were recorded.
    """
    rows, recorded = [], 0
    spared = np.array([(begin, end + SPARED_S) for _, begin, end in flown['faults']] or [(0, 0)])
    for m in BagReader(bag):
        if m.topic.endswith('/frame_latency'):
            recorded += 1
            frame, ended_s = m.decode(), 1e-9 * m.time_ns
            began_s = ended_s - frame.total
            if not frame.reason and not np.any((ended_s >= spared[:, 0])
                                               & (began_s <= spared[:, 1])):
                rows.append(((ended_s - flown['began_s']) / 60.0, frame.total))
    return np.array(rows, float).reshape(-1, 2), recorded


def figures_of(flown: dict[str, Any], bag: Path, minutes: float) -> dict[str, Any]:
    """Return what grew, what was not accounted for, and the latency at both ends."""
    found = CLOSING.search(flown['log'])
    if found is None:
        raise OffloadError('the demo printed no closing line')
    captured, *ended = map(int, found.groups())
    times, recorded = latencies(bag, flown)
    part = max(minutes / 6.0, 0.5)  # minutes
    ends = {'first': times[times[:, 0] < part, 1],
            'last': times[times[:, 0] > minutes - part, 1]}
    medians_s = [np.median(inside) for minute in range(int(np.ceil(minutes))) if len(
        inside := times[times[:, 0].astype(int) == minute, 1])]
    growth = {}
    for name, samples in flown['samples'].items():
        at = np.array(samples, float)
        at[:, 0] = (at[:, 0] - flown['began_s']) / 60.0
        early = at[(at[:, 0] > part / 2) & (at[:, 0] <= 1.5 * part)]
        late = at[at[:, 0] > at[-1, 0] - part]
        growth[name] = {
            'early_mb': float(np.median(early[:, 1])) / 1e6,
            'late_mb': float(np.median(late[:, 1])) / 1e6,
            'threads': [int(np.median(early[:, 2])), int(np.median(late[:, 2]))],
            'descriptors': [int(np.median(early[:, 3])), int(np.median(late[:, 3]))]}
    return {
        'captured': captured, 'recorded': recorded, 'closing': found[0], 'code': flown['code'],
        'unaccounted': abs(captured - sum(ended)) + abs(captured - recorded),
        'faults': Counter(name for name, *_ in flown['faults']), 'growth': growth,
        'latency_ms': {end: {str(q): common.ms(t, q) for q in (50, 95, 99)}
                       for end, t in ends.items()},
        'noise_ms': 1e3 * float(np.std(medians_s)), 'samples': flown['samples'],
        'by_minute_ms': [1e3 * float(m) for m in medians_s]}


def draw(result: dict[str, Any], began_s: float, folder: Path) -> None:
    """Draw memory and latency over the flight."""
    from matplotlib import pyplot as plt

    figure, (memory, latency) = plt.subplots(2, 1, sharex=True, figsize=(8, 6))
    for name, samples in result['samples'].items():
        at = np.array(samples, float)
        memory.plot((at[:, 0] - began_s) / 60.0, at[:, 1] / 1e6, label=name)
    memory.set_ylabel('resident memory [MB]')
    memory.set_ylim(bottom=0.0)
    memory.legend(fontsize='small')
    latency.plot(np.arange(len(result['by_minute_ms'])) + 0.5, result['by_minute_ms'], '.-')
    latency.set_ylabel('median latency [ms]')
    latency.set_xlabel('minute')
    latency.set_ylim(bottom=0.0)
    figure.tight_layout()
    figure.savefig(folder / 'soak.png', dpi=120)


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what has to hold: nothing grows, nothing is lost, the end is as fast as the start."""
    first, last = (result['latency_ms'][end]['50'] for end in ('first', 'last'))
    return [
        at_most('frames not accounted for', result['unaccounted'], 0.0),
        *(at_most(f'{name}: memory at the end by that after warm-up',
                  g['late_mb'] / g['early_mb'], 1.05) for name, g in result['growth'].items()),
        *(at_most(f'{name}: {what} more', g[what][1] - g[what][0], 0.0)
          for name, g in result['growth'].items() for what in ('threads', 'descriptors')),
        at_most('median latency at the end less that at the start', last - first,
                max(2.0 * result['noise_ms'], 0.05), 'ms')]


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Fly, print."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('arguments', nargs='*', metavar='NAME:=VALUE', help='of the demo')
    p.add_argument('--minutes', type=float, default=60.0)
    p.add_argument('--rate', type=float, default=30.0, help='of the camera [Hz]')
    p.add_argument('--seed', type=int, default=0, help='of the faults')
    p.add_argument('--figures', type=Path, metavar='FOLDER')
    p.add_argument('--json', type=Path)
    args = p.parse_args(argv)
    stay_on_this_host()
    with TemporaryDirectory() as folder:
        flown = fly(args, Path(folder))
        try:
            result = figures_of(flown, Path(folder) / 'bag', args.minutes)
        except OffloadError:
            print(flown['log'][-5000:], file=sys.stderr)
            raise
    print(table(('process', 'MB after warm-up', 'MB at the end', 'threads', 'descriptors'), [
        (name, f'{g["early_mb"]:.1f}', f'{g["late_mb"]:.1f}',
         ' to '.join(map(str, g['threads'])), ' to '.join(map(str, g['descriptors'])))
        for name, g in result['growth'].items()]))
    print()
    print(table(('frames at the', 'p50 ms', 'p95 ms', 'p99 ms'), [
        (end, *ms.values()) for end, ms in result['latency_ms'].items()]))
    print(f'\n{result["closing"]}; {result["recorded"]} recorded; the demo ended with code '
          f'{result["code"]}. Faults: ' + ', '.join(
              f'{name} {n}' for name, n in sorted(result['faults'].items())))
    if args.figures:
        draw(result, flown['began_s'], args.figures)
    publish(args.json, {'machine': common.machine(), 'arguments': {
        **vars(args), 'json': '', 'figures': ''}, 'results': result}, goals(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
