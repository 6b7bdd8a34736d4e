"""The Edge TPU's path from end to end, on a stand-in delegate of our own: no Coral is here."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from unit.runtime.stand_in import build_delegate, bus_with_stick, compile_layers, computed
from unit.runtime.tiny_model import build_artefact, image

from offload_perception.errors import ConfigError, DeviceError, ModelError
from offload_perception.network.artefact import Artefact
from offload_perception.network.digest import file_digest
from offload_perception.runtime import failover
from offload_perception.runtime import open_network as opening
from offload_perception.runtime.chain import Chain
from offload_perception.runtime.edgetpu import EdgeTpuNetwork
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.golden import golden_run, keep_golden
from offload_perception.runtime.loaded_network import LoadedNetwork
from offload_perception.runtime.open_network import open_network
from offload_perception.runtime.select import edgetpu_choice, resolve

pytestmark = pytest.mark.skipif(not shutil.which('gcc'), reason='gcc builds the stand-in')


@pytest.fixture(scope='module')
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_delegate(tmp_path_factory.mktemp('delegate'), 'gcc'))


@pytest.fixture(scope='module')
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """The convolutions and poolings are compiled, the dense layers are not."""
    artefact = build_artefact(tmp_path_factory.mktemp('compiled'))
    compile_layers(artefact, range(1, 5))
    return replace(artefact, golden_sha256='')  # the stand-in computes something of its own


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return bus_with_stick(tmp_path)


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make the stand-in misbehave, or with an empty word behave again."""
    file = tmp_path / 'fault'
    monkeypatch.setenv('STAND_IN_FAULT', str(file))

    def tell(word: str) -> None:
        Path(f'{file}.new').write_text(word)
        os.replace(f'{file}.new', file)

    return tell


@pytest.fixture
def opened(compiled: Artefact, library: str, bus: Bus) -> Iterator[Callable[..., Any]]:
    """Open networks and close them after the test."""
    networks = []

    def open_one(device: str = 'edgetpu', artefact: Any = compiled, **kwargs: Any) -> Any:
        networks.append(open_network(artefact, device, **{
            'library': library, 'bus': bus, 'threads': 1, **kwargs}))
        return networks[-1]

    yield open_one
    for network in networks:
        network.close()


def on_stand_in(artefact: Artefact, cut: int, x: Any = None) -> np.ndarray:
    """Return the head that the stand-in computes."""
    x = image() if x is None else x
    for k in range(1, cut + 1):
        spec, = artefact.tensors(k)
        x = computed(x, spec)
    return x


@pytest.fixture(scope='module')
def healthy(compiled: Artefact, library: str,
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedNetwork]:
    network = open_network(compiled, 'edgetpu', library=library, threads=1,
                           bus=bus_with_stick(tmp_path_factory.mktemp('bus')))
    yield network
    network.close()


@pytest.mark.parametrize('cut', range(5))
def test_stand_in_runs_every_compiled_head(healthy: LoadedNetwork, compiled: Artefact,
                                           cut: int) -> None:
    assert np.array_equal(healthy.head(cut, image()), (on_stand_in(compiled, cut),))


def test_stand_in_says_what_ran_where(healthy: LoadedNetwork) -> None:
    healthy.head(6, image())
    assert [t.device for t in healthy.times] == ['edgetpu'] * 4 + ['cpu'] * 2
    assert (healthy.ran, healthy.ran_on) == ('litert', 'edgetpu+cpu')
    assert all(t.seconds > 0 for t in healthy.times)


def test_stand_in_share_of_multiply_adds_off_the_accelerator(
        healthy: LoadedNetwork, compiled: Artefact) -> None:
    macs = [layer.macs for layer in compiled.layers]
    share = sum(macs[4:]) / sum(macs)
    assert healthy.describe().endswith(
        f'segments on edgetpu; {share:.1%} of the multiply-adds off the accelerator')
    assert share > 0.01


def test_stand_in_segments_spread_over_two_sticks(opened: Callable[..., Any]) -> None:
    network = opened(edgetpu_devices='usb:0,usb:1')
    network.head(4, image())
    assert [t.device for t in network.times] == ['edgetpu usb:0'] * 2 + ['edgetpu usb:1'] * 2


@pytest.mark.parametrize(('device', 'named'), [('', ':0'), ('usb', 'usb:0'), ('pci:1', 'pci:1')])
def test_stand_in_is_told_its_clock_by_a_numbered_device(
        opened: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str,
        named: str) -> None:
    monkeypatch.setenv('STAND_IN_OPTIONS', str(tmp_path / 'options'))
    network = opened(edgetpu_devices=device, edgetpu_performance='low')
    told = set((tmp_path / 'options').read_text().split())
    assert told == {f'device={named}', 'Performance=Low'}
    assert np.array_equal(network.head(2, image()), network.head(2, image()))


