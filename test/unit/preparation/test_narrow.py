import numpy as np
import pytest
from unit.litert import run

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.narrow import narrow_weights
from offload_perception.preparation.prepare import prepare


@pytest.fixture(scope='module')
def wide(artefact: Artefact) -> bytes:
    return artefact.model_file.read_bytes()


@pytest.fixture(scope='module')
def narrow(wide: bytes) -> bytes:
    return narrow_weights(wide)


Pairs = list[tuple[np.ndarray, np.ndarray]]


def constants(model: bytes) -> tuple[Pairs, Pairs]:
    """Return (values, scales) of the weights and of the biases."""
    graph = Graph(model)
    found = {np.int8: [], np.int32: []}
    for operator in graph.operators:
        if graph.opcode(operator) in ('CONV_2D', 'FULLY_CONNECTED'):
            for index in graph.constants(operator):
                dtype = np.int32 if len(graph.shape(index)) == 1 else np.int8
                found[dtype].append((graph.constant(index).view(dtype),
                                     np.asarray(graph.tensor(index).quantization.scale)))
    return found[np.int8], found[np.int32]


def test_no_pair_of_products_overflows_16_bits(narrow: bytes) -> None:
    weights, _ = constants(narrow)
    assert len(weights) == 17  # with the one that takes the means off the pixels
    assert max(2 * 255 * np.abs(w.astype(int)).max() for w, _ in weights) <= 32767


def test_weights_and_biases_keep_their_real_values(wide: bytes, narrow: bytes) -> None:
    for before, after in zip(constants(wide), constants(narrow), strict=True):
        for (v, scale), (w, doubled) in zip(before, after, strict=True):
            np.testing.assert_allclose(doubled, 2 * scale, rtol=1e-6)
            assert np.abs(v.astype(float) - 2.0 * w).max() <= 1


def test_results_stay_close(wide: bytes, narrow: bytes, images: np.ndarray) -> None:
    for image in images[:4]:
        a, b = run(wide, image).astype(int), run(narrow, image).astype(int)
        assert len(np.unique(a)) > 3
        assert np.abs(a - b).max() <= 12


def test_other_bits_are_refused() -> None:
    with pytest.raises(ModelError, match='use 8 or 7'):
        prepare('vgg16', 'seed:0', weight_bits=6)
    with pytest.raises(ModelError, match=r'prepared already.*model\.keras'):
        prepare('aerial', weight_bits=7)
