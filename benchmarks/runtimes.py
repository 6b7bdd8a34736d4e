"""Time the runtimes against each other on the same int8 files, per cut, in one run.

    python benchmarks/runtimes.py --model aerial --cuts block2_pool,block4_pool,predictions
    python benchmarks/runtimes.py --model vgg16 --weights seed:0 --rounds 15 --json out.json

A round runs every alternative once, in turns, so that all meet the same disturbances. The times
are the least of all rounds; the medians stand in the JSON file. Every alternative copies the image
in and gives a result that may be kept, as `set_tensor`, `invoke` and `get_tensor` do.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from goals import Goal, publish

from offload_perception.errors import OffloadError
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.agree import Difference, difference
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.edgetpu_plan import EdgeTpuPlan, SegmentLoad
from offload_perception.runtime.edgetpu_process import EdgeTpuProcess
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.merge import Merger
from offload_perception.runtime.openvino import OpenVinoRunner
from offload_perception.runtime.runner import Runner
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.runtime.select import Choice, cpu_choice, resolve
from offload_perception.runtime.steps import known_before
from offload_perception.runtime.tflite import TfliteRunner
from offload_perception.tensor import Tensors

DEFAULT, CHAIN = 'default', 'chain of segments'


def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    try:
        artefact = prepare(args.model, args.weights, progress=_progress)
        report = measure(artefact, args)
    except OffloadError as e:
        print(f'error: {e}', file=sys.stderr)
        return 2
    print_report(report)
    publish(args.json, report, goals(report))
    return 0


def goals(report: dict[str, Any]) -> list[Goal]:
    """Return no goals: the benchmark compares runtimes."""
    return []


def measure(artefact: Artefact, args: argparse.Namespace) -> dict[str, Any]:
    threads = [int(n) for n in args.threads.split(',')]
    runtimes = [r for r in RUNTIMES if _is_installed(r)]
    image = np.random.default_rng(0).integers(0, 256, artefact.input.shape, np.uint8)
    rows = []
    for cut in [artefact.cut(name) for name in args.cuts.split(',')] if args.cuts else range(
            1, artefact.last + 1):
        _progress(f'head to {artefact.cut_names[cut]}')
        rows.append(measure_range(artefact, 1, cut, (image,), runtimes, threads, args.rounds))
    _progress('tail of dense layers')
    dense = next((k.index for k in artefact.layers if k.kind == 'fc'), artefact.last)
    rows.append(measure_range(artefact, dense, artefact.last,
                              _reference(artefact, 1, dense - 1, (image,)), runtimes, threads,
                              args.rounds))
    peak = max(row['gops'] for row in rows if row['gops'])
    for row in rows:
        row['share_of_peak'] = row['gops'] / peak
    return {'model': artefact.name, 'weights': artefact.weights, 'rounds': args.rounds,
            'peak_gops': peak, 'rows': rows, 'python_overhead_ms': python_overhead(artefact),
            'process_hop_ms': process_hop(artefact, image)}


def measure_range(artefact: Artefact, first: int, last: int, xs: Tensors, runtimes: list[str],
                  threads: list[int], rounds: int) -> dict[str, Any]:
    """Race merged files of one range on every runtime, a chain of segments, and the default."""
    runs: dict[str, Callable[[], Tensors]] = {}
    takes, gives = artefact.ends(first, last)
    known = known_before(artefact, first - 1, xs)
    taken = tuple(known[i] for i in takes)
    with Merger(artefact).file(first, last) as file:
        for runtime in runtimes:
            for n in threads:
                runner = load_cpu(runtime, file, *artefact.end_specs(first, last), threads=n)
                runs[f'{runtime} {n}'] = partial(_run, runner, taken)
    chain = Chain(artefact, Choice('cpu', runtimes[0], ''), max(threads), merge=False)
    default = Chain(artefact, resolve('cpu'), max(threads))
    assert default._merged
    default._merged.settle(first, last)
    runs[CHAIN] = lambda: _made(artefact, last, gives, chain.run(first, last, xs))
    runs[DEFAULT] = lambda: _made(artefact, last, gives, default.run(first, last, xs))
    expected = runs[f'{runtimes[0]} {threads[0]}']()
    differs = {name: _largest(run(), expected) for name, run in runs.items()}
    times = interleave(runs, rounds)
    default.run(first, last, xs)
    row = _row(artefact, first, last, times, differs, default.left_out)
    row['default_ran'] = default.ran
    chain.close()
    default.close()
    return row


def _run(runner: Runner, xs: Tensors) -> Tensors:
    return tuple(y.copy() for y in runner.run(xs))


def _made(artefact: Artefact, last: int, gives: tuple[int, ...], ys: Tensors) -> Tensors:
    """Return those of the tensors at cut `last` that the layers made."""
    at = artefact.boundary(last)
    return tuple(ys[at.index(i)] for i in gives)


def _largest(ys: Tensors, expected: Tensors) -> Difference:
    return max(map(difference, ys, expected), key=lambda d: (d.quanta, d.share))


def interleave(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every run; a first round, not counted, warms up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for done in range(rounds + 1):
        for name, run in runs.items():
            before = time.perf_counter()
            run()
            if done:
                times[name].append(time.perf_counter() - before)
    return times


def _row(artefact: Artefact, first: int, last: int, times: dict[str, list[float]],
         differs: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    least = {name: 1e3 * min(values) for name, values in times.items()}
    public = {n: ms for n, ms in least.items() if n not in (CHAIN, DEFAULT)}
    right = {n: ms for n, ms in public.items() if n.split()[0] not in left_out}
    exact = min(ms for n, ms in public.items() if not n.startswith('openvino'))
    operations = 2 * sum(layer.macs for layer in artefact.layers[first - 1:last])
    return {
        'first': artefact.cut_names[first], 'last': artefact.cut_names[last], 'ms': least,
        'median_ms': {name: 1e3 * statistics.median(v) for name, v in times.items()},
        'left_out': sorted(left_out),
        'differs': {n: [d.quanta, d.share] for n, d in differs.items() if n != CHAIN},
        'default_over_fastest': least[DEFAULT] / min(public.values()),
        'default_over_fastest_right': least[DEFAULT] / min(right.values()),
        'chain_over_merged': least[CHAIN] / exact,
        'gops': operations / min(least.values()) / 1e6}


def python_overhead(artefact: Artefact) -> dict[str, float]:
    """Return the milliseconds that a run of ours takes above the bare call of the runtime."""
    k = min(artefact.layers, key=lambda layer: layer.macs).index  # a pooling: little to compute
    xs = tuple(np.zeros(spec.shape, spec.dtype) for spec in artefact.tensors(k - 1))
    overhead = {}
    for runtime in ('litert', 'openvino'):
        if _is_installed(runtime):
            chain = Chain(artefact, cpu_choice(runtime), 1, merge=False)
            times = interleave({'ours': partial(chain.run, k, k, xs),
                                'bare': _bare(chain._runners[k - 1])}, 300)
            chain.close()
            overhead[runtime] = 1e3 * (min(times['ours']) - min(times['bare']))
    return overhead


def _bare(runner: Runner) -> Callable[[], Any]:
    bare: Callable[[], Any]
    if isinstance(runner, TfliteRunner):
        bare = runner._interpreter.invoke
    else:
        assert isinstance(runner, OpenVinoRunner)
        bare = runner._request.infer
    return bare


def process_hop(artefact: Artefact, image: np.ndarray) -> dict[str, float]:
    """Return the milliseconds per run that the Edge TPU's process adds, with a CPU inside."""
    hop = {}
    for cut in sorted({1, artefact.last}):
        takes, gives = artefact.ends(1, cut)
        specs = {**artefact.specs, artefact.image_id: artefact.pixels.spec}
        with Merger(artefact).file(1, cut) as file:
            loads = (SegmentLoad(file, takes, gives, None),)
            process = EdgeTpuProcess(EdgeTpuPlan(loads, specs, (takes, gives), 'litert', '', 1))
        x = artefact.pixels.apply(image)
        times = []
        for _ in range(200):
            before = time.perf_counter()
            inside = process.run(1, 1, (x,))[1][0]
            times.append(time.perf_counter() - before - inside)
        process.close()
        hop[artefact.cut_names[cut]] = 1e3 * statistics.median(times)
    return hop


