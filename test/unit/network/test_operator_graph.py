"""Any network as a graph: what crosses at a cut, names, work, pixels and meanings."""

import re
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import pytest
from unit.litert import run_whole
from unit.networks import SEEDED, photographs, real, seeded

from offload_perception.errors import ModelError
from offload_perception.network.flatbuffer import pack, schema, unpack
from offload_perception.network.layer_cuts import LayerCut, operator_layers
from offload_perception.network.layer_names import LONGEST, RESERVED
from offload_perception.network.operator_graph import Graph
from offload_perception.network.output_meaning import Meaning, meaning_of
from offload_perception.network.pixels import PixelInput, PixelRule
from offload_perception.preparation.tflite_file import check_cuttable
from offload_perception.preparation.tflite_metadata import read_metadata
from offload_perception.tensor import TensorSpec


def changed(data: bytes, change: Callable[[Any], object]) -> Graph:
    model = unpack(data, 'test')
    change(model)
    return Graph(pack(model), 'mine.tflite')


def by_name(graph: Graph) -> dict[str, LayerCut]:
    return {layer.name: layer for layer in operator_layers(graph)}


@pytest.mark.parametrize('name', SEEDED)
def test_boundaries_hold_what_is_made_before_and_used_after(name: str) -> None:
    graph = Graph(seeded(name))
    assert graph.boundary(0) == graph.inputs
    assert set(graph.boundary(len(graph.operators))) == set(graph.outputs)
    for stop in range(1, len(graph.operators)):
        made = {*graph.inputs, *(int(i) for o in graph.operators[:stop] for i in o.outputs)}
        used = {int(i) for o in graph.operators[stop:] for i in o.inputs} | {*graph.outputs}
        assert set(graph.boundary(stop)) == made & used
        assert len(set(graph.boundary(stop))) == len(graph.boundary(stop))


@pytest.mark.parametrize('name', SEEDED)
def test_layers_chain_and_have_names_of_their_own(name: str) -> None:
    layers = operator_layers(Graph(seeded(name)))
    assert [layer.first for layer in layers[1:]] == [layer.stop for layer in layers[:-1]]
    check_names([layer.name for layer in layers])
    assert [layer.name for layer in operator_layers(Graph(seeded(name)))] == [
        layer.name for layer in layers]


def check_names(names: list[str]) -> None:
    assert len(set(names)) == len(names)
    for name in names:
        assert name not in RESERVED and not name.lstrip('-').isdecimal()
        assert 0 < len(name) <= LONGEST + 8 and re.fullmatch(r'[\w./\-]+', name, re.ASCII), name


@pytest.mark.parametrize(('name', 'wanted'), [
    ('mobilenet_v2_1.0_224_quant', ['Conv', 'expanded_conv_2/add', 'Predictions/Softmax']),
    ('ssd_mobilenet_v1_coco_quant', ['FeatureExtractor/MobilenetV1/Conv2d_0', 'concat_1',
                                     'TFLite_Detection_PostProcess']),
    ('deeplabv3_mnv2_dm05_pascal_quant', ['ArgMax'])])
def test_names_of_real_networks_are_short_scopes(name: str, wanted: list[str]) -> None:
    names = list(by_name(Graph(real(f'{name}.tflite').read_bytes())))
    check_names(names)
    assert set(wanted) <= set(names), names


def test_work_and_weights_come_from_the_operators() -> None:
    layers = operator_layers(Graph(seeded('residual')))
    convs = [layer for layer in layers if layer.kind == 'conv']
    assert [layer.macs for layer in convs] == [16 * 16 * 8 * 9 * 3, *[16 * 16 * 8 * 9 * 8] * 4]
    assert [layer.weight_bytes for layer in convs] == [8 * 27 + 32, *[8 * 72 + 32] * 4]
    dense, = (layer for layer in layers if layer.kind == 'fc')
    assert (dense.macs, dense.weight_bytes) == (80, 80)  # its bias is zero and left out
    depthwise = [layer for layer in operator_layers(Graph(seeded('mobilenet')))
                 if layer.kind == 'depthwise']
    assert len(depthwise) == 17 and depthwise[0].macs == 16 * 16 * 16 * 9


