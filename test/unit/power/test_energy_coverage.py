"""The simulated drone of benchmarks/energy_coverage.py, and a short form of what it shows."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / 'benchmarks'


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import energy_coverage
    yield energy_coverage
    for name in ('energy_coverage', 'goals'):
        sys.modules.pop(name, None)


def test_true_energies_above_idle_add_up_to_what_was_drawn(bench: ModuleType) -> None:
    scene = bench.Scene('fast', 'drifting', 0.3, overlap=True)
    flight = bench.fly(scene, 20.0, np.random.default_rng(0))
    edges_s = np.unique([t for f in flight.frames for t in (f.start_s, f.latency.end)])
    middles_s = (edges_s[1:] + edges_s[:-1]) / 2
    anyone = [any(f.start_s <= t < f.latency.end for f in flight.frames) for t in middles_s]
    above_j = np.diff(flight.drawn_j(edges_s)) - flight.mean_w * np.diff(edges_s)
    found_j = sum(flight.truth_j(f, drawn=True) - flight.mean_w * f.latency.total
                  for f in flight.frames)
    assert found_j == pytest.approx(float(above_j @ anyone))
    assert sum(f.latency.total for f in flight.frames) > 1.1 * 20.0, 'frames have to overlap'


@pytest.mark.parametrize(('meter', 'seconds', 'flights'), [
    ('slow', 300.0, 12), ('fast', 100.0, 6), ('polled', 100.0, 6)])
@pytest.mark.parametrize('background', ['none', 'on and off'])
def test_intervals_hold_with_timeouts_and_overlap(
        bench: ModuleType, meter: str, seconds: float, flights: int, background: str) -> None:
    scene = bench.Scene(meter, background, 0.3, overlap=True)
    found = [bench.judge(scene, seed, seconds=seconds) for seed in range(flights)]
    judged = [j for f in found for j in f.judged]
    assert np.mean([j.held for j in judged]) >= 0.85
    smeared = meter == 'polled'  # over the edges of the means
    assert np.mean([f.head_w for f in found]) == pytest.approx(
        bench.EXTRA_W['head'], abs=0.15 if smeared else 0.03)
    assert smeared or np.mean([f.head_held for f in found]) >= 0.75
    assert abs(np.mean([j.found.energy_j / j.truth_j - 1 for j in judged])) < 0.04
    assert sum(f.missing for f in found) <= (0.02 * len(judged) if smeared else 0)


def test_a_quiet_drone_has_narrow_intervals(bench: ModuleType) -> None:
    """Wide ones would hold the truth as well."""
    for meter, bound in (('slow', 0.005), ('fast', 0.01), ('polled', 0.12)):
        row = bench.summary(bench.Scene(meter, 'none', 0.1, overlap=True), trials=2)
        assert row['half_width'] < bound
