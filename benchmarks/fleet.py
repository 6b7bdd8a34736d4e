"""Fleet: batches of tails, and a server's schedule against serving in order.

Batches and memory are measured: the server's pipeline runs in this process, without the
middleware. Schedules are compared in simulated time, where nothing else disturbs one and not the
other, with the times of decoding and tails measured before; at some loads the server is measured
beside its simulation, for the same arrivals. All loads are open loops with the same seeds for
every rival. Rivals serve in order of arrival, one by one, as the server did before it had a
schedule, and in the same batches as ours; both give up what has passed its deadline. Capacity is
that of full batches: measured for what is measured, by the times of their parts in the simulation.

    bash scripts/run.sh python benchmarks/fleet.py --model vgg16 --weights seed:0
"""

import argparse
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np
import psutil
from goals import Goal, at_least, at_most, publish

from offload_perception.console import command, progress, table
from offload_perception.frames import Status
from offload_perception.load_test.in_process import drive, drone_names
from offload_perception.load_test.load_plan import Arrival, LoadPlan
from offload_perception.load_test.tally import Answer, LoadReport, Tally
from offload_perception.load_test.tensors import Tensors
from offload_perception.network.artefact import Artefact
from offload_perception.network.batch_sizes import MOST, batch_sizes
from offload_perception.network.interpret import interpret
from offload_perception.network.runnable import ServedNetwork
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.keras_tail import KerasTail
from offload_perception.runtime.merge import Merger
from offload_perception.runtime.open_network import open_network
from offload_perception.runtime.race import race
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.serving.check_packet import decode_packet
from offload_perception.serving.schedule import Refusal, Schedule, Waiting
from offload_perception.serving.server_pipeline import ServerSettings
from offload_perception.serving.tail_pipeline import TailPipeline
from offload_perception.simulation.simulated_server import Answered, Clock, Refused, Server
from offload_perception.simulation.simulated_world import TAIL_NOISE, Tails

DRONES = 16
LAYERS = 7  # the last ones that multiply
LOADS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2, 1.6, 2.0)
FORECAST_TO = 0.9  # of capacity
FLOOD, FLOOD_LOAD = 10.0, 0.5  # ten times its share; load of all without the flood
MEMORY_TENSORS = 100_000
MEASURED = 'measured'
SEEDS = (1, 2, 3, 4, 5)
BATCHES_LONG = (1.5, 3.0, 6.0)  # deadlines, in full batches
BESIDE = (0.4, 0.6, 0.8, 0.9)  # loads that are measured, too
COMPARED = ('in_time', 'goodput', 'mean_wait_s', 'wait_error_s', 'mean_batch')


class InOrder(Schedule[Any]):
    """Serves in order of arrival, in full batches; what is late is given up if others wait."""

    def offer(self, tensor: Waiting[Any], now_s: float) -> list[Refusal[Any]]:
        """Refuse only if the queue is full."""
        ahead_s = sum(self._times.batch_s([t.cut]) for t in self._queue) / self._times.most
        tensor.expected_wait_s = max(self._free_s - now_s, 0.0) + ahead_s
        if len(self._queue) >= self._limit:
            return [Refusal(tensor, Status.BUSY, 'full')]
        self._queue.append(tensor)
        return []

    def take(self, now_s: float) -> tuple[list[Waiting[Any]], list[Refusal[Any]]]:
        """Take from the front."""
        late: list[Refusal[Any]] = []
        batch: list[Waiting[Any]] = []
        while self._queue and len(batch) < self._times.most:
            tensor = self._queue.pop(0)
            if tensor.due_s < now_s and self._queue:
                late.append(Refusal(tensor, Status.LATE, 'late'))
            else:
                batch.append(tensor)
        self._free_s = now_s + self._times.batch_s(t.cut for t in batch)
        return batch, late


