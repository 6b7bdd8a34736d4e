"""Files that cannot be cut are named, with what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offload_perception.errors import ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.dense import check_dense
from offload_perception.network.flatbuffer import pack, schema, unpack
from offload_perception.network.layer_cuts import named_layers, operator_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.preparation.convert import to_int8
from offload_perception.preparation.prepare import BUNDLED
from offload_perception.preparation.representative import default_images, folder_images
from offload_perception.preparation.tflite_file import check_cuttable
from offload_perception.preparation.tflite_metadata import read_metadata


@pytest.fixture(scope='module')
def data(artefact: Artefact) -> bytes:
    return artefact.model_file.read_bytes()


def changed(data: bytes, change: Callable[..., Any]) -> bytes:
    model = unpack(data, 'test')
    change(model)
    return pack(model)


@pytest.mark.parametrize('broken', [b'', b'junk' * 50])
def test_no_tflite_file(broken: bytes) -> None:
    with pytest.raises(ModelError, match=r'x\.tflite is not a \.tflite file'):
        Graph(broken, 'x.tflite')


@pytest.mark.parametrize('share', [0.02, 0.5, 0.9])
def test_cut_short(data: bytes, share: float) -> None:
    with pytest.raises(ModelError, match='broken'):
        Graph(data[:int(len(data) * share)])


def test_several_subgraphs(data: bytes) -> None:
    with pytest.raises(ModelError, match='2 subgraphs'):
        Graph(changed(data, lambda m: m.subgraphs.append(m.subgraphs[0])))


def test_external_buffers(data: bytes) -> None:
    def change(model: Any) -> None:
        model.buffers[3].offset, model.buffers[3].size = 4096, 100

    with pytest.raises(ModelError, match='outside the flatbuffer'):
        Graph(changed(data, change))


def test_open_dimensions(data: bytes) -> None:
    def change(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        tensor.shapeSignature = np.array([1, -1, *tensor.shape[2:]], np.int32)

    with pytest.raises(ModelError, match=r'not one RGB image .*of a fixed size; export it'):
        check_cuttable(Graph(changed(data, change)))


def test_branch(data: bytes) -> None:
    def change(model: Any) -> None:
        graph, operators = model.subgraphs[0], model.subgraphs[0].operators
        operators[6].inputs = np.array(
            [operators[3].outputs[0], *operators[6].inputs[1:]], np.int32)
        graph.outputs = np.array([*graph.outputs, operators[5].outputs[0]], np.int32)

    file = changed(data, change)
    with pytest.raises(ModelError, match='branches at x; convert it to a'):
        named_layers(Graph(file), ['preprocess', *['x'] * 21])


def test_compiled_for_the_edge_tpu(data: bytes) -> None:
    def change(model: Any) -> None:
        code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CUSTOM
        code.customCode = 'edgetpu-custom-op'

    with pytest.raises(ModelError, match='compiled for the Edge TPU; name the int8 file'):
        check_cuttable(Graph(changed(data, change)))


def test_not_like_vgg(data: bytes) -> None:
    def change(model: Any) -> None:
        code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.TANH

    with pytest.raises(ModelError, match='not like VGG: it has the operator TANH'):
        named_layers(Graph(changed(data, change)), [])


@pytest.mark.parametrize(('images', 'message'), [
    ([], 'no representative images'),
    ([np.zeros((8, 8, 3), np.uint8)], r'is uint8 \(8, 8, 3\), not uint8 \(32, 32, 3\)'),
    ([np.zeros((32, 32, 3), np.float32)], 'is float32'),
])
def test_representative_images(tiny: Any, images: list[np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_int8(tiny, images)


def test_representative_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='holds no representative images'):
        folder_images(tmp_path, (8, 8, 3))
    (tmp_path / 'a.txt').write_bytes(b'junk')
    with pytest.raises(ModelError, match='holds no representative images'):
        folder_images(tmp_path, (8, 8, 3))
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8\xff junk')
    with pytest.raises(ModelError, match=r'cannot read .*a\.jpg.*remove or replace it'):
        folder_images(tmp_path, (8, 8, 3))


def test_default_images_are_uint8_of_the_asked_size() -> None:
    images = default_images((24, 40, 3), 6)
    assert images.shape == (6, 24, 40, 3) and images.dtype == np.uint8
    assert images.std() > 20


NAME = 'n' * 5000


def metadata_name(model: Any) -> None:
    record = schema().MetadataT()
    record.name, model.metadata = NAME, [record]


def graph_name(model: Any) -> None:
    model.subgraphs[0].name = NAME


def signature_name(model: Any) -> None:
    signature = schema().SignatureDefT()
    signature.signatureKey, model.signatureDefs = NAME, [signature]


def name_in_options(model: Any) -> None:
    options = schema().VarHandleOptionsT()
    options.container = options.sharedName = NAME
    operator = model.subgraphs[0].operators[0]
    operator.builtinOptions = options
    operator.builtinOptionsType = schema().BuiltinOptions.VarHandleOptions


def name_in_newer_options(model: Any) -> None:
    options = schema().StablehloCustomCallOptionsT()
    options.callTargetName = options.backendConfig = NAME
    operator = model.subgraphs[0].operators[0]
    operator.builtinOptions2 = options
    operator.builtinOptions2Type = schema().BuiltinOptions2.StablehloCustomCallOptions


@pytest.mark.parametrize('change', [metadata_name, graph_name, signature_name, name_in_options,
                                    name_in_newer_options])
def test_long_names_are_refused_wherever_they_are(data: bytes, change: Callable[..., Any]) -> None:
    """Ten thousand parts that share a name of megabytes would become as many copies of it."""
    with pytest.raises(ModelError, match='5000 characters in a name, more than'):
        Graph(changed(data, change))


def no_buffer(model: Any) -> None:
    model.subgraphs[0].tensors[1].buffer = len(model.buffers)


def no_tensor(model: Any) -> None:
    operator = model.subgraphs[0].operators[3]
    operator.inputs = np.array([operator.inputs[0], 9999], np.int32)


def no_operator_code(model: Any) -> None:
    model.subgraphs[0].operators[1].opcodeIndex = 99


def no_tensors(model: Any) -> None:
    model.subgraphs[0].tensors = None


@pytest.mark.parametrize('change', [no_buffer, no_tensor, no_operator_code, no_tensors])
def test_what_refers_to_nothing_is_a_broken_file(data: bytes, change: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=r'm\.tflite is a broken \.tflite file .*copy it again'):
        Graph(changed(data, change), 'm.tflite')


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_flipped_bytes_lead_to_our_errors_alone(seed: int) -> None:
    file = bytearray((BUNDLED / 'aerial/segments/01_block1_conv1.tflite').read_bytes())
    rng = np.random.default_rng(seed)
    for index in rng.integers(8, len(file), rng.integers(1, 9)):
        file[index] = rng.integers(256)
    try:
        graph = Graph(bytes(file))
        check_dense(graph)
        graph.segment(0, len(graph.operators))
        operator_layers(graph)
        read_metadata(graph, bytes(file))
        check_cuttable(graph)
        named_layers(graph, ['only'])
    except ModelError:
        pass
