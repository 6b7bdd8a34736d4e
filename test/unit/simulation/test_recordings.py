import os
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_perception.errors import PlanError
from offload_perception.simulation.links import STEP_S, LinkTrace, described, make_link
from offload_perception.simulation.recordings import PACKET_BYTES, read
from offload_perception.simulation.scenario import Scenario, build

NONE_LOST: dict[str, Any] = {'rel': 1e-9, 'abs': 1e-3}


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    folder = tmp_path_factory.mktemp('recordings')
    numbers = iter(range(10 ** 6))

    def write(text: Any) -> Any:
        path = folder / f'{next(numbers)}.trace'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def link(path: Path, *, duration_s: float = 2.0, **options: Any) -> LinkTrace:
    return make_link(str(path), bandwidth=60e3, round_trip_s=0.01, duration_s=duration_s, seed=0,
                     **options)


def flown(path: Path, *, duration_s: float = 2.0, **options: Any) -> np.ndarray:
    """Return the bandwidths during the flight alone."""
    bandwidth = link(path, duration_s=duration_s, **options).bandwidth
    return bandwidth[:round(duration_s / STEP_S)]


def rows(values: list[float] | range, step_s: float = 1.0) -> str:
    return ''.join(f'{i * step_s},{v}\n' for i, v in enumerate(values))


times_ms = st.lists(st.integers(0, 5000), min_size=1, max_size=200).map(sorted).filter(
    lambda times: times[-1] > 0)


@given(times_ms)
def test_mahimahi_opportunities_come_when_they_are_written(written: Callable[..., Any],
                                                           times: list[int]) -> None:
    recording = read(written('\n'.join(map(str, times))))
    assert recording.length_s == pytest.approx(times[-1] / 1e3)
    sent = np.rint(recording.bandwidth(0.0, 1e-3, times[-1]) * 1e-3 / PACKET_BYTES)
    again = np.repeat(np.arange(1, times[-1] + 1), sent.astype(int))
    np.testing.assert_array_equal(again, np.maximum(times, 1))


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.0, 1e7)), min_size=2, max_size=30),
       st.floats(0.0, 1e4))
def test_csv_carries_what_is_written(written: Callable[..., Any], steps: list[tuple[float, float]],
                                     first_s: float) -> None:
    edges = first_s + np.cumsum([0.0] + [duration for duration, _ in steps])
    values = [value for _, value in steps]
    recording = read(written('s,bytes_per_second\r\n' + ''.join(
        f'{t!r},{v!r}\r\n' for t, v in zip(edges.tolist(), values, strict=False))))
    middles = (edges[:-2] + edges[1:-1]) / 2 - first_s
    seen = [recording.bandwidth(t, 1e-4, 1)[0] for t in middles]
    assert seen == pytest.approx(values[:-1], rel=1e-3, abs=1e-2)
    assert recording.length_s == pytest.approx(2 * edges[-2] - edges[-3] - first_s)


@given(times_ms, st.floats(0.0, 100.0))
def test_nothing_is_lost_or_added_from_any_start_and_over_the_end(
        written: Callable[..., Any], times: list[int], start_s: float) -> None:
    recording = read(written('\n'.join(map(str, times))))
    over_twice = recording.bandwidth(start_s, 2 * recording.length_s / 64, 64)
    assert over_twice.mean() == pytest.approx(recording.mean, **NONE_LOST)
    assert recording.mean == pytest.approx(len(times) * PACKET_BYTES / (times[-1] / 1e3))


def test_shortest_mahimahi_trace_is_twelve_mbit_per_second(written: Callable[..., Any]) -> None:
    assert flown(written('1\n')) == pytest.approx(1.5e6)


def test_same_link_in_both_formats(written: Callable[..., Any]) -> None:
    packets = [2, 0, 5, 1]
    mahimahi = written(''.join(f'{100 * (i + 1)}\n' * n for i, n in enumerate(packets)))
    csv = written(rows([n * PACKET_BYTES / 0.1 for n in packets], 0.1))
    a, b = (flown(path, duration_s=1.2) for path in (mahimahi, csv))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_flights_are_the_pieces_of_the_recording_one_by_one(written: Callable[..., Any]) -> None:
    path = written(rows(range(1000, 1007)))  # three flights of 2 s, and a second to spare
    pieces = [flown(path, flight=i) for i in range(4)]
    for i in range(3):
        assert pieces[i] == pytest.approx(
            np.repeat([1000 + 2 * i, 1001 + 2 * i], round(1 / STEP_S)))
    np.testing.assert_array_equal(pieces[3], pieces[0])


def test_each_flight_of_a_short_recording_starts_at_its_beginning_and_goes_round(
        written: Callable[..., Any]) -> None:
    path = written(rows([100.0, 200.0, 300.0], 0.5))
    assert flown(path, flight=5) == pytest.approx(
        np.repeat([100.0, 200.0, 300.0, 100.0], 5))


def test_drones_and_then_seeds_fly_one_piece_after_the_other(written: Callable[..., Any]) -> None:
    path = written(rows(range(1000, 1004)))
    first = [link.bandwidth[0] for seed in (1, 2) for link in build(Scenario(
        link=str(path), drones=2, duration_s=1.0, seed=seed))[1]]
    assert first == pytest.approx([1000, 1001, 1002, 1003])