RIVALS: dict[str, tuple[type[Schedule[Any]], int]] = {
    'ours': (Schedule, MOST), 'in order, one by one': (InOrder, 1),
    'in order, in batches': (InOrder, MOST)}


class Bench:
    """One network, its tensors, and loads on a pipeline of it."""

    def __init__(self, network: ServedNetwork, tensors: Tensors, args: argparse.Namespace) -> None:
        self.network, self.tensors, self.args = network, tensors, args

    def load(self, plan: LoadPlan, *, batch: int = 0,
             schedule: type[Schedule[Any]] = Schedule) -> LoadReport:
        """Return how the server copes with a load."""
        gc.collect()
        return drive(plan, self.tensors, lambda reply: TailPipeline(
            network=self.network, reply=reply, schedule=schedule,
            settings=ServerSettings('/server', batch=batch)))

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


def layers(artefact: Artefact, threads: int) -> dict[str, tuple[float, float]]:
    """Return the seconds of the last layers for 1 frame and for a full batch, on LiteRT."""
    found: dict[str, tuple[float, float]] = {}
    merger, rng = Merger(artefact, open_batch=True), np.random.default_rng(0)
    load = RUNTIMES['litert'].load_batch
    assert load is not None
    for layer in [x for x in artefact.layers if x.macs][-LAYERS:]:
        with merger.file(layer.index, layer.index) as file:
            runner = load(file, threads=threads)
        specs = artefact.end_specs(layer.index, layer.index)[0]
        xs = [tuple(rng.integers(-128, 128, (n, *s.shape), np.int8) for s in specs)
              for n in (1, MOST)]
        seconds = race({n: partial(runner.run, x) for n, x in enumerate(xs)}, rounds=8)
        runner.close()
        found[layer.name] = seconds[0], seconds[1]
    return found


def batches(bench: Bench, cut: int) -> dict[int, float]:
    """Return the throughput by the largest batch, the mean of two turns."""
    sizes = batch_sizes(MOST)
    turns = [{n: bench.throughput(cut, n) for n in order} for order in (sizes, sizes[::-1])]
    return {n: float(np.mean([turn[n] for turn in turns])) for n in sizes}


def simulated(tails: Tails, plan: LoadPlan, schedule: type[Schedule[Any]],
              batch: int) -> LoadReport:
    """Return how a schedule copes with a load in simulated time."""
    clock, arrivals, names = Clock(), plan.arrivals(), drone_names(plan.drones)
    noise = np.exp(np.random.default_rng(plan.seed).normal(0.0, TAIL_NOISE, len(arrivals)))
    tally = Tally(arrivals, names)
    together_s = {n: s for n, s in tails.together_s.items() if n <= batch}
    server = Server('/server', replace(tails, together_s=together_s), clock, schedule=schedule)

    def send(arrival: Arrival) -> None:
        def on_answer(answer: Answered | Refused) -> None:
            latency_s = clock.now_s - arrival.at_s
            tally.add(arrival.number, Answer(
                Status.OK, latency_s, answer.wait_s, answer.expected_wait_s, answer.batch)
                if isinstance(answer, Answered) else Answer(Status.BUSY, latency_s))
        server.take(names[arrival.drone], arrival.cut, arrival.deadline_s or inf,
                    float(noise[arrival.number - 1]), on_answer)

    for arrival in arrivals:
        clock.schedule(arrival.at_s, partial(send, arrival))
    clock.run(plan.seconds + 60.0)
    return tally.report(plan.seconds)


