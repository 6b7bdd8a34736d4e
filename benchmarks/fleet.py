"""Fleet: a server's scheduling under the tensors of many drones, against serving in order.

The pipeline of the server runs in this process, without the middleware, so that what is compared
is scheduling and batching. All loads are open loops with the same seeds for every rival. Rivals
serve in order of arrival: one by one, as the server did before it had a schedule, and in the same
batches as ours; both give up what has passed its deadline. Capacity is the rate of results of
our server while far more is sent.

    bash scripts/run.sh python benchmarks/fleet.py --model vgg16 --weights seed:0
"""

import argparse
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import psutil
from goals import Goal, at_least, at_most, publish

from offload_perception.console import command, progress, table
from offload_perception.frames import FeaturePacket, Status
from offload_perception.load_test.in_process import drive
from offload_perception.load_test.load_plan import LoadPlan
from offload_perception.load_test.tally import LoadReport
from offload_perception.load_test.tensors import Tensors
from offload_perception.network.batch_sizes import MOST, batch_sizes
from offload_perception.network.runnable import ServedNetwork
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.keras_tail import KerasTail
from offload_perception.runtime.open_network import open_network
from offload_perception.serving.schedule import Refusal, Schedule, Waiting
from offload_perception.serving.server_pipeline import ServerSettings
from offload_perception.serving.tail_pipeline import TailPipeline

DRONES = 16
LOADS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2, 1.6, 2.0)
FORECAST_TO = 0.9  # of capacity
FLOOD, FLOOD_LOAD = 10.0, 0.5  # ten times its share; load of all without the flood
MEMORY_TENSORS = 100_000


class InOrder(Schedule[FeaturePacket]):
    """Serves in order of arrival, in full batches; what is late is given up if others wait."""

    def offer(self, tensor: Waiting[FeaturePacket],
              now_s: float) -> list[Refusal[FeaturePacket]]:
        """Refuse only if the queue is full."""
        ahead_s = sum(self._times.batch_s([t.cut]) for t in self._queue) / self._times.most
        tensor.expected_wait_s = max(self._free_s - now_s, 0.0) + ahead_s
        if len(self._queue) >= self._limit:
            return [Refusal(tensor, Status.BUSY, 'full')]
        self._queue.append(tensor)
        return []

    def take(self, now_s: float) -> tuple[list[Waiting[FeaturePacket]],
                                          list[Refusal[FeaturePacket]]]:
        """Take from the front."""
        late: list[Refusal[FeaturePacket]] = []
        batch: list[Waiting[FeaturePacket]] = []
        while self._queue and len(batch) < self._times.most:
            tensor = self._queue.pop(0)
            if tensor.due_s < now_s and self._queue:
                late.append(Refusal(tensor, Status.LATE, 'late'))
            else:
                batch.append(tensor)
        self._free_s = now_s + self._times.batch_s(t.cut for t in batch)
        return batch, late


RIVALS: dict[str, tuple[type[Schedule[FeaturePacket]], int]] = {
    'ours': (Schedule, 0), 'in order, one by one': (InOrder, 1),
    'in order, in batches': (InOrder, 0)}


class Bench:
    """One network, its tensors, and loads on a pipeline of it."""

    def __init__(self, network: ServedNetwork, tensors: Tensors, args: argparse.Namespace) -> None:
        self.network, self.tensors, self.args = network, tensors, args

    def load(self, plan: LoadPlan, *, batch: int = 0,
             schedule: type[Schedule[FeaturePacket]] = Schedule, limit: int = 64) -> LoadReport:
        """Return how the server copes with a load."""
        gc.collect()
        return drive(plan, self.tensors, lambda reply: TailPipeline(
            network=self.network, reply=reply, schedule=schedule,
            settings=ServerSettings('/server', batch=batch, queue_limit=limit)))

    def throughput(self, cut: int, batch: int) -> float:
        """Return the results a second of tensors without deadlines while the queue is full."""
        once = self.load(LoadPlan(DRONES, 50.0, 1.0, (cut,), (0.0,)), batch=batch)
        rate = max(4.0 * once.throughput, 40.0)
        for _ in range(4):  # until far more is sent than is computed
            report = self.load(LoadPlan(DRONES, rate, self.args.seconds, (cut,), (0.0,), seed=1),
                               batch=batch)
            if report.answers.get('busy', 0) > 0.3 * report.sent:
                break
            rate *= 3.0
        return report.throughput


