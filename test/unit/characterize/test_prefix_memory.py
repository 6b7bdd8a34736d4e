import os
import subprocess
from pathlib import Path

import pytest

from offload_perception.characterize import prefix_memory
from offload_perception.network.artefact import Layer
from offload_perception.tensor import TensorSpec

IMAGE = TensorSpec((4, 4, 3), 'uint8')
CONV = Layer(1, 'c', 'conv', TensorSpec((4, 4, 8), 'int8'), 9 * 3 * 8 + 4 * 8, 1, '', '')
POOL = Layer(2, 'p', 'pool', TensorSpec((2, 2, 8), 'int8'), 0, 0, '', '')


def test_int8_weights_count_as_the_manifest_says() -> None:
    assert prefix_memory.weight_bytes((CONV, POOL), float32=False) == 248


def test_float32_weights_are_four_times_the_kernel_with_biases_that_stay() -> None:
    assert prefix_memory.weight_bytes((CONV, POOL), float32=True) == 4 * 9 * 3 * 8 + 4 * 8


def test_the_largest_neighbours_live_together() -> None:
    assert prefix_memory.activation_bytes(IMAGE, (CONV, POOL), float32=False) == 128 + 48
    assert prefix_memory.activation_bytes(IMAGE, (CONV, POOL), float32=True) == 4 * (128 + 48)


def test_weights_are_needed_twice() -> None:
    assert prefix_memory.predict(IMAGE, (CONV,), float32=False) == 2 * 248 + 176


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
