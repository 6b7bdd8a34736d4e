from dataclasses import replace
from pathlib import Path

import pytest
from unit.networks import real
from unit.runtime.stand_in import compile_layers, custom_op_file
from unit.runtime.tiny_model import build_artefact

from offload_perception.edgetpu.compile import report
from offload_perception.errors import ConfigError, DeviceError, ModelError, RuntimeUnavailableError
from offload_perception.network.artefact import Artefact
from offload_perception.network.layer_cuts import operator_layers
from offload_perception.network.operator_graph import Graph
from offload_perception.runtime.edgetpu_plan import (
    compiled_file,
    has_custom_op,
    macs_left,
    make_plan,
    parse_devices,
    share_off_device,
    spread,
)
from offload_perception.runtime.select import edgetpu_choice
from offload_perception.tensor import TensorSpec, total_bytes


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    artefact = build_artefact(tmp_path)
    compile_layers(artefact, range(2, 4))
    return artefact


@pytest.mark.parametrize('text', ['', 'usb', 'pci', ':0', ':1', 'usb:0', 'pci:12'])
def test_takes_the_device_strings_of_libedgetpu(text: str) -> None:
    assert parse_devices(text) == [text]


@pytest.mark.parametrize('text', ['usb0', 'cpu', 'usb:', ':', 'usb:0,tpu', 'USB'])
def test_refuses_other_device_strings(text: str) -> None:
    with pytest.raises(ConfigError, match='is unknown; use usb, pci'):
        parse_devices(text)


def test_several_sticks_share_the_weights() -> None:
    assert parse_devices('usb:0, usb:1') == ['usb:0', 'usb:1']
    assert spread([10, 0, 10, 10, 10], 2) == [0, 0, 0, 1, 1]
    assert spread([1, 1, 100], 3) == [0, 0, 1]
    assert spread([0, 0], 2) == [0, 0]
    assert spread([5], 1) == [0]


def test_compiled_layers_go_to_the_device_and_the_rest_to_the_cpu(artefact: Artefact) -> None:
    plan = make_plan(artefact, 'usb', runtime='litert', threads=1)
    assert [load.device for load in plan.loads] == [None, 'usb', 'usb', None, None, None]
    assert plan.loads[1].file == compiled_file(artefact, 2)
    assert plan.loads[0].file == artefact.segment_file(1)
    sizes = [total_bytes(artefact.tensors(k)) for k in range(7)]
    assert plan.tensor_bytes == max(sizes) == 16 * 16 * 8


def test_share_off_the_device_counts_what_is_not_compiled(artefact: Artefact) -> None:
    plan = make_plan(artefact, '', runtime='litert', threads=1)
    macs = [layer.macs for layer in artefact.layers]
    assert share_off_device(artefact, plan) == pytest.approx(1 - sum(macs[1:3]) / sum(macs))


def test_operators_left_in_a_compiled_file_count(artefact: Artefact, tmp_path: Path) -> None:
    """An uncompiled file stands for one in which the compiler left all on the CPU."""
    for k in (1, 3, 5, 6):
        assert macs_left(artefact.segment_file(k)) == artefact.layers[k - 1].macs
    assert macs_left(compiled_file(artefact, 3)) == 0


def test_a_file_is_compiled_only_with_the_operator(artefact: Artefact, tmp_path: Path) -> None:
    assert has_custom_op(compiled_file(artefact, 2))
    assert not has_custom_op(artefact.segment_file(2))
    assert not has_custom_op(tmp_path / 'none.tflite')
    assert b'edgetpu-custom-op' in custom_op_file(*artefact.end_specs(1, 1))


def test_a_model_without_any_is_refused(tiny: Artefact) -> None:
    with pytest.raises(DeviceError, match='run edgetpu_compiler'):
        make_plan(tiny, '', runtime='litert', threads=1)


def test_a_float_network_is_refused(tiny: Artefact) -> None:
    floats = {i: TensorSpec(spec.shape, 'float32') for i, spec in tiny.specs.items()}
    with pytest.raises(DeviceError, match='a float network, and the Edge TPU runs int8 alone'):
        make_plan(replace(tiny, specs=floats), '', runtime='litert', threads=1)
    with pytest.raises(ModelError, match='a float network, and the Edge TPU runs int8 alone'):
        report(replace(tiny, specs=floats))


def test_depthwise_convolutions_left_count(tmp_path: Path) -> None:
    graph = Graph(real('mobilenet_v2_1.0_224_quant.tflite').read_bytes())
    layer = operator_layers(graph)[1]
    (tmp_path / 'd.tflite').write_bytes(graph.segment(layer.first, layer.stop))
    assert macs_left(tmp_path / 'd.tflite') == layer.macs == 112 * 112 * 9 * 32


def test_openvino_takes_no_edge_tpu() -> None:
    with pytest.raises(RuntimeUnavailableError, match='takes no Edge TPU'):
        edgetpu_choice('openvino')