def batches(bench: Bench, cut: int) -> dict[int, float]:
    """Return the throughput by the largest batch, the mean of two turns."""
    sizes = batch_sizes(MOST)
    turns = [{n: bench.throughput(cut, n) for n in order} for order in (sizes, sizes[::-1])]
    return {n: float(np.mean([turn[n] for turn in turns])) for n in sizes}


def loads(bench: Bench, cuts: tuple[int, ...], capacity: float) -> dict[str, list[dict[str, Any]]]:
    """Return each rival's report at each load."""
    tail_s = bench.network.together_s.get(MOST, 1.0 / capacity)
    deadlines_s = tuple(round(k * tail_s, 4) for k in (2.5, 4.0, 8.0))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in RIVALS}
    for load in LOADS:
        for name, (schedule, batch) in RIVALS.items():
            progress(f'load {load:g}, {name}')
            plan = LoadPlan(DRONES, load * capacity, bench.args.seconds, cuts, deadlines_s, seed=2)
            report = bench.load(plan, schedule=schedule, batch=batch)
            found[name].append({'load': load, **report.to_dict()})
    return found


def flood(bench: Bench, cut: int, capacity: float) -> dict[str, Any]:
    """Return the share in time of the drones beside one that floods, and without it."""
    deadline_s = 4.0 * bench.network.together_s.get(MOST, 1.0 / capacity)
    shares: dict[float, float] = {}
    for times in (1.0, FLOOD):
        progress(f'a drone that sends {times:g} times its share')
        plan = LoadPlan(DRONES, FLOOD_LOAD * capacity, 2 * bench.args.seconds, (cut,),
                        (deadline_s,), seed=3, flood=times)
        drones = list(bench.load(plan).drones.values())
        shares[times] = float(np.average([d.in_time for d in drones[1:]],
                                         weights=[d.sent for d in drones[1:]]))
    return {'alone': shares[1.0], 'flooded': shares[FLOOD],
            'points': 100 * (shares[1.0] - shares[FLOOD])}


def memory(bench: Bench, cuts: tuple[int, ...], capacity: float) -> dict[str, Any]:
    """Return the growth of resident memory over many tensors, after a tenth of them."""
    process, rate = psutil.Process(), 1.5 * capacity
    tensors = bench.args.tensors
    plans = [LoadPlan(DRONES, rate, tensors / 10 / rate, cuts, (0.05, 0.5), seed=seed)
             for seed in range(10)]
    rss: list[int] = []
    for number, plan in enumerate(plans, 1):
        progress(f'memory: {number} of 10, {tensors // 10} tensors each')
        bench.load(plan)
        gc.collect()
        rss.append(process.memory_info().rss)
    return {'tensors': tensors, 'rss': rss, 'growth': rss[-1] / rss[0] - 1.0}


@contextmanager
def opened(args: argparse.Namespace, backend: str) -> Iterator[Bench]:
    """Yield the network with int8 or float32 tails."""
    artefact = prepare(args.model, args.weights, progress=progress)
    network = open_network(artefact, 'cpu', threads=args.threads)
    cut = artefact.cut('block5_pool')
    tensors = Tensors(network, (cut, cut + 1, cut + 2))
    tails: Any
    if backend == 'float32':
        tails = KerasTail(artefact)
        tails.measure()
    else:
        tails = BatchedTails(network, threads=args.threads, min_gain=0.0)
        print(f'{artefact.name}, {backend}: {tails.finding}', flush=True)
    try:
        yield Bench(tails, tensors, args)
    finally:
        tails.close()
        network.close()