def measured_tails(bench: Bench, cuts: tuple[int, ...]) -> Tails:
    """Return the times of tails on this machine, each alone; reading outputs is in decoding."""
    network, artefact = bench.network, bench.network.artefact
    packets = {cut: bench.tensors.packet(Arrival(1, 0.0, 0, cut, 0.0), '', None) for cut in cuts}
    decoded = {cut: decode_packet(p, artefact) for cut, p in packets.items()}
    decode_s = race({cut: partial(decode_packet, p, artefact) for cut, p in packets.items()})
    join_s = race({cut: partial(network.to_join, cut, xs) for cut, xs in decoded.items()})
    outputs = network.together([network.join],
                               [network.to_join(cuts[0], decoded[cuts[0]])])[0]
    read_s = race({0: partial(interpret, outputs, artefact, top_k=5, min_score=0.0)})[0]
    alone_s = np.full(artefact.last, network.together_s[1])
    for cut in cuts:
        alone_s[cut] += join_s[cut]
    return Tails(alone_s, float(np.mean(list(decode_s.values()))) + read_s, network.join,
                 network.together_s)


def capacity_of(tails: Tails) -> float:
    """Return the tensors a second in full batches, by the times of their parts."""
    return MOST / (MOST * tails.decode_s + tails.together_s[MOST])


