"""The C coder under AddressSanitizer and UndefinedBehaviorSanitizer, on damaged streams.

scripts/fuzz.sh does the same for millions of them, guided by coverage.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fuzz import coder

from offload_perception.codec.rans import ROWS

ROOT = Path(__file__).parents[3]
FLAGS = ('-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-DALONE')
PER_SEED = 30


@pytest.fixture(scope='module')
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (gcc := shutil.which('gcc')):
        pytest.skip('gcc is not installed')
    folder = tmp_path_factory.mktemp('coder')
    codec = ROOT / 'offload_perception' / 'codec'
    built = subprocess.run(
        [gcc, *FLAGS, '-o', folder / 'coder', ROOT / 'test' / 'fuzz' / 'coder.c', codec / 'rans.c',
         codec / 'adaptive.c'], capture_output=True, text=True)
    if 'cannot find' in built.stderr:
        pytest.skip('the sanitizers of gcc are not installed')
    assert not built.returncode, built.stderr
    (folder / 'tables').write_bytes(coder.tables())
    return folder / 'coder'


def run(program: Path, inputs: list[bytes]) -> subprocess.CompletedProcess[str]:
    file = program.with_name('inputs')
    file.write_bytes(b''.join(len(x).to_bytes(4, 'little') + x for x in inputs))
    return subprocess.run([program, file], capture_output=True, text=True, env={
        **os.environ, 'CODER_TABLES': str(program.with_name('tables'))})


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Return `data` with some bytes changed, and in half of the cases shorter or longer."""
    out = bytearray(data)
    for at in rng.integers(3, len(out), rng.integers(1, 6)):
        out[at] = rng.integers(256)
    change = rng.integers(4)
    return bytes(out[:rng.integers(3, len(out) + 1)] if change == 0 else
                 out + rng.bytes(5) if change == 1 else out)


def test_no_stream_makes_the_coder_leave_its_buffers(program: Path) -> None:
    rng = np.random.default_rng(7)
    seeds = [*coder.inputs()]
    inputs = [*seeds, *(damaged(seed, rng) for seed in seeds for _ in range(PER_SEED))]
    done = run(program, inputs)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) == len(inputs)


def test_a_table_that_does_not_exist_would_be_found(program: Path) -> None:
    """What a forged basis could ask for, if its rows were not checked."""
    tables = program.with_name('tables')
    whole = tables.read_bytes()
    tables.write_bytes(whole[:-131 - 3] + bytes((ROWS,) * 131) + whole[-3:])
    try:
        done = run(program, [seed for seed in coder.inputs() if seed[0] == 4])
    finally:
        tables.write_bytes(whole)
    assert done.returncode and 'heap-buffer-overflow' in done.stderr
