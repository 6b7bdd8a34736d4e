"""Dense layers have one scale, which every TFLite reads; a scale for each unit is refused."""

import shutil
from pathlib import Path

import pytest
from unit.per_channel import dense_operators, per_channel

from offload_perception.errors import ModelError
from offload_perception.evaluation.export import Exporter
from offload_perception.network.artefact import Artefact
from offload_perception.network.dense import check_dense, is_portable
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.prepare import prepare


def dense_scales(model: bytes) -> list[int]:
    graph = Graph(model)
    return [len(graph.tensor(o.inputs[1]).quantization.scale) for o in dense_operators(graph)]


def test_the_bundled_model_has_one_scale_a_dense_layer() -> None:
    artefact = prepare('aerial')
    assert dense_scales(artefact.model_file.read_bytes()) == [1, 1, 1]
    for layer in artefact.layers:
        if layer.kind == 'fc':
            assert dense_scales(artefact.segment_file(layer.index).read_bytes()) == [1]


def test_the_converter_makes_one_scale_a_dense_layer(artefact: Artefact) -> None:
    assert dense_scales(artefact.model_file.read_bytes()) == [1, 1, 1]
    graph = Graph(artefact.model_file.read_bytes())
    kernels = [graph.tensor(o.inputs[1]).quantization.scale for o in graph.operators
               if graph.opcode(o) == 'CONV_2D']
    assert len(kernels[-1]) == 32  # convolutions keep one for each channel


def test_a_scale_for_each_unit_is_refused_with_the_remedy(artefact: Artefact) -> None:
    graph = Graph(per_channel(artefact.model_file.read_bytes()), 'old.tflite')
    assert [is_portable(graph, o) for o in dense_operators(graph)] == [False] * 3
    with pytest.raises(ModelError, match=r'old\.tflite has 3 dense layers.*prepare the model'):
        check_dense(graph)


def test_exports_of_such_a_model_are_refused(artefact: Artefact, tmp_path: Path) -> None:
    shutil.copytree(artefact.path, tmp_path / 'old')
    old = Artefact._read(tmp_path / 'old')
    old.model_file.write_bytes(per_channel(artefact.model_file.read_bytes()))
    with pytest.raises(ModelError, match='3 dense layers with a scale for each unit'):
        Exporter(old, tmp_path / 'out')