def test_stand_in_whose_results_are_not_the_models_is_refused(
        opened: Callable[..., Any], compiled: Artefact) -> None:
    named = replace(compiled, golden_sha256=file_digest(compiled.golden_file))
    with pytest.raises(DeviceError, match=r'computes tiny otherwise .* at .* by \d+ quanta'):
        opened(artefact=named)
    fallen = opened('auto', artefact=named)
    assert fallen.choice.device == 'cpu' and 'otherwise' in fallen.choice.fallback


def test_stand_in_whose_results_are_the_models_says_so(
        compiled: Artefact, tmp_path: Path, opened: Callable[..., Any],
        healthy: LoadedNetwork) -> None:
    shutil.copytree(compiled.path, tmp_path / 'own')
    own = replace(compiled, path=tmp_path / 'own')
    own = keep_golden(own, golden_run(own, healthy.run))
    assert 'golden run: equal' in opened(artefact=own).describe()


GOOGLE = {
    'pycoral/__init__.py': '', 'pycoral/utils/__init__.py': '', 'tflite_runtime/__init__.py': '',
    'tflite_runtime/interpreter.py': 'from ai_edge_litert.interpreter import *\n'
                                     'from ai_edge_litert.interpreter import load_delegate\n',
    'pycoral/utils/edgetpu.py': """
import os
import tflite_runtime.interpreter as tflite

def load_edgetpu_delegate(options=None):
    return tflite.load_delegate(os.environ['STAND_IN_LIBRARY'], options or {})

def make_interpreter(model_path_or_content, device=None, delegate=None):
    delegates = [delegate or load_edgetpu_delegate({'device': device} if device else {})]
    if isinstance(model_path_or_content, bytes):
        return tflite.Interpreter(model_content=model_path_or_content,
                                  experimental_delegates=delegates)
    return tflite.Interpreter(model_path=model_path_or_content, experimental_delegates=delegates)
"""}


@pytest.fixture
def google(tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the signatures of Google's pycoral 2.0, and the interpreter it is for."""
    for name, text in GOOGLE.items():
        file = tmp_path / 'google' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / 'google'))
    monkeypatch.setenv('STAND_IN_LIBRARY', library)


@pytest.mark.usefixtures('google')
def test_pycoral_runs_by_its_name_and_is_reported(opened: Callable[..., Any],
                                                  compiled: Artefact) -> None:
    network = opened(runtime='pycoral', library='libnone.so.1', edgetpu_performance='high')
    assert np.array_equal(network.head(4, image()), (on_stand_in(compiled, 4),))
    assert (network.ran, network.ran_on) == ('pycoral', 'edgetpu :0')
    network.head(5, image())
    assert network.ran == 'pycoral+tflite_runtime'


@pytest.mark.usefixtures('google')
def test_pycoral_is_left_alone_where_there_is_something_else(opened: Callable[..., Any]) -> None:
    assert opened().choice.runtime == 'litert'


def test_stand_in_results_stay_when_the_next_frame_runs(healthy: LoadedNetwork) -> None:
    first, = healthy.head(2, image(1))
    kept = first.copy()
    healthy.head(2, image(2))
    assert np.array_equal(first, kept)


def test_refuses_a_model_without_the_edge_tpu_operator(opened: Callable[..., Any],
                                                       tiny: Artefact) -> None:
    with pytest.raises(DeviceError, match=r'tiny .* is not compiled for the Edge TPU.*'
                                          'run edgetpu_compiler'):
        opened(artefact=tiny)


def test_refuses_without_the_library(opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceError, match=r'libnone\.so\.1 cannot be loaded.*libedgetpu1-std'):
        opened(library='libnone.so.1')


def test_refuses_without_a_device(opened: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r'no Edge TPU is attached.*1a6e:089a'):
        opened(bus=Bus(tmp_path / 'nothing', tmp_path / 'nothing'))


def test_stand_in_refuses_a_stick_that_is_not_there(opened: Callable[..., Any]) -> None:
    with pytest.raises(DeviceError, match=r"'usb:9' refuses .*USB Edge TPU at 2-1"):
        opened(edgetpu_devices='usb:9')


