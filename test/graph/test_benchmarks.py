"""Every benchmark of the graph runs through in its smallest setting, and ends what it started."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from graph.command import Command

from offload_perception.network.artefact import Artefact

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
SMALL = ('--runtime', 'litert', '--frames', '5', '--warm-up', '1', '--settle', '0',
         '--threads', '1', '--weights', 'bundled')


@pytest.fixture
def small(run: Callable[..., Command], artefact: Artefact, tmp_path: Path) -> Any:
    """Run a benchmark; return its results and what it printed."""
    def measure(name: str, *words: str) -> tuple[Any, ...]:
        file = tmp_path / 'results.json'
        done = run(sys.executable, str(BENCHMARKS / name), *SMALL, '--model', str(artefact.path),
                   '--json', str(file), *words)
        assert done.wait() == 0, done.output
        assert done.nobody_is_left()
        written = json.loads(file.read_text())
        assert all(goal['name'] in done.output for goal in written['goals'])
        return written['results'], done.output
    return measure


def test_latency(small: Any) -> None:
    (result,), output = small('latency.py')
    assert '| block4_pool |' in output
    assert len(result['total_s']) == 5 and min(result['total_s']) > 0
    assert len(result['floor_s']) == 5 and min(result['floor_s']) > 0
    assert all(seconds >= 0 for seconds in result['stages_s'].values())


def test_throughput(small: Any) -> None:
    results, _ = small('throughput.py', '--turns', '1', '--camera', '0.05')
    (turn,) = results['block4_pool']
    assert turn['ratio'] == turn['graph_hz'] / turn['bound_hz'] > 0
    assert turn['bound_hz'] == 1 / max(turn['head_s'], turn['tail_s'])


def test_cost(small: Any) -> None:
    results, _ = small('cost.py', '--seconds', '1')
    edge, remote = results['nodes']
    assert (edge['node'], remote['node']) == ('edge_inference', 'remote_inference')
    assert len(edge['resident_bytes']) == 5 and min(remote['resident_bytes']) > 0
    assert [w['camera'] for w in results['cameras']] == ['node', 'inside']
    assert all(len(w['delay_s']) == 5 and min(w['delay_s']) > 0 for w in results['cameras'])
    # The pixels that the network takes are the least that a drone has to allocate.
    assert results['steps_bytes']['drone: resize and encode'] > results['tensor_bytes']


def test_against_naive(small: Any) -> None:
    ways, _ = small('against_naive.py', '--turns', '1')
    assert [way['way'].split(',')[0] for way in ways] == [
        'this package', 'naive nodes', 'this package']
    assert all(len(way['total_s']) == 5 for way in ways)


NAMESPACES = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('tc'),
                                reason='needs root and iproute2')


@NAMESPACES
def test_network(small: Any) -> None:
    results, _ = small('network.py', '--mbit', '20', '--candidates', 'block4_pool:raw')
    (row,) = results
    assert 0 < row['delivered'] <= 1
    assert row['cable_up_bytes'] > row['encoded_bytes'] > 0


@pytest.fixture
def planned(run: Callable[..., Command], tmp_path: Path) -> Any:
    """Run a benchmark of a planned flight; return its results and what it printed."""
    def fly(name: str, *words: str) -> tuple[Any, ...]:
        file = tmp_path / 'results.json'
        done = run(sys.executable, str(BENCHMARKS / name), *words, 'runtime:=litert',
                   'threads:=1', '--json', str(file))
        assert done.wait() == 0, done.output
        assert done.nobody_is_left()
        written = json.loads(file.read_text())
        assert all(goal['name'] in done.output for goal in written['goals'])
        return written['results'], done.output
    return fly


def test_forecast(planned: Callable[..., Any]) -> None:
    results, output = planned('forecast.py', '--duration', '3', '--settle', '1')
    assert results['adds_up'] and 0 < results['compared'] == results['latency']['frames']
    assert results['latency']['mape'] > 0 and '| latency' in output


@NAMESPACES
def test_link_cut(planned: Callable[..., Any]) -> None:
    results, _ = planned('link_cut.py', '--turns', '1', '--cut', '1', '--settle', '0', '--rate',
                         '2', '--deadline', '4', 'emulate:=raspberry_pi_3b_plus')
    assert results['adds_up'] and len(results['turns']) == 1 and results['local'] > 0


@NAMESPACES
def test_shaped_flight(planned: Callable[..., Any], tmp_path: Path) -> None:
    results, _ = planned('shaped_flight.py', '--mbit', '20', '0', '--duration', '3', '--rate', '5',
                         str(tmp_path / 'bag'), 'emulate:=raspberry_pi_3b_plus_coral')
    assert [part['mbit'] for part in results] == [20, 0]
    assert all(part['frames'] for part in results) and (tmp_path / 'bag').is_dir()


def test_a_node_that_refuses_ends_the_benchmark_with_a_message(
        run: Callable[..., Command], artefact: Artefact) -> None:
    done = run(sys.executable, str(BENCHMARKS / 'latency.py'), *SMALL, '--model',
               str(artefact.path), '--codec', 'nonsense')
    assert done.wait() == 2, done.output
    assert 'edge_inference ended with code 1' in done.output and done.nobody_is_left()
