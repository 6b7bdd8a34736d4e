import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from unit.runtime.tiny_model import image
from waits import WAIT_S

from offload_perception.network.artefact import Artefact
from offload_perception.runtime import merged
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.merge import Merger, split_at_dense
from offload_perception.runtime.race import race
from offload_perception.runtime.select import Choice

CHOICE = Choice('cpu', 'litert', '', rivals=('litert',))


@pytest.fixture
def merging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let merged files always win the race, however busy the machine is."""
    monkeypatch.setattr(merged, 'race', lambda runs, **_: {key: 1.0 + (key == merged.SEGMENTS)
                                                      for key in runs})


@pytest.mark.parametrize(('layers', 'expected'), [
    ((1, 6), [(1, 4), (5, 6)]), ((2, 3), [(2, 3)]), ((5, 6), [(5, 6)]), ((6, 6), [(6, 6)]),
    ((4, 5), [(4, 4), (5, 5)])])
def test_parts_end_where_the_dense_layers_begin(tiny: Artefact, layers: tuple[int, int],
                                                expected: list[tuple[int, int]]) -> None:
    assert split_at_dense(tiny, *layers) == expected


@pytest.mark.parametrize('layers', [(1, 1), (1, 4), (2, 5), (5, 6), (1, 6)])
def test_merged_file_equals_its_segments(tiny: Artefact, layers: tuple[int, int]) -> None:
    first, last = layers
    chain = Chain(tiny, Choice('cpu', 'litert', ''), merge=False)
    xs = chain.head(first - 1, image())
    with Merger(tiny).file(first, last) as file:
        runner = load_cpu('litert', file, *tiny.end_specs(first, last), threads=1)
    assert np.array_equal(runner.run(xs), chain.run(first, last, xs))
    assert file.exists() == (layers in [(1, 1), (1, 6)])  # files of the artefact stay
    chain.close()


def test_merged_parts_take_over(tiny: Artefact, merging: None) -> None:
    chain = Chain(tiny, CHOICE)
    chain.prepare(6)
    scores = chain.head(6, image())
    assert [(t.first, t.last) for t in chain.times] == [(1, 4), (5, 6)]
    plain = Chain(tiny, CHOICE, merge=False)
    assert np.array_equal(scores, plain.head(6, image()))
    chain.close()
    plain.close()


def test_segments_serve_where_merging_gains_nothing(tiny: Artefact,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, 'race', lambda runs, **_: dict.fromkeys(runs, 1.0))
    chain = Chain(tiny, CHOICE)
    chain.prepare(4)
    chain.head(4, image())
    assert len(chain.times) == 4
    assert chain.describe().count('segments, 1000.00 ms') == 2
    chain.close()


def test_use_alone_gets_a_range_merged(tiny: Artefact, merging: None) -> None:
    chain = Chain(tiny, CHOICE)
    tensor = chain.head(4, image())
    chain._merged.settle(1, 4)  # only waits: the head above has asked for it
    assert np.array_equal(chain.head(4, image()), tensor)
    assert [(t.first, t.last) for t in chain.times] == [(1, 4)]
    chain.close()


def test_oldest_parts_go_first_when_the_budget_is_spent(tiny: Artefact, merging: None) -> None:
    weights = [layer.weight_bytes for layer in tiny.layers]
    parts = _merged(tiny, budget_bytes=weights[4] + weights[5])
    parts.settle(1, 4)
    parts.settle(5, 6)
    assert parts.get(1, 4) is None and parts.get(5, 6)
    parts.settle(1, 4)  # asked for again, it comes back
    assert parts.get(1, 4) and parts.get(5, 6) is None
    parts.close()


def test_a_runtime_that_computes_something_else_is_left_out(tiny: Artefact, merging: None) -> None:
    def load(runtime: Any, *args: Any, threads: Any) -> Any:
        runner = load_cpu('litert', *args, threads=threads)
        return runner if runtime == 'litert' else SimpleNamespace(
            run=lambda xs: (runner.run(xs)[0] + np.int8(1),), close=runner.close)

    parts = _merged(tiny, runtimes=('litert', 'openvino'), load=load)
    parts.settle(1, 4)
    assert parts.get(1, 4).runtime == 'litert'
    assert parts.left_out == {'openvino'}
    assert 'left out: at conv1 it differs from litert by' in parts.findings['openvino']
    parts.close()


def test_a_model_that_cannot_be_merged_is_served_by_segments(
        tiny: Artefact, tmp_path: Path) -> None:
    broken = replace(tiny, path=shutil.copytree(tiny.path, tmp_path / 'broken'))
    broken.model_file.write_bytes(b'nothing')
    parts = _merged(broken)
    parts.settle(1, 4)
    assert parts.get(1, 4) is None
    assert 'not merged' in parts.findings['layers 1-4']
    parts.close()


def test_closing_does_not_wait_for_a_background_race(tiny: Artefact,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of 2 s with pauses of 8 s once held up the end of a node for 38.6 s."""
    racing = Event()
    monkeypatch.setattr(merged, 'race', lambda runs, **kw: race(
        runs, rounds=10**9, budget_s=1e9, rest=1e9,
        sleep=lambda s: (racing.set(), kw['sleep'](s))))
    chain = Chain(tiny, CHOICE)
    chain.head(4, image())
    assert racing.wait(WAIT_S)
    chain.close()
    assert not chain._merged._worker.alive
    assert 'being closed' in chain._merged.findings['layers 1-4']  # in a pause, and told