def test_stand_in_refused_for_lack_of_permission(opened: Callable[..., Any],
                                                 fault: Callable[..., Any],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    fault('absent')
    monkeypatch.setattr(os, 'access', lambda *args: False)
    with pytest.raises(DeviceError, match=r'no permission for .*/002/003; add the user to'):
        opened()


def test_stand_in_held_by_another_process_names_it(opened: Callable[..., Any],
                                                   fault: Callable[..., Any], bus: Bus) -> None:
    fault('absent')
    process = bus.proc / '4242'
    (process / 'fd').mkdir(parents=True)
    (process / 'comm').write_text('frigate\n')
    (process / 'fd' / '7').symlink_to(bus.dev / 'bus/usb/002/003')
    with pytest.raises(DeviceError, match=r'is held by frigate \(4242\)'):
        opened()


def test_stand_in_crash_while_loading_tells_of_versions(opened: Callable[..., Any],
                                                        fault: Callable[..., Any]) -> None:
    fault('segv')
    with pytest.raises(DeviceError, match=r'died while loading .SIGSEGV.*matching pair'):
        opened()


def test_refuses_a_device_string_that_libedgetpu_does_not_know(opened: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="'usb0' is unknown"):
        opened(edgetpu_devices='usb0')


def test_auto_falls_back_to_the_cpu_and_says_why(opened: Callable[..., Any],
                                                 tiny: Artefact) -> None:
    network = opened('auto', artefact=tiny)
    assert isinstance(network, Chain) and network.choice.device == 'cpu'
    assert 'not compiled' in network.choice.fallback
    assert 'FALLBACK' in network.describe()


def test_auto_with_a_runtime_that_takes_no_edge_tpu_is_the_cpu(opened: Callable[..., Any]) -> None:
    pytest.importorskip('openvino')
    network = opened('auto', runtime='openvino')
    assert (network.choice.device, network.choice.runtime) == ('cpu', 'openvino')
    assert 'takes no Edge TPU' in network.choice.fallback


@pytest.mark.parametrize(('word', 'told'), [
    ('abort', 'died while running .SIGABRT'), ('hang', 'did not answer within 0.3 s'),
    ('error', 'failed while running')])
def test_stand_in_drop_out_is_an_error_within_bounded_time(opened: Callable[..., Any],
                                                           fault: Callable[..., Any], word: str,
                                                           told: str) -> None:
    network = opened(run_timeout_s=0.3)
    fault(word)
    with pytest.raises(DeviceError, match=told):
        network.head(3, image())


def test_stand_in_drop_out_ends_its_process(compiled: Artefact, library: str, bus: Bus,
                                            fault: Callable[..., Any]) -> None:
    network = EdgeTpuNetwork(compiled, edgetpu_choice(), library=library, bus=bus,
                             run_timeout_s=0.3)
    child = network._process._child
    fault('hang')
    with pytest.raises(DeviceError):
        network.head(1, image())
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize('word', ['abort', 'hang', 'error'])
def test_stand_in_drop_out_the_same_frame_runs_on_the_cpu(opened: Callable[..., Any],
                                                          compiled: Artefact,
                                                          fault: Callable[..., Any],
                                                          word: str) -> None:
    told, exact = [], Chain(compiled, resolve('cpu', 'litert'), merge=False)
    network = opened('auto', run_timeout_s=0.3, on_change=told.append)
    assert network.on_device
    fault(word)
    assert np.array_equal(network.head(4, image()), exact.head(4, image()))
    assert network.ran_on == 'cpu' and not network.on_device
    assert len(told) == 1 and 'the CPU takes over' in told[0]
    network.head(4, image())
    assert len(told) == 1  # told once, not for each frame
    exact.close()


def test_stand_in_comes_back_after_a_drop_out(opened: Callable[..., Any], compiled: Artefact,
                                              fault: Callable[..., Any],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    back, told = Event(), []
    monkeypatch.setattr(opening, 'Failover', partial(failover.Failover, back_off_s=(0.0, 0.01)))

    def on_change(text: Any) -> None:
        told.append(text)
        if 'is back' in text:
            back.set()

    network = opened('auto', on_change=on_change)
    fault('abort')
    network.head(2, image())
    fault('')
    assert back.wait(20)
    assert np.array_equal(network.head(2, image()), (on_stand_in(compiled, 2),))
    assert network.ran_on == 'edgetpu' and len(told) == 2


def test_stand_in_without_spare_drops_frames_until_it_is_back(
        opened: Callable[..., Any], fault: Callable[..., Any]) -> None:
    network = opened('edgetpu')
    fault('abort')
    for _ in range(3):
        with pytest.raises(DeviceError, match='SIGABRT'):
            network.head(2, image())


def test_stand_in_file_that_does_not_load_is_a_model_error(tmp_path: Path, library: str, bus: Bus,
                                                           opened: Callable[..., Any]) -> None:
    artefact = build_artefact(tmp_path)
    compile_layers(artefact, range(1, 3))
    artefact.segment_file(5).write_bytes(b'broken')
    with pytest.raises(ModelError, match=r'05_fc1\.tflite'):
        opened(artefact=artefact)
