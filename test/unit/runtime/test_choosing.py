import platform
from collections.abc import Callable
from typing import Any

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
    ('litert', 'ai-edge-litert'), ('tflite_runtime', 'tflite-runtime'),
    ('tensorflow', 'tensorflow'), ('openvino', 'openvino')])
def test_a_missing_runtime_by_name_says_what_to_install(machine: Callable[..., Any], runtime: str,
                                                        package: str) -> None:
    machine()
    with pytest.raises(RuntimeUnavailableError, match=f'pip install {package}'):
        resolve('cpu', runtime)


@pytest.mark.parametrize(('device', 'runtime', 'named'), [
    ('tpu', 'auto', "device 'tpu'"), ('cpu', 'onnx', "runtime 'onnx'")])
def test_an_unknown_name_lists_the_known_ones(device: str, runtime: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f'{named} is unknown; use one of auto'):
        resolve(device, runtime)
