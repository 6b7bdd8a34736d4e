import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from unit.runtime.tiny_model import image

from offload_perception.errors import CutError, ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.load import load_cpu
from offload_perception.runtime.runner import Runner
from offload_perception.runtime.select import Choice, cpu_choice


@pytest.fixture
def chain(tiny: Artefact) -> Iterator[Chain]:
    chain = Chain(tiny, Choice('cpu', 'litert', ''), threads=1, merge=False)
    yield chain
    chain.close()


@pytest.fixture(scope='module')
def whole(tiny: Artefact) -> Runner:
    return load_cpu('litert', tiny.model_file, *tiny.end_specs(1, 6), threads=1)


@pytest.mark.parametrize('cut', range(7))
def test_head_and_tail_equal_the_whole(chain: Chain, whole: Runner, tiny: Artefact,
                                       cut: int) -> None:
    expected = tiny.tensors(tiny.last)[0].dequantise(whole.run((image(),))[0])
    tensor, = chain.head(cut, image())
    spec, = tiny.tensors(cut)
    assert tensor.shape == spec.shape and tensor.dtype == spec.dtype
    scores, = chain.tail(cut, (tensor,))
    assert scores.dtype == np.float32 and np.array_equal(scores, expected)


def test_cut_0_is_the_image_itself_but_a_copy(chain: Chain) -> None:
    x = image()
    head, = chain.head(0, x)
    assert np.array_equal(head, x) and not np.shares_memory(head, x)


def test_results_stay_when_the_next_frame_runs(chain: Chain) -> None:
    first, = chain.head(3, image(1))
    kept = first.copy()
    chain.head(3, image(2))
    assert np.array_equal(first, kept)


def test_times_name_every_layer_that_ran(chain: Chain) -> None:
    chain.run(2, 4, chain.head(1, image()))
    assert [(t.first, t.last) for t in chain.times] == [(2, 2), (3, 3), (4, 4)]
    assert all(t.seconds > 0 and t.runtime == 'litert' and t.device == 'cpu' for t in chain.times)
    assert chain.ran == 'litert'


def test_times_belong_to_the_thread_that_ran(chain: Chain) -> None:
    chain.head(2, image())
    other = threading.Thread(target=chain.head, args=(5, image()))
    other.start()
    other.join()
    assert len(chain.times) == 2


def test_threads_take_turns(chain: Chain) -> None:
    expected = [chain.head(6, image(seed)) for seed in range(4)]
    wrong = []

    def work(seed: Any) -> None:
        for _ in range(50):
            if not np.array_equal(chain.head(6, image(seed)), expected[seed]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(('first', 'last'), [(0, 3), (4, 2), (1, 7), (8, 7)])
def test_refuses_layers_that_do_not_exist(chain: Chain, first: int, last: int) -> None:
    with pytest.raises(CutError, match=r'layers 1\.\.6'):
        chain.run(first, last, (image(),))


def test_refuses_the_tensor_of_another_cut(chain: Chain) -> None:
    with pytest.raises(ModelError, match='layer 3 takes int8'):
        chain.tail(2, chain.head(1, image()))


def test_a_changed_cut_loads_nothing(tiny: Artefact) -> None:
    loaded = []

    def load(runtime: Any, file: Any, *ends: Any, threads: Any) -> Any:
        loaded.append(file)
        return load_cpu(runtime, file, *ends, threads=threads)

    chain = Chain(tiny, Choice('cpu', 'litert', ''), merge=False, load=load)
    chain.warm_up()
    before = len(loaded)
    for cut in (1, 4, 6, 2):
        chain.tail(cut, chain.head(cut, image()))
    assert before == tiny.last == len(loaded)
    chain.close()


def test_describes_itself_in_one_line(tiny: Artefact) -> None:
    chain = Chain(tiny, cpu_choice('litert'), threads=1)
    chain.prepare(2)
    assert chain.describe().startswith('tiny: runtime litert on cpu (as configured), 1 threads')
    assert '\n' not in chain.describe()
    chain.close()