def test_mobilenet_v2_has_its_published_work() -> None:
    layers = operator_layers(Graph(real('mobilenet_v2_1.0_224_quant.tflite').read_bytes()))
    published = 300_774_272  # of 1000 classes, "300 million" in arXiv:1801.04381; here are 1001
    assert sum(layer.macs for layer in layers) == published + 1280


@pytest.mark.parametrize('name', ['concatenation', 'two_outputs'])
def test_shapes_that_are_computed_are_constants_here(name: str) -> None:
    """Converters put SHAPE, STRIDED_SLICE and PACK into networks of an open batch."""
    file = seeded(name)
    whole = unpack(file, name)
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in whole.operatorCodes]
    assert schema().BuiltinOperator.SHAPE in codes  # else this shows nothing
    graph = Graph(file)
    assert {graph.opcode(o) for o in graph.operators}.isdisjoint(
        {'SHAPE', 'STRIDED_SLICE', 'PACK'})
    part, image = graph.segment(0, len(graph.operators)), photographs(1)[0]
    found = dict(zip(graph.ends(0, len(graph.operators))[1], run_whole(part, image), strict=True))
    for index, y in zip(graph.outputs, run_whole(file, image), strict=True):
        np.testing.assert_array_equal(found[index], y)


def test_float16_weights_are_dequantised_where_they_are_used() -> None:
    graph = Graph(seeded('float16_weights'))
    assert 'DEQUANTIZE' not in {graph.opcode(o) for o in graph.operators}
    part = Graph(graph.segment(1, 2))
    assert len(part.operators) == 1 and len(part.subgraph.operators) > 1


# -- refusals -------------------------------------------------------------------------------


