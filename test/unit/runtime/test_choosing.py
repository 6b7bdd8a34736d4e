import platform
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offload_perception.errors import ConfigError, RuntimeUnavailableError
from offload_perception.runtime import select
from offload_perception.runtime.select import resolve


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Pretend to be a machine with some runtimes installed."""

    def pretend(*modules: Any, processor: str = 'x86_64', flags: Any = ()) -> None:
        monkeypatch.setattr(select, 'find_spec', lambda name: name in modules or None)
        monkeypatch.setattr(platform, 'machine', lambda: processor)
        monkeypatch.setattr(select, '_cpu_flags', lambda: set(flags))

    return pretend


@pytest.mark.parametrize(('modules', 'processor', 'runtime', 'rivals'), [
    (['ai_edge_litert', 'openvino', 'tensorflow'], 'x86_64', 'litert', ('litert', 'openvino')),
    (['ai_edge_litert', 'openvino'], 'aarch64', 'litert', ('litert',)),
    (['tflite_runtime', 'tensorflow'], 'armv7l', 'tflite_runtime', ('tflite_runtime',)),
    (['tensorflow'], 'aarch64', 'tensorflow', ('tensorflow',)),
    (['openvino'], 'x86_64', 'openvino', ('openvino',))])
def test_default_by_platform(machine: Callable[..., Any], modules: list[str], processor: str,
                             runtime: str, rivals: tuple[str, ...]) -> None:
    machine(*modules, processor=processor)
    choice = resolve(device='cpu')
    assert (choice.device, choice.runtime, choice.rivals) == ('cpu', runtime, rivals)
    assert not choice.fallback


def test_the_log_line_names_runtime_device_and_reason(machine: Callable[..., Any]) -> None:
    machine('ai_edge_litert')
    assert str(resolve('cpu')) == 'runtime litert on cpu (the only one installed)'


def test_a_runtime_by_name_has_no_rivals(machine: Callable[..., Any]) -> None:
    machine('ai_edge_litert', 'openvino')
    assert resolve('cpu', 'litert').rivals == ('litert',)


@pytest.mark.parametrize(('flags', 'warned'), [((), True), (('avx512_vnni',), False)])
def test_openvino_by_name_warns_of_saturation_without_vnni(machine: Callable[..., Any],
                                                           flags: tuple[str, ...],
                                                           warned: bool) -> None:
    machine('openvino', flags=flags)
    assert ('may saturate' in resolve('cpu', 'openvino').reason) is warned


def test_nothing_installed_says_what_to_install(machine: Callable[..., Any]) -> None:
    machine()
    with pytest.raises(RuntimeUnavailableError, match='pip install ai-edge-litert'):
        resolve('cpu')


@pytest.mark.parametrize(('runtime', 'package'), [
    ('litert', 'ai-edge-litert'), ('tensorflow', 'tensorflow'), ('openvino', 'openvino')])
def test_a_missing_runtime_by_name_says_what_to_install(machine: Callable[..., Any], runtime: str,
                                                        package: str) -> None:
    machine()
    with pytest.raises(RuntimeUnavailableError, match=f'pip install {package}'):
        resolve('cpu', runtime)


def test_pycoral_only_by_name_or_where_nothing_else_is(machine: Callable[..., Any]) -> None:
    machine('pycoral.utils.edgetpu')
    assert resolve('edgetpu').runtime == 'pycoral'
    machine('pycoral.utils.edgetpu', 'ai_edge_litert')
    assert resolve('edgetpu').runtime == 'litert'
    assert resolve('edgetpu', 'pycoral').runtime == 'pycoral'
    with pytest.raises(RuntimeUnavailableError, match='Edge TPU alone'):
        resolve('cpu', 'pycoral')
    machine('ai_edge_litert')
    with pytest.raises(RuntimeUnavailableError, match='that of this name on PyPI is another'):
        resolve('edgetpu', 'pycoral')


@pytest.mark.parametrize(('python', 'numpy', 'told'), [
    ((3, 11, 2), '1.26.4', 'pip install tflite-runtime'),
    ((3, 12, 3), '1.26.4', 'this is Python 3.12 with numpy 1.26.4: use ai-edge-litert'),
    ((3, 11, 2), '2.4.6', 'this is Python 3.11 with numpy 2.4.6: use ai-edge-litert')])
def test_tflite_runtime_says_what_stands_in_its_way(
        machine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, python: tuple[int, ...],
        numpy: str, told: str) -> None:
    machine()
    monkeypatch.setattr(sys, 'version_info', python)
    monkeypatch.setattr(np, '__version__', numpy)
    with pytest.raises(RuntimeUnavailableError, match=told):
        resolve('cpu', 'tflite_runtime')


@pytest.mark.parametrize(('device', 'runtime', 'named'), [
    ('tpu', 'auto', "device 'tpu'"), ('cpu', 'onnx', "runtime 'onnx'")])
def test_an_unknown_name_lists_the_known_ones(device: str, runtime: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f'{named} is unknown; use one of auto'):
        resolve(device, runtime)