def test_closing_does_not_wait_for_a_run_under_way_and_leaves_it_its_runners(
        tiny: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    running, gate, closed = Event(), Event(), []

    def load(*args: Any, threads: Any) -> Any:
        runner = load_cpu(*args, threads=threads)
        return SimpleNamespace(run=runner.run, runtime='litert', device='cpu',
                               close=lambda: closed.append(1))
    monkeypatch.setattr(merged, 'race', lambda runs, **_: (running.set(), gate.wait(WAIT_S)))
    monkeypatch.setattr(merged, 'CLOSE_S', 0.01)
    chain = Chain(tiny, CHOICE, load=load)
    chain.head(4, image())
    assert running.wait(WAIT_S)
    chain.close()
    assert chain._merged._worker.alive and not closed
    gate.set()
    assert chain._merged._worker.stop(WAIT_S)


def test_closing_ends_the_check_of_runtimes_after_the_layer_under_way(
        tiny: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    checking, gate, checked = Event(), Event(), []

    def load(runtime: Any, *args: Any, threads: Any) -> Any:
        checked.append(runtime)
        checking.set()
        gate.wait(WAIT_S)
        return load_cpu('litert', *args, threads=threads)
    monkeypatch.setattr(merged, 'CLOSE_S', 0.01)
    parts = _merged(tiny, runtimes=('litert', 'openvino'), load=load)
    parts.request(1, 4)
    assert checking.wait(WAIT_S)
    assert not parts.close()
    gate.set()
    assert parts._worker.stop(WAIT_S)
    assert checked == ['openvino']  # of six layers


def test_every_runner_is_closed_once_in_the_end(tiny: Artefact,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    opened, closed = [], []

    def load(runtime: Any, *args: Any, threads: Any) -> Any:
        runner = load_cpu('litert', *args, threads=threads)
        opened.append(len(opened))
        return SimpleNamespace(run=runner.run, runtime=runtime, device='cpu',
                               close=lambda n=opened[-1]: closed.append(n) or runner.close())
    monkeypatch.setattr(merged, 'race', lambda runs, **_: {  # openvino wins
        key: 1.0 + (key == merged.SEGMENTS) + (key[0] == 'litert') for key in runs})
    parts = _merged(tiny, runtimes=('litert', 'openvino'), load=load)
    parts.settle(1, 6)
    assert parts.get(1, 4).runtime == 'openvino' and len(opened) - len(closed) == 2
    assert parts.close()
    assert sorted(closed) == opened


def test_findings_may_be_read_while_the_merging_thread_adds_to_them(tiny: Artefact) -> None:
    parts = _merged(tiny)
    iterator = iter(parts.findings.items())
    left_out = iter(parts.left_out)
    parts._find('layers 1-4', 'segments, 1.00 ms')
    parts._runtimes.append('openvino')
    parts._leave_out('openvino', 'it differs')
    assert not list(iterator) and not list(left_out)  # once: changed size during iteration
    assert set(parts.findings) == {'layers 1-4', 'openvino'}
    parts.close()


def test_race_takes_turns_and_keeps_the_least_time() -> None:
    now, order, costs = [0.0], [], {'a': [0, 3, 1, 2], 'b': [9, 2, 2, 2]}

    def run(key: Any) -> None:
        order.append(key)
        now[0] += costs[key].pop(0)

    least = race({key: partial(run, key) for key in costs}, rounds=3, budget_s=99,
                 clock=lambda: now[0])
    assert least == {'a': 1, 'b': 2}
    assert order == ['a', 'b'] * 4


def test_race_in_the_background_rests_after_each_run() -> None:
    now, pauses = [0.0], []

    def run() -> None:
        now[0] += 2.0

    def sleep(seconds: Any) -> None:
        pauses.append(seconds)
        now[0] += seconds
    least = race({'a': run}, rounds=3, budget_s=99, rest=4.0, clock=lambda: now[0], sleep=sleep)
    assert least == {'a': 2.0}
    assert pauses == [8.0] * 4


def test_race_stops_when_its_budget_is_spent() -> None:
    ticks, runs = iter(range(10_000)), []
    race({'a': lambda: runs.append(1)}, rounds=100, budget_s=3, clock=lambda: next(ticks))
    assert len(runs) == 4


def _merged(artefact: Any, **kwargs: Any) -> Any:
    chain = Chain(artefact, CHOICE, merge=False)
    return merged.MergedRunners(artefact, chain.run, exact='litert', threads=1,
                              **{'runtimes': ('litert',), **kwargs})
