from typing import Any

import numpy as np
import pytest
from unit.litert import run

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.flatbuffer import BUFFER_ALIGNMENT, schema
from offload_perception.network.layer_cuts import LayerCut, named_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.write_artefact import layer_names

NAMES = [f'block{b}_{layer}' for b, convs in enumerate((2, 2, 3, 3, 3), 1)
         for layer in (*(f'conv{c}' for c in range(1, convs + 1)), 'pool')]
NAMES += ['fc1', 'fc2', 'predictions']


@pytest.fixture(scope='module')
def graph(artefact: Artefact) -> Graph:
    return Graph(artefact.model_file.read_bytes())


@pytest.fixture(scope='module')
def points(graph: Graph, tiny: Any) -> tuple[LayerCut, ...]:
    return named_layers(graph, layer_names(tiny))


def test_head_and_tail_equal_the_whole_at_every_cut(artefact: Artefact, graph: Graph,
                                                    points: tuple[LayerCut, ...],
                                                    images: np.ndarray) -> None:
    for image in images[:3]:
        whole = run(artefact.model_file.read_bytes(), image)
        assert len(np.unique(whole)) > 3
        for k in range(1, len(points)):
            boundary = run(graph.segment(0, points[k - 1].stop), image)
            tail = run(graph.segment(points[k].first, len(graph.operators)), boundary)
            np.testing.assert_array_equal(tail, whole, points[k].name)


def test_chain_of_segments_equals_the_whole(artefact: Artefact, images: np.ndarray) -> None:
    x = images[5]
    for layer in artefact.layers:
        x = run(artefact.segment_file(layer.index).read_bytes(), x)
        spec, = artefact.tensors(layer.index)
        assert x.shape == spec.shape and x.dtype == spec.dtype
    np.testing.assert_array_equal(x, run(artefact.model_file.read_bytes(), images[5]))


def test_segments_hold_no_more_data_than_the_whole(artefact: Artefact) -> None:
    segments = sum(artefact.segment_file(layer.index).stat().st_size for layer in artefact.layers)
    overhead = 4096 * artefact.last
    assert segments < artefact.model_file.stat().st_size + overhead


def test_tensor_data_are_aligned(artefact: Artefact) -> None:
    data = artefact.segment_file(5).read_bytes()
    model = schema().Model.GetRootAs(data)
    base = np.frombuffer(data, np.uint8).ctypes.data
    vectors = [model.Buffers(i).DataAsNumpy() for i in range(1, model.BuffersLength())]
    assert vectors and all((v.ctypes.data - base) % BUFFER_ALIGNMENT == 0 for v in vectors)


def test_manifest_describes_the_network(artefact: Artefact) -> None:
    loaded = Artefact.load(artefact.path)
    assert loaded == artefact
    assert [layer.name for layer in loaded.layers] == NAMES
    assert (loaded.input.shape, loaded.input.dtype) == ((32, 32, 3), 'uint8')
    assert (loaded.input.scale, loaded.input.zero_point) == (1.0, 0)
    shapes = {layer.name: loaded.tensors(layer.index)[0].shape for layer in loaded.layers}
    assert all(len(loaded.boundary(cut)) == 1 for cut in range(loaded.last + 1))
    assert shapes['block1_conv2'] == (32, 32, 4)
    assert shapes['block3_pool'] == (4, 4, 16)
    assert (shapes['fc2'], shapes['predictions']) == ((256,), (10,))
    assert [layer.kind for layer in loaded.layers].count('conv') == 13
    fc1 = loaded.layers[18]
    assert (fc1.macs, fc1.weight_bytes) == (32 * 256, 32 * 256 + 4 * 256)
    conv = loaded.layers[1]
    assert (conv.macs, conv.weight_bytes) == (32 * 32 * 4 * 9 * 4, 9 * 4 * 4 + 4 * 4)


def test_softmax_stays_with_the_last_layer_and_pixels_with_the_first(artefact: Artefact) -> None:
    scores, = artefact.tensors(artefact.last)
    assert (scores.scale, scores.zero_point) == (1 / 256, -128)
    first = Graph(artefact.segment_file(1).read_bytes())
    assert [first.spec(i) for i in first.inputs] == [artefact.input]


def test_wrong_number_of_names(graph: Graph, tiny: Any) -> None:
    with pytest.raises(ModelError, match=r'22 convolutions.*21 names'):
        named_layers(graph, layer_names(tiny)[1:])