def test_recording_goes_on_after_the_flight(written: Callable[..., Any]) -> None:
    path = written(rows([1e3, 0.0, 1e3]))
    assert link(path).finish_s(2.0, 1e3) == pytest.approx(3.0, abs=0.01)


def test_scaling_keeps_the_ratios_of_the_flights_and_is_reported(
        written: Callable[..., Any]) -> None:
    path = written(rows([10e3, 10e3, 50e3, 50e3]))
    for flight, kept in enumerate((20e3, 100e3)):
        assert flown(path, flight=flight, scaled=True) == pytest.approx(kept)
    assert 'mean 30.0 kB/s, scaled by 2 to 60.0 kB/s' in described(str(path), 60e3, True)
    assert 'scaled' not in described(str(path), 60e3, False)


def test_changed_file_is_read_again(written: Callable[..., Any]) -> None:
    path = written('1\n')
    before = flown(path)[0]
    path.write_text('2\n')
    os.utime(path, (0, 0))  # later or earlier, but another time in any case
    assert flown(path)[0] == pytest.approx(before / 2)


@pytest.mark.parametrize('text, says', [
    ('', 'holds no trace'), ('seconds,bytes_per_second\n', 'holds no trace'),
    (b'\xff\xfe\x00', 'not a text file'),
    ('0,fast\n', 'line 1'), ('0,1\n\n1\n', 'line 3'), ('0,100\n1,-5\n', 'line 2.*negative'),
    ('0,nan\n', 'finite'), ('1,100\n0,100\n', 'line 2.*sort'), ('1,100\n1,200\n', 'line 2.*each'),
    ('0.5\n1.5\n', 'whole milliseconds'), ('5\nx\n', 'line 2'), ('-1\n', 'line 1'),
    ('1 100\n', 'line 1'), ('5\n4\n', 'line 2.*sort'), ('0\n0\n', 'no length'),
    ('1606304152000\n', 'start of the'), ('3600001\n', 'more than an hour'),
    ('0,1e300\n1,1e308\n', 'line 1.*at most'), ('-1e308,1\n1e308,1\n', 'line 1'),
    ('x' * 10_000 + '\n', 'line 1'), ('\x1b[31m\n', r'\\x1b')])
def test_broken_recording_is_named(written: Callable[..., Any], text: bytes | str,
                                   says: str) -> None:
    path = written(text)
    with pytest.raises(PlanError, match=f'{path.name}.*{says}'):
        link(path)


def test_dead_recording_cannot_be_scaled(written: Callable[..., Any]) -> None:
    path = written('0,0\n')
    assert flown(path).max() < 100
    with pytest.raises(PlanError, match='cannot be scaled'):
        link(path, scaled=True)


@given(st.text(st.sampled_from('0123456789.,-e \n'), max_size=40))
def test_any_text_is_read_or_refused(written: Callable[..., Any], text: str) -> None:
    try:
        recording = read(written(text))
    except PlanError:
        return
    assert recording.length_s > 0 and np.isfinite(recording.mean)


def test_benchmark_flies_each_piece_once_and_compares_flight_by_flight(
        written: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(rows([120e3] * 5 + [1e3] * 5))
    benchmarks = Path(__file__).parents[3] / 'benchmarks'
    monkeypatch.syspath_prepend(benchmarks)  # as when it is run
    module = runpy.run_path(str(benchmarks / 'planner.py'))
    assert not set(module['TUNING'].seeds) & set(module['FINAL'].seeds)
    assert not set(module['TUNING'].recordings) & set(module['FINAL'].recordings)
    pieces = module['Pieces'](range(3), (path.name,))
    scenario = replace(module['scenarios'](pieces, path.parent)['aerial', path.name],
                       duration_s=5.0)
    assert len(module['seeds_of'](scenario, pieces)) == 2
    flights = [{'ours': (1.0, 0.0), 'a': (2.0, 0.0), 'b': (0.5, 0.5)},
               {'ours': (2.0, 0.0), 'a': (2.0, 0.0), 'b': (0.5, 0.5)}]
    for flight in flights:
        flight |= {name: (2.0, 0.0) for name in (
            'all on board', 'back-off rule', 'knows the present', 'clairvoyant',
            'ours without beats', *module['PAPERS'])}
    found = module['compared'](flights, {'a', 'b'})
    assert found['static']['name'] == 'a'  # b misses too often
    assert found['static']['ours_above'] == pytest.approx(-0.25)
    assert found['static']['error'] == pytest.approx(0.25)


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.sampled_from([0.0, 1e3, 1e7 / 3])), min_size=2,
                max_size=30), st.integers(1, 3))
def test_a_link_that_stands_still_never_goes_backwards(written: Callable[..., Any],
                                                       steps: list[tuple[float, float]],
                                                       rounds: int) -> None:
    seconds = np.cumsum([s for s, _ in steps])
    recording = read(written('\n'.join(f'{t},{b}' for t, (_, b) in zip(seconds, steps,
                                                                      strict=True))))
    count = int(rounds * recording.length_s / 0.1) + 1
    assert (recording.bandwidth(0.0, 0.1, count) >= 0.0).all()
