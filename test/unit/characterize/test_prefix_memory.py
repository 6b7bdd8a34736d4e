import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from offload_perception.characterize import prefix_memory
from offload_perception.network.artefact import Artefact, Layer
from offload_perception.network.pixels import PixelInput
from offload_perception.tensor import TensorSpec

IMAGE = TensorSpec((4, 4, 3), 'uint8')
CONV = Layer(1, 'c', 'conv', 1, (0,), (1,), 9 * 3 * 8 + 4 * 8, 1, '', '')
POOL = Layer(2, 'p', 'pool', 2, (1,), (2,), 0, 0, '', '')
SPECS = {1: TensorSpec((4, 4, 8), 'int8'), 2: TensorSpec((2, 2, 8), 'int8')}
CHAIN = Artefact(Path(), 'chain', '', '', False, PixelInput(IMAGE), 0, (2,), SPECS, (CONV, POOL),
                 ())
JOINED = replace(CHAIN, layers=(*CHAIN.layers, Layer(3, 'add', 'add', 3, (1, 2), (3,), 0, 0, '',
                                                     '')),
                 outputs=(3,), specs={**SPECS, 3: TensorSpec((4, 4, 8), 'int8')})


def test_int8_weights_count_as_the_manifest_says() -> None:
    assert prefix_memory.weight_bytes(CHAIN, 2, float32=False) == 248


def test_float32_weights_are_four_times_the_kernel_with_biases_that_stay() -> None:
    assert prefix_memory.weight_bytes(CHAIN, 2, float32=True) == 4 * 9 * 3 * 8 + 4 * 8


def test_the_largest_neighbours_live_together() -> None:
    assert prefix_memory.activation_bytes(CHAIN, 2, float32=False) == 128 + 48
    assert prefix_memory.activation_bytes(CHAIN, 2, float32=True) == 4 * (128 + 48)


def test_what_crosses_a_layer_lives_as_long() -> None:
    assert prefix_memory.activation_bytes(JOINED, 2, float32=False) == 128 + 48
    assert prefix_memory.activation_bytes(JOINED, 3, float32=False) == 128 + 32 + 128


def test_weights_are_needed_twice() -> None:
    assert prefix_memory.predict(CHAIN, 1, float32=False) == 2 * 248 + 176


def test_a_control_group_limits_what_is_available(tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'memory.max').write_text('1000\n')
    (tmp_path / 'memory.current').write_text('400\n')
    monkeypatch.setattr(prefix_memory, '_CGROUP', tmp_path)
    assert prefix_memory.available_bytes() == 600
    (tmp_path / 'memory.max').write_text('max\n')
    assert prefix_memory.available_bytes() > 1000


def test_peak_grows_with_what_was_touched() -> None:
    before = prefix_memory.peak_bytes(os.getpid())
    block = bytearray(b'x' * (before + (64 << 20)))
    assert prefix_memory.peak_bytes() >= len(block)


def test_a_process_that_has_ended_holds_nothing() -> None:
    child = subprocess.Popen(['true'])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays as a zombie
    assert prefix_memory.peak_bytes(child.pid) == 0
    child.wait()
    assert prefix_memory.peak_bytes(child.pid) == 0