def print_report(report: dict[str, Any]) -> None:
    print(f"{report['model']} ({report['weights']}), least of {report['rounds']} rounds in ms; "
          f"peak {report['peak_gops']:.0f} Gop/s: the best of any cut in this run")
    names = list(report['rows'][0]['ms'])
    print('layers'.ljust(28), *(n.rjust(max(10, len(n))) for n in names),
          '  /fastest  /right  chain/merged  of peak  default ran')
    for row in report['rows']:
        layers = f"{row['first']}..{row['last']}"
        print(layers.ljust(28),
              *(f"{row['ms'][n]:.3f}".rjust(max(10, len(n))) for n in names),
              f"{row['default_over_fastest']:9.2f} {row['default_over_fastest_right']:7.2f}"
              f" {row['chain_over_merged']:13.2f} {row['share_of_peak']:8.0%}"
              f"  {row['default_ran']}")
    for row in report['rows'][-2:]:
        print(f"differences at {row['last']} (quanta, share):", row['differs'])
    print('Python above the bare call, ms:', report['python_overhead_ms'])
    print('process of the Edge TPU, ms per run:', report['process_hop_ms'])


def _reference(artefact: Artefact, first: int, last: int, xs: Tensors) -> Tensors:
    chain = Chain(artefact, resolve('cpu'), merge=False)
    ys = chain.run(first, last, xs)
    chain.close()
    return ys


def _is_installed(runtime: str) -> bool:
    try:
        resolve('cpu', runtime)
    except OffloadError:
        return False
    return True


def _progress(text: str) -> None:
    print(f'... {text}', file=sys.stderr, flush=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='aerial')
    parser.add_argument('--weights', default='bundled')
    parser.add_argument('--cuts', default='', help='names or numbers with commas; all by default')
    parser.add_argument('--threads', default='1,2', help='thread counts with commas')
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--json', metavar='FILE')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