def throughput_goals(found: dict[str, dict[int, float]]) -> Iterator[Goal]:
    """Yield the goals of batches."""
    for backend, rates in found.items():
        values = list(rates.values())
        yield at_least(f'{backend}: frames a second in batches of {MOST} over one by one',
                       rates[MOST] / rates[1], 3.0, 'times')
        yield at_least(f'{backend}: least step from one batch size to the next',
                       min(b / a for a, b in pairwise(values)), 0.97, 'times')


def schedule_goals(found: dict[str, list[dict[str, Any]]]) -> Iterator[Goal]:
    """Yield the goals of the schedule."""
    ours = {r['load']: r for r in found['ours']}
    for name in list(RIVALS)[1:]:
        gain = {r['load']: 100 * (ours[r['load']]['in_time'] - r['in_time']) for r in found[name]}
        yield at_least(f'deadlines kept, least gain on "{name}" below a load of 0.8',
                       min(g for load, g in gain.items() if load < 0.8), 0.0, 'points')
        yield at_least(f'deadlines kept, least gain on "{name}" from 0.8 on',
                       min(g for load, g in gain.items() if load >= 0.8), 0.01, 'points')
    yield at_least('results in time at twice the capacity over those at capacity',
                   ours[2.0]['goodput'] / ours[1.0]['goodput'], 0.9, 'times')
    for load, r in ours.items():
        if load <= FORECAST_TO:
            yield at_most(f'expected wait, mean error at load {load:g}',
                          100 * r['wait_error_s'] / r['mean_wait_s'], 15.0, '% of the mean')


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print the loads as a table."""
    rows = []
    for k, load in enumerate(LOADS):
        for name in RIVALS:
            r = found[name][k]
            rows.append((f'{load:g}', name, f'{100 * r["in_time"]:.1f}', f'{r["goodput"]:.0f}',
                         *(f'{1e3 * s:.0f}' for s in r['latency_s'].values()),
                         f'{1e3 * r["mean_wait_s"]:.1f}', f'{1e3 * r["wait_error_s"]:.1f}',
                         f'{r["mean_batch"]:.1f}'))
    print('\n' + table(('load', 'server', 'in time [%]', 'in time [1/s]', 'p50 [ms]', 'p90 [ms]',
                        'p99 [ms]', 'wait [ms]', 'error [ms]', 'batch'), rows))


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print tables and goals."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', default='vgg16')
    parser.add_argument('--weights', default='seed:0')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--seconds', type=float, default=6.0, help='of each load (default: 6)')
    parser.add_argument('--tensors', type=int, default=MEMORY_TENSORS, help='for memory')
    parser.add_argument('--memory-model', default='aerial', help='a fast one (default: aerial)')
    parser.add_argument('--json', metavar='FILE')
    args = parser.parse_args(argv)
    rates: dict[str, dict[int, float]] = {}
    with opened(args, 'float32') as bench:
        rates['float32'] = batches(bench, bench.network.join)
    with opened(args, 'int8') as bench:
        join = bench.network.join
        rates['int8'] = batches(bench, join)
        capacity = rates['int8'][MOST]
        cuts = (join, join + 1, join + 2)
        found = loads(bench, cuts, capacity)
        flooded = flood(bench, join, capacity)
    print('\n' + table(('tails', *map(str, batch_sizes(MOST))), [
        (name, *(f'{rate:.1f}' for rate in by_size.values())) for name, by_size in rates.items()]))
    show(found)
    args.model, args.weights = args.memory_model, 'bundled'
    with opened(args, 'int8') as bench:
        join = bench.network.join
        grown = memory(bench, (join, join + 1), bench.throughput(join, MOST))
    goals = [*throughput_goals(rates), *schedule_goals(found),
             at_most(f'deadlines that {FLOOD:g} times its share of one drone costs the others',
                     flooded['points'], 2.0, 'points'),
             at_most(f'growth of memory over {args.tensors} tensors', 100 * grown['growth'], 5.0,
                     '%')]
    publish(args.json, {'threads': args.threads, 'throughput': rates, 'capacity': capacity,
                        'loads': found, 'flood': flooded, 'memory': grown}, goals)
    return 0


if __name__ == '__main__':
    main()