def loads(tails: Tails, cuts: tuple[int, ...], seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Return each rival's means over the seeds at each load, in simulated time."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in RIVALS}
    for load in LOADS:
        for name, (schedule, batch) in RIVALS.items():
            plans = [plan_of(capacity_of(tails), cuts, load, seconds, seed) for seed in SEEDS]
            reports = [simulated(tails, plan, schedule, batch) for plan in plans]
            found[name].append({'load': load, **mean(reports)})
    return found


def mean(reports: Sequence[LoadReport]) -> dict[str, float]:
    """Return the means of what is compared."""
    return {name: float(np.mean([getattr(r, name) for r in reports])) for name in COMPARED} | {
        p: float(np.mean([r.latency_s[p] for r in reports])) for p in reports[0].latency_s}


def plan_of(capacity: float, cuts: tuple[int, ...], load: float, seconds: float,
            seed: int) -> LoadPlan:
    """Return the load, a share of the capacity; deadlines are some full batches long."""
    deadlines_s = tuple(round(k * MOST / capacity, 4) for k in BATCHES_LONG)
    return LoadPlan(DRONES, load * capacity, seconds, cuts, deadlines_s, seed=seed)


def side_by_side(bench: Bench, tails: Tails, cuts: tuple[int, ...],
                 capacity: float) -> list[dict[str, Any]]:
    """Return the server's figures, measured and simulated, for the same arrivals.

    :param capacity: of the server as measured, all of its work included [1/s].
    """
    rows = []
    for load in BESIDE:
        progress(f'load {load:g}, measured')
        plan = plan_of(capacity, cuts, load, bench.args.seconds, seed=SEEDS[0])
        rows += [{'load': load, 'server': MEASURED, **mean([bench.load(plan)])},
                 {'load': load, 'server': 'simulated', **mean([simulated(
                     tails, plan, Schedule, MOST)])}]
    return rows


def flood(tails: Tails, cut: int, seconds: float) -> dict[str, Any]:
    """Return the share in time of the drones beside one that floods, and without it."""
    shares: dict[float, float] = {}
    for times in (1.0, FLOOD):
        drones = [d for seed in SEEDS for d in list(simulated(tails, replace(
            plan_of(capacity_of(tails), (cut,), FLOOD_LOAD, seconds, seed), flood=times), Schedule,
            MOST).drones.values())[1:]]
        shares[times] = float(np.average([d.in_time for d in drones],
                                         weights=[d.sent for d in drones]))
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
    cuts = (cut - 1, cut, cut + 1)
    tensors = Tensors(network, cuts)
    for used in cuts:
        network.prepare(used)  # what is merged during a load would disturb
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


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goals that were reached and those that were not."""
    grown = result['memory']
    return [*_of_batches(result['throughput']), *_of_the_schedule(result['loads']),
            *_of_forecasts(result['beside']),
            at_most(f'deadlines that {FLOOD:g} times its share of one drone costs the others',
                    result['flood']['points'], 2.0, 'points'),
            at_most(f'growth of memory over {grown["tensors"]} tensors', 100 * grown['growth'],
                    5.0, '%')]


def _of_batches(found: dict[str, dict[int, float]]) -> Iterator[Goal]:
    for backend, rates in found.items():
        values = list(rates.values())
        yield at_least(f'{backend}: frames a second in batches of {MOST} over one by one',
                       rates[MOST] / rates[1], 3.0, 'times')
        yield at_least(f'{backend}: least step from one batch size to the next',
                       min(b / a for a, b in pairwise(values)), 0.97, 'times')


def _of_the_schedule(found: dict[str, list[dict[str, Any]]]) -> Iterator[Goal]:
    ours = {r['load']: r for r in found['ours']}
    for name in list(RIVALS)[1:]:
        gain = {r['load']: 100 * (ours[r['load']]['in_time'] - r['in_time']) for r in found[name]}
        yield at_least(f'deadlines kept, least gain on "{name}" below a load of 0.8',
                       min(g for load, g in gain.items() if load < 0.8), 0.0, 'points')
        yield at_least(f'deadlines kept, least gain on "{name}" from 0.8 on',
                       min(g for load, g in gain.items() if load >= 0.8), 0.01, 'points')
    yield at_least('results in time at twice the capacity over those at capacity',
                   ours[2.0]['goodput'] / ours[1.0]['goodput'], 0.9, 'times')


def _of_forecasts(beside: list[dict[str, Any]]) -> Iterator[Goal]:
    for r in beside:
        if r['server'] == MEASURED and r['load'] <= FORECAST_TO:
            yield at_most(f'expected wait, mean error at load {r["load"]:g}, measured',
                          100 * r['wait_error_s'] / r['mean_wait_s'], 15.0, '% of the mean')


def show(rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Print figures at loads as a table."""
    print('\n' + table(
        ('load', 'server', 'in time [%]', 'in time [1/s]', 'p50 [ms]', 'p90 [ms]', 'p99 [ms]',
         'wait [ms]', 'error of its forecast [ms]', 'batch'), [
            (f'{r["load"]:g}', name, f'{100 * r["in_time"]:.1f}', f'{r["goodput"]:.0f}',
             *(f'{1e3 * r[k]:.1f}' for k in ('p50', 'p90', 'p99', 'mean_wait_s', 'wait_error_s')),
             f'{r["mean_batch"]:.1f}') for name, r in rows]))


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
        times = layers(bench.network.artefact, args.threads)
        rates['int8'] = batches(bench, join)
        cuts = (join - 1, join)  # later ones would take less than the simulator assumes
        tails = measured_tails(bench, cuts)
        beside = side_by_side(bench, tails, cuts, rates['int8'][MOST])
    found = loads(tails, cuts, args.seconds)
    flooded = flood(tails, join, args.seconds)
    print('\n' + table(('tails', *map(str, batch_sizes(MOST))), [
        (name, *(f'{rate:.1f}' for rate in by_size.values())) for name, by_size in rates.items()]))
    print('\n' + table(('layer', '1 frame [ms]', f'{MOST} frames [ms]', 'frames/s, times'), [
        (name, f'{1e3 * one:.2f}', f'{1e3 * many:.2f}', f'{MOST * one / many:.2f}')
        for name, (one, many) in times.items()]))
    show([(r['server'], r) for r in beside])
    show([(name, found[name][k]) for k in range(len(LOADS)) for name in RIVALS])
    args.model, args.weights = args.memory_model, 'bundled'
    with opened(args, 'int8') as bench:
        join = bench.network.join
        grown = memory(bench, (join, join + 1), bench.throughput(join, MOST))
    result = {'threads': args.threads, 'layers': times, 'throughput': rates,
              'together_s': tails.together_s, 'decode_s': tails.decode_s, 'beside': beside,
              'loads': found, 'flood': flooded, 'memory': grown}
    publish(args.json, result, goals(result))
    return 0


if __name__ == '__main__':
    main()
