"""The set-up scripts, as far as they can be tried without a set-up."""

import fcntl
import os
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'environment.sh'
ALONE = f"""set -euo pipefail
eval "$(sed -n '/^hold()/,/^}}/p; /^release()/p' '{SCRIPT}')"
hold "$1" 'the set-up of another checkout'
echo alone
release
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(['bash', '-c', ALONE, 'bash', str(folder)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_who_waits_for_another_set_up_says_so(tmp_path):
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waiting = start(tmp_path)
    try:
        said = waiting.stderr.readline()
        assert 'waiting for the set-up of another checkout' in said and str(tmp_path) in said
        assert waiting.poll() is None
    finally:
        os.close(lock)
        out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and out == 'alone\n'


def test_who_is_alone_says_nothing(tmp_path):
    out, err = start(tmp_path).communicate(timeout=60)
    assert (out, err) == ('alone\n', '')


def test_pip_adds_to_a_distribution_what_it_lacks_and_replaces_nothing():
    script = runpy.run_path(str(SCRIPT.with_name('requirements.py')))
    lines = ['# said', '', 'numpy', 'pillow', 'no-such-package', 'nor_this; python_version>"3"']
    assert script['missing'](lines) == lines[-2:]
    assert f'numpy=={version("numpy")}' in script['pins']()


def test_nothing_is_missing_in_a_complete_environment():
    out = subprocess.run([sys.executable, SCRIPT.with_name('requirements.py')], check=True,
                         capture_output=True, text=True).stdout.split('\n')
    assert {line.partition(';')[0] for line in out if line and '==' not in line.split(';')[0]} <= {
        'tensorflow', 'ruff'}