def several_images(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors.append(graph.tensors[graph.inputs[0]])
    graph.inputs = np.array([*graph.inputs, len(graph.tensors) - 1], np.int32)


def grey(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = np.array([1, 32, 32, 1], np.int32)


def open_height(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = np.array([-1, -1, 32, 3], np.int32)


def variable(model: Any) -> None:
    model.subgraphs[0].tensors[3].isVariable = True


def strings(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema().TensorType.STRING


def for_the_edge_tpu(model: Any) -> None:
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CUSTOM
    code.customCode = 'edgetpu-custom-op'


@pytest.mark.parametrize(('change', 'message'), [
    (several_images, 'takes 2 images; only a network of one image can be cut'),
    (grey, r'not one RGB image \(1, height, width, 3\) of a fixed size; export it'),
    (open_height, r'not one RGB image \(1, height, width, 3\) of a fixed size; export it'),
    (variable, 'keeps state from one image to the next.*use a network that takes one image'),
    (strings, 'cannot cross a cut; use a network of int8, uint8 or float tensors'),
    (for_the_edge_tpu, 'compiled for the Edge TPU; name the int8 file'),
])
def test_what_cannot_be_cut_is_refused_in_one_sentence(change: Callable[[Any], None],
                                                       message: str) -> None:
    graph = changed(seeded('residual'), change)
    with pytest.raises(ModelError, match=message) as e:
        check_cuttable(graph)
    assert '\n' not in str(e.value) and str(e.value).startswith('mine.tflite')


def test_an_open_batch_is_one_image() -> None:
    check_cuttable(Graph(seeded('concatenation')))


def test_a_network_with_state_is_refused() -> None:
    graph = Graph(real('stateful_lstm_detector.tflite').read_bytes(), 'lstm.tflite')
    with pytest.raises(ModelError, match=r'lstm\.tflite keeps state .*init_lstm_c.*one image'):
        check_cuttable(graph)


# -- pixels ---------------------------------------------------------------------------------


@pytest.mark.parametrize(('spec', 'rule', 'expected'), [
    (TensorSpec((2, 2, 3), 'uint8', 1 / 128, 128), PixelRule(), lambda x: x.astype(np.uint8)),
    (TensorSpec((2, 2, 3), 'int8', 1 / 128, 0), PixelRule(),
     lambda x: (x - 128).astype(np.int8)),
    (TensorSpec((2, 2, 3), 'float32'), PixelRule.preset('inside'), lambda x: x.astype(np.float32)),
    (TensorSpec((2, 2, 3), 'float32'), PixelRule.preset('unit'),
     lambda x: (x / 255).astype(np.float32)),
    (TensorSpec((2, 2, 3), 'float32'), PixelRule.preset('tf'),
     lambda x: (x / 127.5 - 1).astype(np.float32)),
    (TensorSpec((2, 2, 3), 'float32'), PixelRule.preset('caffe'),
     lambda x: (x[..., ::-1] - [103.939, 116.779, 123.68]).astype(np.float32)),
    (TensorSpec((2, 2, 3), 'int8', 0.01, -5), PixelRule.preset('tf'),
     lambda x: np.clip(np.rint((x / 127.5 - 1) / 0.01) - 5, -128, 127).astype(np.int8)),
])
def test_pixels_become_the_input_as_the_rule_says(spec: TensorSpec, rule: PixelRule,
                                                  expected: Callable[[np.ndarray], np.ndarray],
                                                  ) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 2, 3), np.uint8)
    image[0, 0], image[1, 1] = 0, 255
    found = PixelInput(spec, rule).apply(image)
    wanted = expected(image.astype(np.float64))
    assert found.dtype == spec.dtype and found.shape == image.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def test_pixels_of_raw_uint8_are_not_copied() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    assert PixelInput(TensorSpec((2, 2, 3), 'uint8', 0.5, 7)).apply(image) is image


@pytest.mark.parametrize(('mean', 'std'), [((1.0,), (1.0,)), ((0.0,) * 3, (1.0, 0.0, 1.0)),
                                           ((float('nan'),) * 3, (1.0,) * 3)])
def test_a_rule_that_is_none_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match='three finite numbers'):
        PixelRule(mean, std)


def test_a_file_without_metadata_has_none() -> None:
    file = seeded('residual')
    found = read_metadata(Graph(file), file)
    assert (found.rule, found.labels) == (None, ())


# -- what outputs mean ----------------------------------------------------------------------

BOXES, LIST, ONE = ((10, 4), (10,), (1,))


def specs(*shapes: tuple[int, ...]) -> list[TensorSpec]:
    return [TensorSpec(shape, 'float32') for shape in shapes]


@pytest.mark.parametrize(('shapes', 'names', 'expected'), [
    (((1001,),), 'a', Meaning()),
    (((1, 1, 1001),), 'a', Meaning()),
    ((BOXES, LIST, LIST, ONE), 'abcd', Meaning('detection', 2, 0, 1, 3)),
    ((LIST, BOXES, ONE, LIST), ('x:1_scores', 'x', 'n', 'y_classes'),
     Meaning('detection', 0, 1, 3, 2)),
    (((65, 65),), 'a', Meaning('segmentation', 0)),
    (((33, 33, 21),), 'a', Meaning('segmentation', 0)),
    (((5, 4), (7, 3)), 'ab', Meaning('tensors', -1)),
])
def test_what_outputs_mean_is_found_from_their_shapes(
        shapes: tuple[tuple[int, ...], ...], names: Any, expected: Meaning) -> None:
    assert meaning_of(specs(*shapes), list(names)) == expected


def test_the_operators_order_beats_names() -> None:
    found = meaning_of(specs(BOXES, LIST, LIST, ONE), list('abcd'), post_process=(0, 2, 1, 3))
    assert (found.classes, found.scores) == (2, 1)


def test_a_wish_that_cannot_be_is_refused() -> None:
    assert meaning_of(specs((1001,)), ['a'], 'tensors').kind == 'tensors'
    with pytest.raises(ModelError, match=r'\(1001,\) are no detection; leave the task out'):
        meaning_of(specs((1001,)), ['a'], 'detection')
    with pytest.raises(ModelError, match="task 'poses' is unknown; use one of classification"):
        meaning_of(specs((1001,)), ['a'], 'poses')


# -- operators whose results nobody uses, and files that are not what they say ---------------


def add_operator(model: Any, name: str, outputs: int = 1,
                 inputs: tuple[int, ...] = ()) -> list[int]:
    """Add an operator at the end, on the image if not told else; return what it makes."""
    s, graph = schema(), model.subgraphs[0]
    code, operator = s.OperatorCodeT(), s.OperatorT()
    code.builtinCode = getattr(s.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    model.operatorCodes.append(code)
    first = len(graph.tensors)
    for k in range(outputs):
        graph.tensors.append(copy(graph.tensors[graph.inputs[0]]))
        graph.tensors[-1].name = f'unused{k}'
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = np.array(inputs or graph.inputs, np.int32)
    operator.outputs = np.arange(first, first + outputs, dtype=np.int32)
    graph.operators.append(operator)
    return list(range(first, first + outputs))


def two_unused(model: Any) -> None:
    made = add_operator(model, 'FLOOR')
    add_operator(model, 'FLOOR', inputs=(made[0],))


def test_operators_whose_results_nobody_uses_are_left_out() -> None:
    plain, graph = Graph(seeded('residual')), changed(seeded('residual'), two_unused)
    assert len(graph.subgraph.operators) == len(plain.subgraph.operators) + 2
    assert [graph.opcode(o) for o in graph.operators] == [
        plain.opcode(o) for o in plain.operators]
    for k in range(len(plain.operators)):
        assert graph.ends(k, k + 1) == plain.ends(k, k + 1)


def test_state_that_nothing_is_made_of_is_refused_too() -> None:
    graph = changed(seeded('residual'), lambda m: add_operator(m, 'ASSIGN_VARIABLE', outputs=0))
    assert 'ASSIGN_VARIABLE' not in {graph.opcode(o) for o in graph.operators}
    with pytest.raises(ModelError, match=r'keeps state .*\(ASSIGN_VARIABLE\)'):
        check_cuttable(graph)


def made_twice(model: Any) -> None:
    operators = model.subgraphs[0].operators
    operators[3].outputs = operators[2].outputs


def made_of_a_constant(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.operators[3].outputs = graph.operators[3].inputs[1:2]


def gives_its_input(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.outputs = np.array([*graph.outputs, *graph.inputs], np.int32)


def gives_nothing(model: Any) -> None:
    model.subgraphs[0].outputs = None


def wrong_order(model: Any) -> None:
    operators = model.subgraphs[0].operators
    operators[2], operators[3] = operators[3], operators[2]


def no_text(model: Any) -> None:
    model.subgraphs[0].tensors[4].name = b'a\xff'


def many_operators(model: Any) -> None:
    model.subgraphs[0].operators *= 500


def long_name(model: Any) -> None:
    model.subgraphs[0].tensors[4].name = 'x' * 5000


def many_dimensions(model: Any) -> None:
    model.subgraphs[0].tensors[4].shape = np.ones(40, np.int32)


@pytest.mark.parametrize(('change', 'message'), [
    (made_twice, 'is a broken .*a tensor is made twice'),
    (made_of_a_constant, 'made twice'),
    (gives_its_input, 'gives out its own input; export it without'),
    (gives_nothing, 'has no input or no output'),
    (wrong_order, 'CONV_2D comes before what it needs'),
    (no_text, "broken .*UnicodeDecodeError: 'utf-8'"),
    (many_operators, 'has 6000 operators, more than 4096'),
    (long_name, 'has 5000 characters in a name, more than 4096'),
    (many_dimensions, 'has 40 dimensions, more than 32'),
])
def test_what_no_network_has_is_refused_when_it_is_read(change: Callable[[Any], None],
                                                        message: str) -> None:
    with pytest.raises(ModelError, match=message) as e:
        changed(seeded('residual'), change)
    assert '\n' not in str(e.value) and str(e.value).startswith('mine.tflite')


@pytest.mark.parametrize(('scale', 'zero_point'), [(float('nan'), 0), (-1.0, 0), (1.0, 300),
                                                   (float('inf'), 0)])
def test_a_scale_that_is_none_is_refused(scale: float, zero_point: int) -> None:
    def change(model: Any) -> None:
        q = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization
        q.scale, q.zeroPoint = np.array([scale], np.float32), np.array([zero_point])

    graph = changed(seeded('residual'), change)
    with pytest.raises(ModelError, match=r'has scale .* and zero point'):
        graph.spec(graph.inputs[0])


def test_a_float_tensor_has_no_scale_whatever_the_file_says() -> None:
    def change(model: Any) -> None:
        tensor, q = model.subgraphs[0].tensors[0], schema().QuantizationParametersT()
        q.scale, q.zeroPoint = np.array([0.5], np.float32), np.array([3])
        tensor.type, tensor.quantization = schema().TensorType.FLOAT32, q

    spec = changed(seeded('float32'), change).spec(0)
    assert (spec.dtype, spec.scale, spec.zero_point) == ('float32', 1.0, 0)


def test_operators_on_constants_alone_are_found_in_a_line_of_many() -> None:
    """Each takes two results of those before: following every way would never end."""
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        weights = int(graph.operators[1].inputs[1])
        last = [weights, weights]
        for _ in range(60):
            last = [add_operator(model, 'ADD', inputs=(last[0], last[1]))[0] for _ in range(2)]
        graph.operators = [*graph.operators[-120:], *graph.operators[:-120]]
        conv = graph.operators[121]
        conv.inputs = np.array([conv.inputs[0], last[0], *conv.inputs[2:]], np.int32)

    graph = changed(seeded('residual'), change)
    assert len(graph.operators) == 12
    assert len(Graph(graph.segment(1, 2)).subgraph.operators) == 1 + 2 * 59 + 1


# -- names ----------------------------------------------------------------------------------


def renamed(name: Callable[[int], str]) -> list[str]:
    """Return the names of the layers if operator k makes a tensor of the name that is given."""
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        for k, operator in enumerate(graph.operators):
            graph.tensors[int(operator.outputs[0])].name = name(k)

    return [layer.name for layer in operator_layers(changed(seeded('residual'), change))]


def test_names_that_clash_when_they_are_shortened_stay_apart() -> None:
    def name(k: int) -> str:
        return f'net/scope{k}/' + 'x' * 60

    names = renamed(name)
    check_names(names)
    assert names == renamed(name)  # on every machine
    assert all('x' * 20 in each for each in names)
    check_names(renamed(lambda k: f'net/{"y" * 100}/{"x" * 200}'))
    check_names(renamed(lambda k: 'one'))


@pytest.mark.parametrize('name', ['input', 'auto', '-1', '7', '\uff11\uff12', '../../../etc',
                                  'a\x1b[2J', 'Stra\xdfe/gr\xf6\xdfe', ';;', '/', '', '\n',
                                  'Identity1'])
def test_names_are_fit_for_options_files_and_terminals(name: str) -> None:
    check_names(renamed(lambda k: name))


def test_a_custom_operator_of_any_name_has_a_name_of_its_own() -> None:
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        model.operatorCodes[graph.operators[5].opcodeIndex].builtinCode = 32
        model.operatorCodes[graph.operators[5].opcodeIndex].customCode = '../\x1bauto' + 'z' * 900
        for operator in graph.operators:
            graph.tensors[int(operator.outputs[0])].name = ''

    layers = operator_layers(changed(seeded('residual'), change))
    check_names([layer.name for layer in layers])
    assert all(layer.kind.isprintable() and len(layer.kind) <= 200 for layer in layers)
