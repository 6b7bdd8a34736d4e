"""Networks of one's own: head and tail at every cut equal the whole file, bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest
from unit.litert import run_whole
from unit.networks import SEEDED, SIZE, photographs, real, seeded

from offload_perception.network.artefact import Artefact
from offload_perception.preparation.prepare import prepare
from offload_perception.runtime import merged
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.select import Choice

CHOICE = Choice('cpu', 'litert', '', rivals=('litert',))
FLOAT = ('float32', 'float16_weights')
REAL = {  # file: boundaries, those of one tensor, what the result means
    'mobilenet_v2_1.0_224_quant': (65, 35, 'classification'),
    'mobilenet_v1_0.25_128_quant': (30, 30, 'classification'),
    'ssd_mobilenet_v1_coco_quant': (63, 23, 'detection'),
    'deeplabv3_mnv2_dm05_pascal_quant': (71, 36, 'segmentation')}


@pytest.fixture(scope='module')
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artefact]:
    """Prepare a seeded network as a user would."""
    folder = tmp_path_factory.mktemp('networks')

    def one(name: str) -> Artefact:
        file = folder / f'{name}.tflite'
        file.write_bytes(seeded(name))
        return prepare(file, preprocess='tf' if name in FLOAT else None, cache_dir=folder)

    return one


def given_to(name: str, image: np.ndarray) -> np.ndarray:
    """Return the input tensor of a seeded network for an image, in plain numpy."""
    if name in FLOAT:
        return ((image.astype(np.float64) - 127.5) / 127.5).astype(np.float32)
    return (image.astype(int) - 128).astype(np.int8) if name == 'residual_int8' else image


def equals_the_whole(artefact: Artefact, images: np.ndarray, given: np.ndarray,
                     chain: Chain, cuts: range) -> None:
    for image, x in zip(images, given, strict=True):
        whole = run_whole(artefact.model_file.read_bytes(), x)
        for cut in cuts:
            xs = chain.head(cut, image)
            assert [(a.shape, a.dtype.name) for a in xs] == [
                (spec.shape, spec.dtype) for spec in artefact.tensors(cut)]
            found = chain.tail(cut, xs)
            assert len(found) == len(whole)
            for a, b in zip(found, whole, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b, artefact.cut_names[cut])


@pytest.mark.parametrize('name', SEEDED)
def test_every_cut_of_a_seeded_network_equals_the_whole(
        prepared: Callable[[str], Artefact], name: str) -> None:
    artefact, images = prepared(name), photographs(2)
    chain = Chain(artefact, CHOICE, 1, merge=False)
    whole = run_whole(artefact.model_file.read_bytes(), given_to(name, images[0]))
    assert all(len(np.unique(y)) > 2 for y in whole)  # else this shows nothing
    equals_the_whole(artefact, images, np.stack([given_to(name, x) for x in images]), chain,
                     range(artefact.last + 1))
    chain.close()


@pytest.mark.parametrize('name', SEEDED)
def test_merged_heads_and_tails_equal_the_whole(prepared: Callable[[str], Artefact], name: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, 'race', lambda runs, **_: {
        key: 1.0 + (key == merged.SEGMENTS) for key in runs})
    artefact, images = prepared(name), photographs(1)
    chain = Chain(artefact, CHOICE, 1)
    step = 1 if artefact.last < 20 else 7
    for cut in range(0, artefact.last + 1, step):
        chain.prepare(cut)
        equals_the_whole(artefact, images, given_to(name, images[0])[None], chain,
                         range(cut, cut + 1))
        assert len(chain.times) <= 2
    assert 'not merged' not in chain.describe()
    chain.close()


def test_several_tensors_cross_where_branches_run_side_by_side(
        prepared: Callable[[str], Artefact]) -> None:
    counts = {name: max(len(prepared(name).tensors(k)) for k in range(prepared(name).last))
              for name in ('mobilenet', 'residual', 'concatenation', 'two_outputs')}
    assert min(counts.values()) >= 2, counts


@pytest.mark.parametrize('name', ['float32', 'float16_weights'])
def test_float_networks_are_not_quantised(prepared: Callable[[str], Artefact], name: str) -> None:
    artefact = prepared(name)
    assert not artefact.quantised
    assert {spec.dtype for cut in range(1, artefact.last + 1)
            for spec in artefact.tensors(cut)} == {'float32'}
    assert artefact.input.dtype == 'uint8' and artefact.input.shape == (SIZE, SIZE, 3)


@pytest.fixture(scope='module')
def real_one(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artefact]:
    folder = tmp_path_factory.mktemp('real')
    return lambda name: prepare(real(f'{name}.tflite'), cache_dir=folder)


@pytest.mark.parametrize('name', REAL)
def test_every_cut_of_a_real_network_equals_the_whole(
        real_one: Callable[[str], Artefact], name: str) -> None:
    artefact = real_one(name)
    boundaries, single, kind = REAL[name]
    assert artefact.last - 1 == boundaries
    assert sum(len(artefact.boundary(k)) == 1 for k in range(1, artefact.last)) == single
    assert artefact.meaning.kind == kind
    image = np.random.default_rng(3).integers(0, 256, artefact.input.shape, np.uint8)
    chain = Chain(artefact, CHOICE, 2, merge=False)
    equals_the_whole(artefact, image[None], image[None], chain, range(artefact.last + 1))
    chain.close()


@pytest.mark.parametrize('name', REAL)
def test_merged_parts_of_a_real_network_equal_the_whole(
        real_one: Callable[[str], Artefact], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, 'race', lambda runs, **_: {
        key: 1.0 + (key == merged.SEGMENTS) for key in runs})
    artefact = real_one(name)
    image = np.random.default_rng(4).integers(0, 256, artefact.input.shape, np.uint8)
    chain = Chain(artefact, CHOICE, 2)
    for cut in range(0, artefact.last + 1, 6):
        chain.prepare(cut)
        equals_the_whole(artefact, image[None], image[None], chain, range(cut, cut + 1))
    assert 'not merged' not in chain.describe()
    chain.close()
