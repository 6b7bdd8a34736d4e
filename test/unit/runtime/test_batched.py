"""Batches of tails give what single frames give, bit for bit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.networks import seeded
from unit.runtime.tiny_model import image

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime.batched import BatchedTails
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.merge import Merger, dense_start
from offload_perception.runtime.runner import BatchRunner
from offload_perception.runtime.runtimes import RUNTIMES
from offload_perception.runtime.select import Choice, cpu_choice


@pytest.fixture
def chain(tiny: Artefact) -> Iterator[Chain]:
    chain = Chain(tiny, Choice('cpu', 'litert', '', rivals=('litert',)), threads=1, merge=False)
    yield chain
    chain.close()


@pytest.fixture
def batched(chain: Chain) -> Iterator[BatchedTails]:
    batched = BatchedTails(chain, threads=1, most=5, min_gain=0.0)
    yield batched
    batched.close()


def batch_runner(runtime: str, file: Path, *, threads: int) -> BatchRunner:
    load = RUNTIMES[runtime].load_batch
    assert load is not None
    return load(file, threads=threads)


def compare(batched: BatchedTails, chain: Chain, cuts: list[int]) -> None:
    """Check batches of frames of these cuts against single ones."""
    frames = [chain.head(cut, image(n)) for n, cut in enumerate(cuts)]
    expected = [chain.tail(cut, xs) for cut, xs in zip(cuts, frames, strict=True)]
    joined = [batched.to_join(cut, xs) for cut, xs in zip(cuts, frames, strict=True)]
    made = batched.together([max(cut, batched.join) for cut in cuts], joined)
    for ys, right in zip(made, expected, strict=True):
        assert all(np.array_equal(y, r) for y, r in zip(ys, right, strict=True))


@pytest.mark.parametrize('cuts', [[4], [4, 4, 4], [0, 1, 2, 3, 4], [5, 4, 0, 5], [5, 5]])
def test_frames_of_any_cuts_run_together(batched: BatchedTails, chain: Chain,
                                         cuts: list[int]) -> None:
    assert (batched.join, batched.most) == (4, 5) == (dense_start(chain.artefact), 5)
    compare(batched, chain, cuts)
    assert (batched.ran, batched.ran_on) == ('litert', 'cpu')


def test_results_stay_when_the_next_batch_runs(batched: BatchedTails, chain: Chain) -> None:
    frames = [chain.head(4, image(n)) for n in range(3)]
    first = batched.together([4, 4], frames[:2])
    kept = [y.copy() for ys in first for y in ys]
    batched.together([4, 4], frames[1:])
    assert all(np.array_equal(y, k) for y, k in zip((y for ys in first for y in ys), kept,
                                                    strict=True))


def test_a_batch_that_does_not_pay_is_not_made(chain: Chain) -> None:
    never = BatchedTails(chain, threads=1, min_gain=1e9)
    assert (never.join, never.most, dict(never.together_s)) == (6, 1, {})
    assert never.finding.startswith('no batches: 16 frames together are only')
    compare(never, chain, [2])


def test_times_are_measured_for_the_sizes_to_choose_from(batched: BatchedTails) -> None:
    assert list(batched.together_s) == [1, 2, 4, 5] and min(batched.together_s.values()) > 0.0
    assert 'batches of up to 5 from pool2 on, litert' in batched.finding


def test_a_runtime_that_computes_batches_otherwise_is_left_out(
        chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = RUNTIMES['litert'].load_batch or pytest.fail('no batches')

    class Wrong:
        runtime, device = 'litert', 'cpu'

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._inner = honest(*args, **kwargs)

        def run(self, xs: Any) -> Any:
            return tuple(y + 3 for y in self._inner.run(xs))

        def close(self) -> None:
            self._inner.close()

    monkeypatch.setitem(RUNTIMES, 'litert', replace(RUNTIMES['litert'], load_batch=Wrong))
    none = BatchedTails(chain, threads=1, min_gain=0.0)
    assert none.most == 1 and 'no runtime computes fc1 in batches' in none.finding
    compare(none, chain, [2])


def test_a_batch_that_the_file_does_not_take_is_an_error_in_words(tiny: Artefact) -> None:
    fixed = batch_runner('litert', tiny.segment_file(5), threads=1)  # reshapes to one
    shape = tiny.tensors(4)[0].shape
    with pytest.raises(ModelError, match='3 frames at once'):
        fixed.run((np.zeros((3, *shape), np.int8),))
    fixed.close()


@pytest.mark.parametrize('runtime', list(RUNTIMES))
def test_every_runtime_takes_an_open_batch(tiny: Artefact, runtime: str) -> None:
    pytest.importorskip(RUNTIMES[runtime].module)
    with Merger(tiny, open_batch=True).file(5, 5) as file:
        runner = batch_runner(runtime, file, threads=1)
    spec = tiny.tensors(4)[0]
    xs = np.random.default_rng(0).integers(-128, 128, (4, *spec.shape), np.int8)
    many = runner.run((xs,))[0].copy()
    assert many.shape == (4, *tiny.tensors(5)[0].shape)
    assert all(np.array_equal(runner.run((xs[n:n + 1],))[0][0], many[n]) for n in range(4))
    runner.close()


@pytest.mark.parametrize('name', ['residual', 'residual_int8', 'concatenation', 'float32'])
def test_networks_of_users_run_in_batches(name: str, tmp_path: Path) -> None:
    file = tmp_path / f'{name}.tflite'
    file.write_bytes(seeded(name))
    artefact = prepare(str(file), cache_dir=tmp_path / 'models',
                       preprocess='unit' if name == 'float32' else None)
    chain = Chain(artefact, cpu_choice('litert'), threads=1, merge=False)
    batched = BatchedTails(chain, threads=1, most=3, min_gain=0.0)
    assert batched.most == 3, batched.finding
    rng, shape = np.random.default_rng(0), artefact.input.shape
    frames = [chain.head(batched.join, rng.integers(0, 256, shape, np.uint8)) for _ in range(3)]
    made = batched.together([batched.join] * 3, frames)
    for xs, ys in zip(frames, made, strict=True):
        right = chain.tail(batched.join, xs)
        assert all(np.allclose(y, r, atol=1e-6 if name == 'float32' else 0.0)
                   for y, r in zip(ys, right, strict=True))
    batched.close()
    chain.close()
